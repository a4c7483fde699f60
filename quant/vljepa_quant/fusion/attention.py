"""Attention as com.microsoft.MultiHeadAttention over (B, N, width), its rotary angles in as few kernels as there are.

Where a mask hides padding at the end of rows, the node gets their lengths: a kernel that knows them never looks there.
Keys and values of grouped heads are repeated, 8 MB a layer at paper size, which took no measurable time on an H200.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto

from vljepa_quant.fusion.matching import MICROSOFT, followed, made_by, only_reader, transposed
from vljepa_quant.fusion.rotary import Rotary
from vljepa_quant.graph_editor import GraphEditor, attributes

__all__ = ["fuse_attention"]

HEADS_FIRST, TURNED = (0, 2, 1, 3), (0, 1, 3, 2)
REPEATED = ("Reshape", "Expand", "Unsqueeze")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Site:
    """One attention of a graph.

    Attributes:
        sources: Queries, keys and values (B, N, heads, head_dim), the latter two perhaps of fewer heads.
        bias: What is added to the scores; empty for nothing.
        scale: Of the scores.
        end: Makes the result (B, N, heads * head_dim).
    """

    sources: tuple[str, str, str]
    bias: str
    scale: float
    end: onnx.NodeProto


def fuse_attention(editor: GraphEditor, kind: int) -> None:
    """Fuse every attention over the tokens of one run; one with a cache from before stays.

    Args:
        editor: The graph.
        kind: See `fuse`.
    """
    rotary, lengths = Rotary(editor, kind), _Lengths(editor)
    for site in list(_sites(editor)):
        turned = rotary.projections(site.sources)
        if turned is None or not (hidden := lengths.inputs(site.bias)):
            continue
        nodes = [*turned.nodes, *hidden.nodes]
        groups = turned.heads // turned.kv_heads
        inputs = [turned.query] + [
            _repeated(editor, name, turned.kv_heads, groups, turned.head_dim, nodes)
            for name in (turned.key, turned.value)
        ]
        fused = editor.make(
            "MultiHeadAttention", [*inputs, *hidden.names], site.end.output[0],
            domain=MICROSOFT, num_heads=turned.heads, scale=site.scale,
        )  # fmt: skip
        editor.replace(site.end, [*nodes, fused])


def _sites(editor: GraphEditor) -> Iterator[_Site]:
    for node in editor.of_type("Softmax", "MultiHeadAttention"):
        site = _unfused(editor, node) if node.op_type == "Softmax" else _fused(editor, node)
        if site is not None:
            yield site


def _unfused(editor: GraphEditor, softmax: onnx.NodeProto) -> _Site | None:
    """Scaled queries times turned keys, softmax, times values; queries of a group may be stacked."""
    scores, bias = softmax.input[0], ""
    if added := made_by(editor, scores, "Add"):
        scores, bias = added.input
    product, mixed = made_by(editor, scores, "MatMul"), only_reader(editor, softmax.output[0], "MatMul")
    scaled = made_by(editor, product.input[0], "Mul") if product is not None else None
    if product is None or mixed is None or scaled is None or scaled.input[1] not in editor.constants:
        return None
    keys, values = transposed(editor, product.input[1], TURNED), mixed.input[1]
    if keys is None:
        return None
    sources = [
        transposed(editor, followed(editor, tensor, through) or tensor, HEADS_FIRST)
        for tensor, through in ((scaled.input[0], ("Reshape",)), (keys, REPEATED), (values, REPEATED))
    ]
    end = only_reader(editor, mixed.output[0], "Transpose", "Reshape")
    if end is not None and end.op_type == "Reshape":
        end = only_reader(editor, end.output[0], "Transpose")
    end = only_reader(editor, end.output[0], "Reshape") if end is not None else None
    if end is None or None in sources:
        return None
    query, key, value = map(str, sources)
    scale = float(editor.constants[scaled.input[1]])
    return _Site(sources=(query, key, value), bias=bias, scale=scale, end=end)


def _fused(editor: GraphEditor, node: onnx.NodeProto) -> _Site | None:
    """What the exporter has fused already: between reshapes, perhaps of repeated heads, and with a bias in the keys."""
    if len(node.input) != 3:
        return None
    query, key, value = (_before_flat(editor, name) for name in node.input)
    apart = only_reader(editor, node.output[0], "Reshape")
    end = only_reader(editor, apart.output[0], "Reshape") if apart is not None else None
    if end is None or None in (query, key, value):
        return None
    bias, longer = "", made_by(editor, str(key), "Concat")
    if longer is not None:
        key, column = longer.input
        query = followed(editor, str(query), ("Pad",))
        bias = followed(editor, column, ("Expand", "Mul", "Reshape")) or ""
        if query is None or not bias:
            return None
    sources = (str(query), str(key), str(value))
    return _Site(sources=sources, bias=bias, scale=attributes(node)["scale"], end=end)


def _before_flat(editor: GraphEditor, tensor: str) -> str | None:
    """Heads apart, before they were repeated and laid side by side."""
    repeated = followed(editor, tensor, ("Reshape", "Expand", "Reshape"))
    return repeated or followed(editor, tensor, ("Reshape",))


def _repeated(
    editor: GraphEditor, tensor: str, kv_heads: int, groups: int, width: int, nodes: list[onnx.NodeProto]
) -> str:
    """Keys or values (B, N, kv_heads * width) with every head repeated in place."""
    if groups == 1:
        return tensor
    apart, wide, flat = (editor.fresh(f"{tensor}_{part}") for part in ("apart", "wide", "flat"))
    shapes = [
        editor.constant("shape", np.array(shape, np.int64))
        for shape in ((0, 0, kv_heads, 1, width), (1, 1, 1, groups, 1), (0, 0, kv_heads * groups * width))
    ]
    nodes += [
        editor.make("Reshape", (tensor, shapes[0]), apart),
        editor.make("Expand", (apart, shapes[1]), wide),
        editor.make("Reshape", (wide, shapes[2]), flat),
    ]
    return flat


@dataclass(frozen=True, slots=True)
class _Hidden:
    """What the node gets after queries, keys and values, and what makes it."""

    names: tuple[str, ...] = ()
    nodes: tuple[onnx.NodeProto, ...] = ()

    def __bool__(self) -> bool:
        """Always: nothing to hide is an answer, too."""
        return True


class _Lengths:
    """Masks as the lengths of rows, each worked out once."""

    def __init__(self, editor: GraphEditor) -> None:
        self.editor = editor
        self._known: dict[str, str] = {}

    def inputs(self, bias: str) -> _Hidden | None:
        """None for a bias that is neither of padding alone nor of one value a pair of tokens."""
        if not bias:
            return _Hidden()
        if bias in self._known:
            return _Hidden(("", self._known[bias]))
        mask = self._mask(bias)
        if mask is None:
            pairs = made_by(self.editor, bias, "Add")  # of near tokens and of padding: (B, 1, N, N)
            return _Hidden(("", "", bias)) if pairs is not None else None
        seen, ones, lengths = (self.editor.fresh(f"{mask}_{part}") for part in ("seen", "ones", "lengths"))
        axis = self.editor.constant("row_axis", np.array((1,), np.int64))
        self._known[bias] = lengths
        # Ones counted over a row lie between 0 and its width, whatever the mask says: `graphs` asks for this form.
        nodes = (
            self.editor.make("Cast", (mask,), seen, to=TensorProto.BOOL),
            self.editor.make("Cast", (seen,), ones, to=TensorProto.INT32),
            self.editor.make("ReduceSum", (ones, axis), lengths, keepdims=0),
        )
        return _Hidden(("", lengths), nodes)

    def _mask(self, bias: str) -> str | None:
        """The mask (B, N) of `(1 - mask) * hidden`, unsqueezed to (B, 1, 1, N)."""
        inner = followed(self.editor, bias, ("Unsqueeze", "Mul"))
        subtracted = made_by(self.editor, inner, "Sub") if inner is not None else None
        if subtracted is None or subtracted.input[0] not in self.editor.constants:
            return None
        return str(subtracted.input[1])
