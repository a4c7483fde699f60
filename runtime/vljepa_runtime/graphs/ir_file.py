"""An OpenVINO IR as far as it must be known before an engine sees it: what its layers are and which weights they read.

Its weights lie in the one `.bin` beside it. How large its tensors grow is asked of OpenVINO itself, between reading and
compiling (`engines/openvino.py`): its sizes do not stand in the file in a way that a reader must believe.
"""

from __future__ import annotations

import math
import re
from xml.parsers import expat

from vljepa_runtime.graphs.wire import Damaged

__all__ = ["LAYERS", "check_ir"]

# Generous for what is exported here: `tiny` in int8 has 8,000 elements a graph, nested 7 deep.
MAX_BYTES = 256 << 20
MAX_ELEMENTS = 4_000_000
MAX_DEPTH = 32

# Layers are flat: a body is what a loop or a branch holds.
_ELEMENTS = {"net", "layers", "layer", "data", "input", "output", "port", "dim", "edges", "edge", "rt_info"}
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


def check_ir(content: memoryview, weights: int) -> None:
    """Walk an IR.

    Args:
        content: The XML.
        weights: Size of the `.bin` beside it.

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
    if not walk.elements or walk.layer_types == 0:
        raise Damaged("it holds no layers")


def _no_doctype(*_: object) -> None:
    raise Damaged("it has a DOCTYPE, which can name other files")


class _Walk:
    """What a parser tells, held to the rules."""

    def __init__(self, weights: int) -> None:
        self.elements = 0
        self.layer_types = 0
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

    def end(self, name: str) -> None:
        """An element ends."""
        if self._free == self._depth:
            self._free = 0
        self._depth -= 1

    def _start_layer(self, attributes: dict[str, str]) -> None:
        kind, version = attributes.get("type", ""), attributes.get("version", "")
        if kind not in LAYERS or not _VERSION.match(version):
            raise Damaged(f"it has a layer {version[:40]}.{kind[:40]}, which no exporter of ours writes")
        self._layer = kind
        self.layer_types += 1

    def _check_data(self, attributes: dict[str, str]) -> None:
        if self._layer != "Const":
            if "offset" in attributes:
                raise Damaged(f"its layer {self._layer} reads from the weights")
            return
        offset, size = (_whole(attributes.get(name, "")) for name in ("offset", "size"))
        sizes = [_whole(each.strip()) for each in attributes.get("shape", "").split(",") if each.strip()]
        needed = -(-math.prod(sizes[:16]) * _bits(attributes.get("element_type", "")) // 8)
        if offset + size > self._weights or size != needed:
            raise Damaged(
                f"a constant of shape {tuple(sizes[:9])} reads {size} bytes at {offset} "
                f"of {self._weights} bytes of weights"
            )


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
