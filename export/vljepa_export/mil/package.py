"""A `.mlpackage` folder as plain data: functions, operations, types and constants. Computes nothing.

Only the generated protobuf classes of coremltools are used; the weight file is read by `weight_file.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vljepa_export.errors import InterpreterError
from vljepa_export.mil.element_types import TensorType, element_type, unpack
from vljepa_export.mil.weight_file import WeightFile
from vljepa_runtime.engines.coreml_tools import coremltools
from vljepa_runtime.files import parse_json

__all__ = ["Function", "Operation", "read_package"]

Array = npt.NDArray[Any]
Argument = str | Array  # the name of a value, or the value
MODEL_PATH = "@model_path/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation.

    Attributes:
        kind: `matmul`, `const`, ...
        inputs: Arguments per parameter; most have one.
        outputs: Name and type of each result.
        value: What a `const` holds; None otherwise.
    """

    kind: str
    inputs: Mapping[str, tuple[Argument, ...]]
    outputs: tuple[tuple[str, TensorType], ...]
    value: Array | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """One function: typed inputs, operations in order, names of the outputs."""

    inputs: Mapping[str, TensorType]
    operations: tuple[Operation, ...]
    outputs: tuple[str, ...]


def read_package(folder: str | Path) -> tuple[dict[str, Function], str]:
    """Read all functions of a package.

    Returns:
        The functions by name, and the name of the default one.

    Raises:
        InterpreterError: the package is damaged or is not an mlprogram of fixed shapes.
        MissingExtraError: coremltools is not installed.
    """
    file = _model_file(Path(folder))
    model = coremltools("proto.Model_pb2").Model()
    try:
        model.ParseFromString(file.read_bytes())
    except Exception as error:  # protobuf's DecodeError has no base of its own that is stable
        raise InterpreterError(f"{file} is not a Core ML model: {error}") from error
    if model.WhichOneof("Type") != "mlProgram":
        raise InterpreterError(f"{file}: expected an mlprogram, got {model.WhichOneof('Type')}")
    reader = _Reader(file.parent)
    functions = {name: reader.function(name, item) for name, item in model.mlProgram.functions.items()}
    return functions, model.description.defaultFunctionName or "main"


def _model_file(folder: Path) -> Path:
    """The model that `Manifest.json` names as the package's root."""
    try:
        manifest = parse_json((folder / "Manifest.json").read_bytes())
        path = manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]["path"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InterpreterError(f"{folder} is not an .mlpackage: Manifest.json: {error!r}") from error
    return _inside(folder / "Data", str(path))


def _inside(root: Path, relative: str) -> Path:
    try:
        found = (root / relative).resolve()
    except (OSError, ValueError) as error:  # a NUL, a name too long, links in a circle
        raise InterpreterError(f"{relative[:80]!r} is no name of a file: {error}") from error
    if not found.is_relative_to(root.resolve()):
        raise InterpreterError(f"{relative!r} leads out of {root}: do not use this package")
    return found


class _Reader:
    """Reads protobuf messages; weight files are opened once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._files: dict[str, WeightFile] = {}

    def function(self, name: str, message: Any) -> Function:
        block = message.block_specializations[message.opset]
        if len(message.block_specializations) != 1 or block.inputs:
            raise InterpreterError(f"function {name}: expected one plain block")
        return Function(
            inputs={item.name: _tensor_type(item.type, f"{name}.{item.name}") for item in message.inputs},
            operations=tuple(map(self._operation, block.operations)),
            outputs=tuple(block.outputs),
        )

    def _operation(self, message: Any) -> Operation:
        kind = str(message.type)
        if message.blocks:
            raise InterpreterError(f"operation {kind!r} holds a block, which this interpreter does not know")
        outputs = tuple(
            (item.name, _tensor_type(item.type, f"{kind} {item.name}")) for item in message.outputs
        )
        arguments = {key: tuple(map(self._argument, item.arguments)) for key, item in message.inputs.items()}
        for key, value in message.attributes.items():
            if key not in ("name", "val"):  # constexpr operations keep their data here up to iOS 17
                arguments[key] = (self._value(value),)
        value = self._value(message.attributes["val"]) if kind == "const" else None
        return Operation(kind=kind, inputs=arguments, outputs=outputs, value=value)

    def _argument(self, binding: Any) -> Argument:
        return str(binding.name) if binding.WhichOneof("binding") == "name" else self._value(binding.value)

    def _value(self, message: Any) -> Array:
        kind = _tensor_type(message.type, "a constant")
        if message.WhichOneof("value") == "blobFileValue":
            blob = message.blobFileValue
            return self._weights(blob.fileName).read(blob.offset, kind.element, kind.shape)
        return _immediate(message.immediateValue, kind)

    def _weights(self, name: str) -> WeightFile:
        if name not in self._files:
            if not name.startswith(MODEL_PATH):
                raise InterpreterError(f"expected weights under {MODEL_PATH}, got {name!r}")
            self._files[name] = WeightFile(_inside(self._root, name.removeprefix(MODEL_PATH)))
        return self._files[name]


def _tensor_type(message: Any, where: str) -> TensorType:
    if message.WhichOneof("type") != "tensorType":
        raise InterpreterError(f"{where}: expected a tensor, got {message.WhichOneof('type')}")
    tensor = message.tensorType
    if any(axis.WhichOneof("dimension") != "constant" for axis in tensor.dimensions):
        raise InterpreterError(f"{where}: expected a fixed shape: build one function per shape")
    shape = tuple(int(axis.constant.size) for axis in tensor.dimensions)
    return TensorType(element_type(tensor.dataType), shape)


def _immediate(message: Any, kind: TensorType) -> Array:
    if message.WhichOneof("value") != "tensor":
        raise InterpreterError(f"expected a constant tensor, got {message.WhichOneof('value')}")
    tensor = message.tensor
    field = tensor.WhichOneof("value")
    values: Any = getattr(tensor, field).values if field else ()
    if field == "bytes":
        return unpack(np.frombuffer(values, np.uint8), kind.element, kind.shape)
    array = np.array(list(values), kind.element.numpy)
    if array.size != int(np.prod(kind.shape, dtype=np.int64)):
        raise InterpreterError(f"expected a constant {kind}, got {array.size} values")
    return array.reshape(kind.shape)
