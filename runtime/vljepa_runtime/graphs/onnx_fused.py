"""Rules of ONNX Runtime's fused operators. Stricter than the library, whose kernels read where they are told to.

Lengths of rows and positions decide where a kernel reads: lengths must be ones that were counted over a row, positions
must begin at 0 and tables must have a row for each.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from vljepa_runtime.graphs.limits import HEADS
from vljepa_runtime.graphs.onnx_file import Node
from vljepa_runtime.graphs.onnx_known import Inputs, Known, Rule, Shape, shape_at

__all__ = ["FUSED", "FUSED_NORM", "MICROSOFT", "largest"]

MICROSOFT = "com.microsoft"
_BOOL, _WHOLE = 9, (6, 7)  # onnx.TensorProto.DataType
_MASK, _BIAS = 4, 5  # inputs of MultiHeadAttention
_LARGEST = 1 << 24


def largest(node: Node, inputs: Inputs, shape: Shape) -> int | None:
    """`Known.most` of what a node gives: truth values are 0 or 1, and their sum is at most their number."""
    first = inputs[0] if inputs else None
    if node.kind == "Cast" and node.attributes["to"] == _BOOL:
        return 1
    if first is None or first.most is None:
        return None
    if node.kind == "Cast" and node.attributes["to"] in _WHOLE:
        return first.most
    if node.kind == "ReduceSum":
        total = first.most * (math.prod(first.shape) // max(1, math.prod(shape)))
        return total if total <= _LARGEST else None
    return None


def _attention(node: Node, inputs: Inputs) -> list[Shape]:
    """MultiHeadAttention on (B, N, width) queries, keys and values."""
    if not 3 <= len(inputs) <= 6 or len(node.outputs) != 1 or any(inputs[3:_MASK]):
        raise ValueError("expected queries, keys and values, then lengths of rows or a bias a pair alone")
    query, key, value = (shape_at(inputs, place) for place in (0, 1, 2))
    heads = node.attributes["num_heads"]
    if not 0 < heads <= HEADS or query[2] % heads or value[2] % heads or query[2] != key[2]:
        raise ValueError(f"{heads} heads of {query[2]} and {value[2]} values")
    if key[:2] != value[:2] or key[0] != query[0]:
        raise ValueError("keys and values are not of the rows of the queries")
    lengths, bias = (inputs[place] if len(inputs) > place else None for place in (_MASK, _BIAS))
    if lengths is not None:
        _check_lengths(lengths, rows=key[0], width=key[1])
    if bias is not None and bias.shape not in {(rows, 1, query[1], key[1]) for rows in (1, query[0])}:
        raise ValueError("its bias is not one a pair of tokens")
    return [(query[0], query[1], value[2])]


def _check_lengths(lengths: Known, *, rows: int, width: int) -> None:
    if lengths.shape != (rows,) or lengths.most is None or lengths.most > width:
        raise ValueError("its lengths of rows are not counted over them")


def _rotary(node: Node, inputs: Inputs) -> list[Shape]:
    """RotaryEmbedding of (B, N, heads * width) at positions 0 .. N - 1."""
    x, cos, sin = (shape_at(inputs, place) for place in (0, 2, 3))
    start, heads = inputs[1], node.attributes["num_heads"]
    if len(inputs) != 4 or len(x) != 3 or heads < 1 or x[2] % (2 * heads):
        raise ValueError(f"{heads} heads of {x[-1]} values")
    width = x[2] // heads
    odd = {"interleaved", "is_packed_batching", "scale"} & {
        key for key, value in node.attributes.items() if value
    }
    if node.attributes.get("rotary_embedding_dim", width) != width or odd:
        raise ValueError("it turns a part of each head, or in another order")
    if start is None or start.shape != (1,) or start.values is None or start.values.tolist() != [0]:
        raise ValueError("its positions do not begin at 0")
    if cos != (x[1], width // 2) or sin != cos:
        raise ValueError("its tables have not a row for each position")
    return [x]


def _norm(node: Node, inputs: Inputs) -> list[Shape]:
    """SimplifiedLayerNormalization over the last axis."""
    x = shape_at(inputs, 0)
    if len(inputs) != 2 or len(node.outputs) != 1 or node.attributes.get("axis", -1) not in (-1, len(x) - 1):
        raise ValueError("expected a norm of the last axis with a scale alone")
    _check_vectors(inputs, (1,), x[-1])
    return [x]


def _skip_norm(node: Node, inputs: Inputs) -> list[Shape]:
    """SkipLayerNormalization (scale, shift, bias) and SkipSimplifiedLayerNormalization (scale, bias)."""
    x, skip = shape_at(inputs, 0), shape_at(inputs, 1)
    if len(x) != 3 or skip != x or len(inputs) < 3 or len(inputs) > (5 if node.kind[4] == "L" else 4):
        raise ValueError("expected two tensors of one shape, and vectors")
    _check_vectors(inputs, range(2, len(inputs)), x[-1])
    return [x, (), (), x][: len(node.outputs)]


def _biased(node: Node, inputs: Inputs) -> list[Shape]:
    """BiasGelu."""
    x = shape_at(inputs, 0)
    _check_vectors(inputs, range(1, len(inputs)), x[-1])
    return [x]


def _check_vectors(inputs: Inputs, places: Iterable[int], width: int) -> None:
    if any((item := inputs[place]) is not None and item.shape != (width,) for place in places):
        raise ValueError(f"its vectors are not of {width} values")


def _same(node: Node, inputs: Inputs) -> list[Shape]:
    return [shape_at(inputs, 0)]


FUSED_NORM: Rule = _norm
FUSED: Mapping[str, Rule] = {
    "BiasGelu": _biased,
    "MultiHeadAttention": _attention,
    "QuickGelu": _same,
    "RotaryEmbedding": _rotary,
    "SkipLayerNormalization": _skip_norm,
    "SkipSimplifiedLayerNormalization": _skip_norm,
}
