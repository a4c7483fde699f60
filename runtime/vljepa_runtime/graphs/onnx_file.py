"""An ONNX file as far as it must be known before an engine sees it: nodes, constants, and where their bytes lie.

What our exporters never write is refused, not understood: graphs inside nodes (Loop, If, Scan), local functions, sparse
tensors, training, tensors of text, fields that come twice or that no version of the format had when this was written.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from vljepa_runtime.graphs.wire import VARINT, Damaged, fields, fields_once, integers, text

__all__ = ["BITS", "FLOATS", "Constant", "Node", "OnnxGraph", "read_onnx"]

# Generous for what is exported here: the largest model that has been (1.6 GB in int8) has about 4,000 nodes.
MAX_NODES = 20_000
MAX_CONSTANTS = 40_000
MAX_NAMES = 1024  # inputs, outputs or attributes of one node
MAX_VERSION = 100  # of the format, and of a set of operators: 13 and 26 when this was written
MAX_RANK = 8
MAX_FOLDED = 4096  # values of a constant that may be a shape

# onnx.TensorProto.DataType -> bits of one value; text and complex numbers are refused.
BITS = {
    **dict.fromkeys((1, 6, 12), 32), **dict.fromkeys((7, 11, 13), 64), **dict.fromkeys((4, 5, 10, 16), 16),
    **dict.fromkeys((2, 3, 9, 17, 18, 19, 20, 24), 8), **dict.fromkeys((21, 22, 23), 4),
}  # fmt: skip
FLOATS = frozenset({1, 10, 11, 16, 17, 18, 19, 20, 23, 24})  # the types of those that hold fractions
_NUMPY = {
    1: np.float32, 2: np.uint8, 3: np.int8, 6: np.int32, 7: np.int64, 9: np.bool_, 10: np.float16, 11: np.float64,
}  # fmt: skip
_LAYOUTS = {1: "<f4", 10: "<f2", 11: "<f8"}
_BFLOAT16 = 16
_EXTERNAL = 1  # TensorProto.DataLocation
_ORT_FORMAT = b"ORTM"  # ONNX Runtime takes a file with this at byte 4 for one of its own format


@dataclass(frozen=True, slots=True)
class Constant:
    """A tensor of the file.

    Attributes:
        shape: Its sizes.
        values: Its values, where they are few and lie in the file; None otherwise.
        whole: Whether they are of a type for whole numbers.
    """

    shape: tuple[int, ...]
    values: npt.NDArray[Any] | None
    whole: bool


@dataclass(slots=True)
class Node:
    """One operation."""

    kind: str = ""
    domain: str = ""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class OnnxGraph:
    """What a file computes."""

    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, Constant] = field(default_factory=dict)
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)


def read_onnx(content: memoryview, beside: Mapping[str, int]) -> OnnxGraph:
    """Read a file of a bundle.

    Args:
        content: The file.
        beside: Size in bytes per file that it may refer to, named as the graph must name it.

    Raises:
        Damaged: it is no ONNX file, holds what is never exported, or refers to other files or outside of them.
    """
    if content[4:8] == _ORT_FORMAT:
        raise Damaged("it is in ONNX Runtime's own format, expected ONNX")
    graph: OnnxGraph | None = None
    for number, _, value, data in fields_once(content, "the model", (1, 2, 3, 4, 5, 6, 7), (8, 14)):
        if number == 7:
            graph = _graph(data, beside)
        elif number == 1:
            _check_version(value)
        elif number == 8:
            for part, _, version, _ in fields_once(data, "an operator set", (1, 2)):
                if part == 2:
                    _check_version(version)
    if graph is None or not graph.nodes:
        raise Damaged("it holds no graph")
    return graph


def _check_version(version: int) -> None:
    """Engines may count up or down to the version that they know."""
    if not 0 <= version <= MAX_VERSION:
        raise Damaged(f"it is of version {version}, expected at most {MAX_VERSION}")


def _graph(message: memoryview, beside: Mapping[str, int]) -> OnnxGraph:
    graph = OnnxGraph()
    for number, _, _, data in fields_once(message, "the graph", (2, 10), (1, 5, 11, 12, 13, 16)):
        if number == 1:
            graph.nodes.append(_node(data))
        elif number == 5:
            name, constant = _tensor(data, beside)
            if name in graph.constants:
                raise Damaged(f"it has the constant {name!r} twice")
            graph.constants[name] = constant
        elif number in (11, 12):
            (graph.inputs if number == 11 else graph.outputs).append(_name_of(data))
        if len(graph.nodes) > MAX_NODES or len(graph.constants) > MAX_CONSTANTS:
            raise Damaged(f"expected at most {MAX_NODES} nodes and {MAX_CONSTANTS} constants")
    return graph


def _node(message: memoryview) -> Node:
    node = Node()
    attributes = []
    # Not known: 8, the overload of a local function, and 10, the devices it is spread over.
    for number, _, _, data in fields_once(message, "a node", (3, 4, 6, 7), (1, 2, 5, 9)):
        if number in (1, 2):
            (node.inputs if number == 1 else node.outputs).append(text(data))
        elif number == 4:
            node.kind = text(data)
        elif number == 5:
            attributes.append(data)
        elif number == 7:
            node.domain = text(data)
    if max(len(node.inputs), len(node.outputs), len(attributes)) > MAX_NAMES:
        raise Damaged(f"a node has more than {MAX_NAMES} inputs, outputs or attributes")
    for data in attributes:
        name, value = _attribute(data, node.kind)
        if name in node.attributes:
            raise Damaged(f"a node {node.kind} has the attribute {name} twice")
        node.attributes[name] = value
    return node


def _attribute(message: memoryview, kind: str) -> tuple[str, Any]:
    found: Any = None
    name, numbers = "", []
    parts = {number for number, _, _, _ in fields(message)}
    if parts & {6, 11}:
        raise Damaged(f"a node {kind[:80]} holds a graph of its own, as loops and branches do")
    if len(parts & {2, 3, 4, 5, 7, 8, 9}) > 1:  # engines take the one that its type names, or the first
        raise Damaged(f"an attribute of {kind[:80]} holds values of more than one type")
    for number, wire, value, data in fields_once(
        message, f"an attribute of {kind[:80]}", (1, 2, 3, 4, 5, 13, 20), (7, 8, 9)
    ):
        if number == 1:
            name = text(data)
        elif number == 2:
            found = float(np.frombuffer(data, "<f4")[0]) if len(data) == 4 else None
        elif number == 3 and wire == VARINT:
            found = integers(wire, value, data, most=1)[0]
        elif number == 4:
            found = bytes(data[:4096])
        elif number == 5:
            found = _tensor(data, {})[1]
        elif number == 8:
            numbers += integers(wire, value, data, most=MAX_FOLDED)
            found = numbers
    return name, found


def _tensor(message: memoryview, beside: Mapping[str, int]) -> tuple[str, Constant]:
    name, kind, location, shape = "", 0, 0, []
    parts: dict[int, list[memoryview]] = {}
    external: list[memoryview] = []
    numbers: list[int] = []
    # Not known: 3, a part of a tensor, and 6, text.
    for number, wire, value, data in fields_once(
        message, "a constant", (2, 8, 9, 12, 14), (1, 4, 5, 7, 10, 11, 13, 16)
    ):
        if number == 1:
            shape += integers(wire, value, data, most=MAX_RANK)
        elif number == 2:
            kind = value
        elif number in (5, 7) and len(data) <= MAX_FOLDED * 10 and len(numbers) <= MAX_FOLDED:
            numbers += integers(wire, value, data, most=MAX_FOLDED)
        elif number == 8:
            name = text(data)
        elif number in (4, 9, 10, 11):
            parts.setdefault(number, []).append(data)
        elif number == 13:
            external.append(data)
        elif number == 14:
            location = value
    if kind not in BITS or len(shape) > MAX_RANK or min(shape, default=0) < 0:
        raise Damaged(
            f"the constant {name[:80]!r} is of type {kind} and shape {tuple(shape)[:9]}, expected numbers"
        )
    count = math.prod(shape)
    if (location == _EXTERNAL) != bool(external) or (external and (parts or numbers)):
        raise Damaged(f"the constant {name[:80]!r} lies in the file and beside it")
    size = -(-count * BITS[kind] // 8)
    if external:
        _check_external(name, dict(_entries(external)), len(external), size, beside)
        return name, Constant(tuple(shape), None, kind not in FLOATS)
    held = len(parts[9][0]) if 9 in parts else size
    if held != size or (9 not in parts and count > 2 * len(message)):  # two values of 4 bits may share a byte
        raise Damaged(
            f"the constant {name[:80]!r} holds fewer or more bytes than its shape {tuple(shape)} needs"
        )
    _check_numbers(name, kind, parts)
    return name, Constant(tuple(shape), _values(kind, shape, count, parts, numbers), kind not in FLOATS)


def _check_numbers(name: str, kind: int, parts: Mapping[int, list[memoryview]]) -> None:
    """No weight is NaN: whatever meets one becomes it. Infinity is what masks are made of."""
    for data in (block for number in (4, 9, 10) for block in parts.get(number, ())):
        if kind == _BFLOAT16:
            broken = (_array(data, "<u2") & 0x7FFF > 0x7F80).any()
        elif kind in _LAYOUTS:
            broken = np.isnan(_array(data, _LAYOUTS[kind])).any()
        else:
            continue
        if broken:
            raise Damaged(f"the constant {name[:80]!r} holds values that are not numbers")


def _values(
    kind: int, shape: list[int], count: int, parts: Mapping[int, list[memoryview]], numbers: list[int]
) -> npt.NDArray[Any] | None:
    if count > MAX_FOLDED or kind not in _NUMPY:
        return None
    dtype = np.dtype(_NUMPY[kind])
    if 9 in parts:
        flat = _array(parts[9][0], dtype.newbyteorder("<")).astype(dtype)
    elif kind in (1, 11):
        flat = _array(b"".join(parts.get(4 if kind == 1 else 10, ())), dtype.newbyteorder("<"))
    elif kind == 10:
        flat = np.array(numbers, np.int64).astype(np.uint16).view(dtype)
    else:
        flat = np.array(numbers, np.int64).astype(dtype)
    if flat.size != count:
        raise Damaged(f"a constant of shape {tuple(shape)} holds {flat.size} values")
    return flat.reshape(shape)


def _array(data: bytes | memoryview, dtype: Any) -> npt.NDArray[Any]:
    if len(data) % np.dtype(dtype).itemsize:
        raise Damaged("a constant ends within a number")
    return np.frombuffer(data, dtype)


def _entries(external: list[memoryview]) -> Iterator[tuple[str, str]]:
    """Key and value of each entry of `external_data`."""
    for entry in external:
        pair = ["", ""]
        for number, _, _, data in fields_once(entry, "a reference", (1, 2)):
            pair[number - 1] = text(data)
        yield pair[0], pair[1]


def _check_external(
    name: str, entries: Mapping[str, str], count: int, size: int, beside: Mapping[str, int]
) -> None:
    """The one way out of the file: into a listed file beside it, and not past its end."""
    if len(entries) != count or not set(entries) <= {"location", "offset", "length", "checksum"}:
        raise Damaged(f"the constant {name[:80]!r} refers to a file with {', '.join(sorted(entries))[:200]}")
    place = entries.get("location", "")
    if place not in beside:
        raise Damaged(f"the constant {name[:80]!r} lies in {place[:200]!r}, which this graph does not list")
    offset, length = _whole(entries.get("offset", "0")), _whole(entries.get("length", str(size)))
    if length != size or offset + length > beside[place]:
        raise Damaged(
            f"the constant {name[:80]!r} of {size} bytes lies at {offset} to {offset + length} of {place}, "
            f"which has {beside[place]}"
        )


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 19):
        raise Damaged(f"expected a whole number of bytes, got {text[:40]!r}")
    return int(text)


def _name_of(message: memoryview) -> str:
    """The name of an input or output; its type is compared with the manifest when an engine has it."""
    for number, _, _, data in fields_once(message, "an input or output", (1, 2, 3), (4,)):
        if number == 1:
            return text(data)
    return ""
