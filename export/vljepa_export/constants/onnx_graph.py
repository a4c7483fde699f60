"""An ONNX graph to be read and compared: who makes a tensor, constants where they lie, attributes less their defaults.

Knows no editor: what is written is read back as another reader would.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ["FLOATS", "Array", "OnnxGraph", "Read", "attributes_of", "reader", "told"]

Array = npt.NDArray[Any]
Read = Callable[[str], memoryview]

FLOATS = frozenset((TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16))


class OnnxGraph:
    """A graph that is only read.

    Args:
        file: Its name.
        read: Gives a file by its name, mapped where it is large; those of its constants lie beside it.
        widths: Element types that one value may change between without being another value; a Cast from one to another
            is looked through.
    """

    def __init__(self, file: str, read: Read, *, widths: frozenset[int] = frozenset()) -> None:
        self.model = onnx.load_model_from_string(bytes(read(file)))
        self.file, self._read, self.widths = file, read, widths
        graph = self.model.graph
        self.inputs = {item.name: item for item in graph.input}
        self.outputs = [item.name for item in graph.output]
        self._stored = {item.name: item for item in graph.initializer}
        self._makers = {
            name: (node, index) for node in graph.node for index, name in enumerate(node.output) if name
        }

    @classmethod
    def open(cls, path: Path) -> OnnxGraph:
        """A float graph on disk."""
        return cls(path.name, lambda name: _mapped(path.with_name(name)))

    @cached_property
    def opsets(self) -> Mapping[str, int]:
        """Version of each operator set."""
        return {item.domain: item.version for item in self.model.opset_import}

    def maker(self, tensor: str) -> tuple[onnx.NodeProto, int] | None:
        """The node that makes a tensor, and as which of its outputs; None for an input or a constant."""
        return self._makers.get(tensor)

    def is_constant(self, tensor: str) -> bool:
        """Whether a tensor is stored in the graph or beside it."""
        return tensor in self._stored

    def element_type(self, tensor: str) -> int:
        """ONNX's number of a constant's type."""
        return int(self._stored[tensor].data_type)

    def constant(self, tensor: str) -> Array:
        """The elements of a constant, mapped where its file is."""
        item = self._stored[tensor]
        if item.data_location == TensorProto.EXTERNAL:
            entries = {entry.key: entry.value for entry in item.external_data}
            start, file = int(entries.get("offset", 0)), self._read(entries["location"])
            stop = start + int(entries["length"]) if "length" in entries else len(file)
            return _elements(item, file[start:stop])
        return _elements(item, memoryview(item.raw_data)) if item.raw_data else numpy_helper.to_array(item)

    def seen_through(self, tensor: str) -> str:
        """What a tensor is but for its width: where a Cast between two widths began."""
        while (made := self._makers.get(tensor)) and self._only_changes_width(made[0]):
            tensor = made[0].input[0]
        return tensor

    def _only_changes_width(self, node: onnx.NodeProto) -> bool:
        if node.op_type != "Cast" or not self.widths:
            return False
        to = next(item.i for item in node.attribute if item.name == "to")
        return to in self.widths and self._types.get(node.input[0]) in self.widths

    @cached_property
    def _types(self) -> Mapping[str, int]:
        """Of the tensors that may be cast: floats of some width, unless their maker says otherwise."""
        types = {name: int(item.type.tensor_type.elem_type) for name, item in self.inputs.items()}
        types |= {name: int(item.data_type) for name, item in self._stored.items()}
        for node in self.model.graph.node:
            types |= _output_types(node, self.opsets.get(node.domain, 1), types)
        return types


def reader(files: Mapping[str, Path]) -> Read:
    """Files by their names in a bundle."""
    return lambda name: _mapped(files[name])


def _mapped(path: Path) -> memoryview:
    with path.open("rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def attributes_of(node: onnx.NodeProto, opset: int) -> dict[str, bytes]:
    """A node's attributes in comparable form; those that say what is so without them are left out."""
    defaults = _defaults(node.op_type, node.domain, opset)
    found = {}
    for item in node.attribute:
        plain = onnx.AttributeProto()
        plain.CopyFrom(item)
        plain.ClearField("doc_string")
        written = plain.SerializeToString(deterministic=True)
        if defaults.get(item.name) != written:
            found[item.name] = written
    return found


@cache
def _defaults(kind: str, domain: str, opset: int) -> Mapping[str, bytes]:
    schema = _schema(kind, domain, opset)
    attributes = {} if schema is None else schema.attributes
    return {
        name: item.default_value.SerializeToString(deterministic=True)
        for name, item in attributes.items()
        if item.default_value.name
    }


def _schema(kind: str, domain: str, opset: int) -> onnx.defs.OpSchema | None:
    """None for an operator of an engine."""
    return onnx.defs.get_schema(kind, opset, domain) if onnx.defs.has(kind, opset, domain) else None


def told(node: onnx.NodeProto) -> str:
    """A node for people: its name, or what it makes."""
    return node.name or f"{node.op_type}:{node.output[0]}"


def _output_types(node: onnx.NodeProto, opset: int, types: Mapping[str, int]) -> Mapping[str, int]:
    """What a node makes, as the operator's schema says it; an operator without one makes what it takes."""
    to = next((int(item.i) for item in node.attribute if item.name == "to"), None)
    taken = [types.get(name, 0) for name in node.input]
    schema = _schema(node.op_type, node.domain, opset)
    if to is not None or schema is None:
        return dict.fromkeys(node.output, taken[0] if to is None else to)
    by_letter = {item.type_str: kind for item, kind in reversed([*zip(schema.inputs, taken)]) if kind}
    found: dict[str, int] = {}
    last = schema.outputs[-1]  # may stand for any number
    for name, item in zip(node.output, [*schema.outputs, *[last] * len(node.output)]):
        only = item.types if len(item.types) == 1 else ()
        found[name] = by_letter.get(item.type_str) or next((_TYPES.get(each, 0) for each in only), 0)
    return found


_TYPES = {
    f"tensor({name})": int(number)
    for name, number in (
        ("bool", TensorProto.BOOL),
        ("int64", TensorProto.INT64),
        ("uint8", TensorProto.UINT8),
    )
}


def _elements(item: TensorProto, data: memoryview) -> Array:
    """A view of stored bytes; two 4-bit elements of a byte come apart."""
    shape = tuple(item.dims)
    if item.data_type == TensorProto.INT4:
        packed = np.frombuffer(data, np.uint8)
        signed = np.stack([packed << 4, packed & 0xF0], axis=-1).reshape(-1).view(np.int8) >> 4
        return signed[: int(np.prod(shape))].reshape(shape)
    return np.frombuffer(data, _dtype(item.data_type)).reshape(shape)


def _dtype(kind: int) -> Any:
    if kind not in (TensorProto.FLOAT8E4M3FN, TensorProto.BFLOAT16):
        return helper.tensor_dtype_to_np_dtype(kind)
    import ml_dtypes  # older versions of onnx read these types as others

    return np.dtype(ml_dtypes.bfloat16 if kind == TensorProto.BFLOAT16 else ml_dtypes.float8_e4m3fn)
