"""An OpenVINO IR as far as it must be known before an engine sees it: what its layers are and which weights they read.

Its weights lie in the one `.bin` beside it. How large its tensors grow is asked of OpenVINO itself, between reading and
compiling (`engines/openvino.py`): its sizes do not stand in the file in a way that a reader must believe.
"""

from __future__ import annotations

import math
import re
from xml.parsers import expat

import numpy as np

from vljepa_runtime.graphs.wire import Damaged

__all__ = ["LAYERS", "check_ir"]

# Generous for what is exported here: `tiny` in int8 has 8,000 elements a graph, nested 7 deep.
MAX_BYTES = 256 << 20
MAX_ELEMENTS = 4_000_000
MAX_DEPTH = 32
MAX_RANGE = 1 << 16
MAX_RANK = 8
_SCALARS = {"i32": "<i4", "i64": "<i8", "f32": "<f4"}

# Layers are flat: a body is what a loop or a branch holds.
_ELEMENTS = {"net", "layers", "layer", "data", "input", "output", "port", "dim", "edges", "edge", "rt_info"}
# OpenVINO computes what depends on constants alone while it reads a file, before anybody can ask it for sizes. Its own
# converter has folded such layers already: only weights that are unpacked, and short ranges of axes, are left.
_ALIKE = {"Subtract", "Multiply"}  # of two constants: one is a scale or zero point of the other
_KEEPING = {"Convert", "ConvertLike", "FakeConvert"}
_RESHAPING = {"Reshape", "Transpose", "Unsqueeze", "Squeeze"}
# It also works out sizes while it reads: all that leads from `ShapeOf` and constants to the place where a size is asked
# for. There are few numbers on the way; what makes many of them, a sum over a billion ones, is refused.
MAX_NUMBERS = 1 << 16
_SIZED = {  # layers whose inputs after the first are sizes, axes or places
    *(
        "Broadcast",
        "CumSum",
        "Gather",
        "MVN",
        "NormalizeL2",
        "Reshape",
        "Slice",
        "Split",
        "Squeeze",
        "StridedSlice",
    ),
    *("Tile", "Transpose", "Unsqueeze", "VariadicSplit"),
    *("ReduceL1", "ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum"),
}
_FIRST = (
    _KEEPING | _RESHAPING | {"Abs", "Ceiling", "Clamp", "Floor", "Negative", "Sign", "Slice", "StridedSlice"}
)
_FIRST |= {"ReduceMax", "ReduceMin", "ReduceProd", "ReduceSum", "Split", "VariadicSplit", "LogicalNot"}
_TOGETHER = {"Add", "Divide", "Equal", "Gather", "Greater", "GreaterEqual", "Less", "LessEqual", "LogicalAnd"}
_TOGETHER |= {"LogicalOr", "Maximum", "Minimum", "Multiply", "NotEqual", "Power", "Select", "Subtract"}
_VERSION = re.compile(r"opset\d{1,2}\Z")
# What OpenVINO's converter and NNCF make of the exporters' operators.
LAYERS = frozenset(
    word
    for line in (
        "Abs Add Broadcast Ceiling Clamp Concat Const Convert ConvertLike Cos CumSum Divide Equal Erf Exp FakeConvert",
        "FakeQuantize Floor Gather Gelu Greater GreaterEqual HardSigmoid Less LessEqual Log LogSoftmax LogicalAnd",
        "LogicalNot LogicalOr MVN MatMul Maximum Minimum Multiply Negative NormalizeL2 NotEqual Parameter Power ReLU",
        "Range ReduceL1 ReduceL2 ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum Reshape Result",
        "ScaledDotProductAttention Select ShapeOf Sigmoid Sign Sin Slice SoftMax Softmax SoftPlus Split Sqrt",
        "SquaredDifference Squeeze StridedSlice Subtract Swish Tanh Tile Transpose Unsqueeze VariadicSplit",
    )
    for word in line.split()
)
_BITS = {"boolean": 8, "f8e4m3": 8, "f8e5m2": 8, "f8e8m0": 8, "f4e2m1": 4, "nf4": 4, "bf16": 16}
_NUMBER = re.compile(r"[fiu](4|8|16|32|64)\Z")


