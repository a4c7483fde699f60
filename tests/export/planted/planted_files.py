"""Files of one OpenVINO or Core ML graph to plant a fault in: constants come as arrays that are changed in place."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

__all__ = ["Files", "IrFiles", "PackageFiles"]

Array = npt.NDArray[Any]
Matches = Callable[[Array], bool]


class Files(Protocol):
    """One graph's files."""

    def arrays(self, matches: Matches, label: str = "") -> list[Array]:
        """Constants in the order of the file, to be changed in place; those of few bits come as rows of bytes.

        Args:
            matches: Which.
            label: Part of what the format calls them.
        """

    def exchange(self, first: Array, second: Array) -> None:
        """Let the readers of each of two constants read the other one."""

    def epsilon(self, value: float) -> None:
        """Change what a layer norm adds to the variance."""

    def activation(self) -> None:
        """Give an activation back in another range or step than it is taken in."""

    def files(self) -> dict[str, bytes]:
        """The files as they are now."""


class IrFiles:
    """An XML and its weights."""

    TYPES: Mapping[str, str] = {
        "f32": "<f4", "f16": "<f2", "i64": "<i8", "i32": "<i4", "i8": "i1", "u8": "u1",
    }  # fmt: skip

    def __init__(self, files: Mapping[str, Path]) -> None:
        (self._xml,) = (name for name in files if name.endswith(".xml"))
        (self._bin,) = (name for name in files if name.endswith(".bin"))
        self._root = ElementTree.fromstring(files[self._xml].read_bytes())
        self._data = bytearray(files[self._bin].read_bytes())
        self._found: list[tuple[Array, ElementTree.Element]] = []

    def arrays(self, matches: Matches, label: str = "") -> list[Array]:
        """See `Files`."""
        found = []
        for layer in self._root.findall("./layers/layer[@type='Const']"):
            data = layer.find("data")
            assert data is not None
            kind = np.dtype(self.TYPES[data.attrib["element_type"]])
            shape = [int(axis) for axis in data.attrib["shape"].split(",") if axis.strip()]
            start, size = int(data.attrib["offset"]), int(data.attrib["size"])
            array = np.frombuffer(self._data, kind, size // kind.itemsize, start).reshape(shape)
            if label in layer.attrib["name"] and matches(array):
                found.append(array)
                self._found.append((array, data))
        return found

    def exchange(self, first: Array, second: Array) -> None:
        """See `Files`."""
        one, other = (next(data for array, data in self._found if array is each) for each in (first, second))
        one.attrib["offset"], other.attrib["offset"] = other.attrib["offset"], one.attrib["offset"]

    def epsilon(self, value: float) -> None:
        """See `Files`."""
        data = self._root.find("./layers/layer[@type='MVN']/data")
        assert data is not None
        data.attrib["eps"] = str(value)

    def activation(self) -> None:
        """See `Files`; ends that are equal lie in one place, so it is 0 that leaves the grid."""
        self.arrays(lambda array: bool((array < 0).all()), "input_low")[0][...] *= 1.02

    def files(self) -> dict[str, bytes]:
        """See `Files`."""
        return {self._xml: ElementTree.tostring(self._root), self._bin: bytes(self._data)}


class PackageFiles:
    """A Core ML package of one function."""

    RECORD = struct.Struct("<IIQQ")
    TYPES: Mapping[int, str] = {1: "<f2", 2: "<f4", 4: "i1"}  # others come as bytes

    def __init__(self, files: Mapping[str, Path]) -> None:
        from vljepa_runtime.engines.coreml_tools import coremltools

        self._files = {name: path.read_bytes() for name, path in files.items()}
        (self._model,) = (name for name in files if name.endswith("model.mlmodel"))
        (self._weights,) = (name for name in files if name.endswith("weight.bin"))
        self._data = bytearray(self._files[self._weights])
        self._program = coremltools("proto.Model_pb2").Model.FromString(self._files[self._model])
        self._found: list[tuple[Array, Any]] = []

    def arrays(self, matches: Matches, label: str = "") -> list[Array]:
        """See `Files`."""
        found = []
        for operation in self._operations():
            values = [*operation.attributes.values()]
            values += [each.value for item in operation.inputs.values() for each in item.arguments]
            for value in values:
                if value.WhichOneof("value") == "blobFileValue" and label in operation.outputs[0].name:
                    array = self._array(value)
                    if matches(array):
                        found.append(array)
                        self._found.append((array, value.blobFileValue))
        return found

    def exchange(self, first: Array, second: Array) -> None:
        """See `Files`."""
        one, other = (next(blob for array, blob in self._found if array is each) for each in (first, second))
        one.offset, other.offset = other.offset, one.offset

    def epsilon(self, value: float) -> None:
        """See `Files`."""
        self._set("layer_norm", "epsilon", lambda _: value)

    def activation(self) -> None:
        """See `Files`."""
        self._set("dequantize", "scale", lambda step: step * 1.02)

    def _set(self, kind: str, key: str, change: Callable[[float], float]) -> None:
        """Change a number that the first operation of a kind reads."""
        name = next(each for each in self._operations() if each.type == kind).inputs[key].arguments[0].name
        (found,) = (each for each in self._operations() if each.outputs[0].name == name)
        tensor = found.attributes["val"].immediateValue.tensor
        if tensor.WhichOneof("value") == "bytes":
            (before,) = np.frombuffer(tensor.bytes.values, np.float16)
            tensor.bytes.values = np.float16(change(float(before))).tobytes()
        else:
            tensor.floats.values[0] = change(tensor.floats.values[0])

    def files(self) -> dict[str, bytes]:
        """See `Files`."""
        model: bytes = self._program.SerializeToString()
        return {**self._files, self._model: model, self._weights: bytes(self._data)}

    def _operations(self) -> list[Any]:
        (function,) = self._program.mlProgram.functions.values()
        return list(function.block_specializations[function.opset].operations)

    def _array(self, value: Any) -> Array:
        _, code, size, start = self.RECORD.unpack_from(self._data, value.blobFileValue.offset)
        kind = np.dtype(self.TYPES.get(code, "u1"))
        shape = [axis.constant.size for axis in value.type.tensorType.dimensions]
        flat = np.frombuffer(self._data, kind, size // kind.itemsize, start)
        return flat.reshape(shape if code in self.TYPES else [shape[0], -1])