def check_ir(content: memoryview, weights: memoryview) -> None:
    """Walk an IR.

    Args:
        content: The XML.
        weights: The `.bin` beside it.

    Raises:
        Damaged: it is no IR, holds what is never exported, or reads past its weights.
    """
    if len(content) > MAX_BYTES:
        raise Damaged(f"expected at most {MAX_BYTES} bytes of XML, got {len(content)}")
    walk = _Walk(weights)
    parser = expat.ParserCreate("utf-8")
    parser.StartDoctypeDeclHandler = _no_doctype
    parser.StartElementHandler = walk.start
    parser.EndElementHandler = walk.end
    try:
        parser.Parse(bytes(content), True)
    except expat.ExpatError as error:
        raise Damaged(f"it is not readable XML ({error})") from error
    if not walk.layers:
        raise Damaged("it holds no layers")
    _check_unpacking(walk)
    _check_sizing(walk)


def _no_doctype(*_: object) -> None:
    raise Damaged("it has a DOCTYPE, which can name other files")


class _Walk:
    """What a parser tells, held to the rules."""

    def __init__(self, weights: memoryview) -> None:
        self.elements = 0
        self.layers: dict[str, str] = {}  # type by id, in the order of the file
        self.constants: dict[str, tuple[int, ...]] = {}  # shape by id
        self.scalars: dict[str, float] = {}  # value by id, of constants that are one number
        self.sources: dict[str, list[str]] = {}  # ids that a layer reads
        self.ports: dict[str, list[str]] = {}  # and where they enter it
        self._id = ""
        self._weights = weights
        self._depth = 0
        self._free = 0  # depth of the `rt_info` that is open: notes, which are not looked into
        self._layer = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        self.elements += 1
        self._depth += 1
        if self.elements > MAX_ELEMENTS or self._depth > MAX_DEPTH:
            raise Damaged(f"expected at most {MAX_ELEMENTS} elements, nested {MAX_DEPTH} deep")
        if self._free:
            return
        if name not in _ELEMENTS or (name == "net") != (self._depth == 1):
            raise Damaged(
                f"it has an element <{name[:40]}> that no exporter of ours writes, as loops and branches do"
            )
        if name == "rt_info":
            self._free = self._depth
        elif name == "layer":
            self._start_layer(attributes)
        elif name == "data":
            self._check_data(attributes)
        elif name == "edge":
            reader = self.sources.setdefault(attributes.get("to-layer", ""), [])
            reader.append(attributes.get("from-layer", ""))
            self.ports.setdefault(attributes.get("to-layer", ""), []).append(attributes.get("to-port", ""))

    def end(self, name: str) -> None:
        """An element ends."""
        if self._free == self._depth:
            self._free = 0
        self._depth -= 1

    def _start_layer(self, attributes: dict[str, str]) -> None:
        kind, version = attributes.get("type", ""), attributes.get("version", "")
        if kind not in LAYERS or not _VERSION.match(version):
            raise Damaged(f"it has a layer {version[:40]}.{kind[:40]}, which no exporter of ours writes")
        self._layer, self._id = kind, attributes.get("id", "")
        if self._id in self.layers:
            raise Damaged(f"it has the layer {self._id[:40]!r} twice")
        self.layers[self._id] = kind

    def _check_data(self, attributes: dict[str, str]) -> None:
        if self._layer != "Const":
            if "offset" in attributes:
                raise Damaged(f"its layer {self._layer} reads from the weights")
            return
        offset, size = (_whole(attributes.get(name, "")) for name in ("offset", "size"))
        sizes = [_whole(each.strip()) for each in attributes.get("shape", "").split(",") if each.strip()]
        self.constants[self._id] = tuple(sizes)
        needed = -(-math.prod(sizes[:16]) * _bits(attributes.get("element_type", "")) // 8)
        if offset + size > len(self._weights) or size != needed:
            raise Damaged(
                f"a constant of shape {tuple(sizes[:9])} reads {size} bytes at {offset} "
                f"of {len(self._weights)} bytes of weights"
            )
        if attributes["element_type"] in _SCALARS and math.prod(sizes) == 1:
            content = self._weights[offset : offset + size]
            self.scalars[self._id] = np.frombuffer(content, _SCALARS[attributes["element_type"]])[0].item()


def _check_unpacking(walk: _Walk) -> None:
    """What depends on constants alone is no more than the weights, unpacked."""
    shapes: dict[str, tuple[int, ...]] = {}  # by id, of layers that depend on constants alone
    seen: set[str] = set()
    for layer, kind in walk.layers.items():
        sources = walk.sources.get(layer, [])
        if not seen.issuperset(sources):
            raise Damaged(f"its layer {kind} comes before what it reads")
        seen.add(layer)
        if kind == "Const":
            shapes[layer] = walk.constants.get(layer, ())
        elif sources and all(source in shapes for source in sources):
            if kind == "Range":
                shapes[layer] = (_length([walk.scalars.get(source, math.nan) for source in sources]),)
            else:
                shapes[layer] = _unpacked(kind, [shapes[source] for source in sources])


def _check_sizing(walk: _Walk) -> None:
    """What decides a size is few numbers, and so is all that they come from."""
    most: dict[str, float] = {}  # numbers by id; infinite where they come from more than sizes and constants
    for layer, kind in walk.layers.items():
        sources = walk.sources.get(layer, [])
        held = [most[source] for source in sources]
        sizes = [
            count
            for count, port in zip(held, walk.ports.get(layer, []))
            if kind == "Range" or (kind in _SIZED and port != "0" and (kind, port) != ("Gather", "1"))
        ]
        if max(sizes, default=0) > MAX_NUMBERS:
            raise Damaged(f"its layer {kind} takes a size from what may be more than {MAX_NUMBERS} numbers")
        if kind == "ShapeOf":
            most[layer] = MAX_RANK
        elif kind == "Const":
            most[layer] = math.prod(walk.constants.get(layer, ()))
        elif kind == "Range" and walk.scalars.keys() >= set(sources):
            most[layer] = MAX_RANGE  # as was looked at above
        elif kind == "Concat":
            most[layer] = sum(held)
        elif kind in _FIRST and held:
            most[layer] = held[walk.ports[layer].index("0")] if "0" in walk.ports[layer] else math.inf
        else:
            most[layer] = math.prod(held) if kind in _TOGETHER and held else math.inf


def _length(ends: list[float]) -> int:
    """Values of a `Range`: the axes that a layer norm goes over."""
    start, stop, step = ends if len(ends) == 3 else [math.nan] * 3
    count = (stop - start) / step if step else math.nan
    if not abs(count) < MAX_RANGE:
        raise Damaged(f"its layer Range makes more than {MAX_RANGE} values from constants alone")
    return max(0, math.ceil(count))


def _unpacked(kind: str, shapes: list[tuple[int, ...]]) -> tuple[int, ...]:
    if kind in _KEEPING:
        return shapes[0]
    if kind in _RESHAPING:
        return (math.prod(shapes[0]),)  # the order of its axes is not followed further
    if kind in _ALIKE and len(shapes) == 2:
        short, long = sorted(shapes, key=lambda shape: (math.prod(shape), len(shape)))
        if len(short) <= len(long) and all(a in (1, b) for a, b in zip(short[::-1], long[::-1])):
            return long
    raise Damaged(f"its layer {kind} computes from constants alone, which no exporter of ours writes")


def _bits(kind: str) -> int:
    found = _NUMBER.match(kind)
    if found:
        return int(found[1])
    if kind not in _BITS:
        raise Damaged(f"a constant is of type {kind[:40]!r}")
    return _BITS[kind]


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 19):
        raise Damaged(f"expected a whole number, got {text[:40]!r}")
    return int(text)
