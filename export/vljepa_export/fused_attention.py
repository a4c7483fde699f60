"""Attention over many tokens as ONNX Runtime's one node, whose kernel for CPUs never writes a score per pair down.

That kernel takes no mask. So where padding is hidden, queries and keys get one dimension more: queries have a 1 there,
keys what is added to the scores of their column, over the scale. Nothing is left of the difference but rounding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from vljepa_quant.graph_editor import GraphEditor, attributes

__all__ = ["fuse_attention"]

Shapes = Mapping[str, tuple[int | str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Site:
    """One attention that can be fused.

    Attributes:
        sources: Queries, keys and values (B, N, heads, head_dim), the latter two perhaps of fewer heads.
        bias: What is added to the scores (B, 1, 1, N); empty for nothing.
        heads: Of the queries.
        kv_heads: Of keys and values.
        head_dim: Of all of them.
        scale: Of the scores.
        end: Gives the result (B, N, heads, head_dim).
    """

    sources: tuple[str, str, str]
    bias: str
    heads: int
    kv_heads: int
    head_dim: int
    scale: float
    end: onnx.NodeProto


def fuse_attention(editor: GraphEditor, shapes: Shapes) -> None:
    """Attention (opset 23), also of stacked queries and with a bias of padding, as MultiHeadAttention of (B, N, width).

    Pays for long sequences. Over 2,048 + 32 tokens one attention of 32 heads of 64 took 0.3 times as long as in plain
    operators (two busy cores with AMX). For 256 tokens of width 192 it took 1.00-1.09 times as long in fp32 and
    0.93-1.03 times in int8 (two busy Zen 4 cores, alternate runs), so it is off by default and engines stay free.
    """
    columns: dict[tuple[str, int, float], str] = {}
    for node in editor.of_type("Attention"):
        site = _site(editor, shapes, node)
        if site is not None:
            nodes = _written(editor, site, columns)
            editor.replace(site.end, nodes[-1:])
            editor.replace(node, nodes[:-1])


def _site(editor: GraphEditor, shapes: Shapes, node: onnx.NodeProto) -> _Site | None:
    """None for attention of another kind: with a cache, causal, of other sizes, or read elsewhere too."""
    options = attributes(node)
    odd = {name for name, value in options.items() if value} - {"scale"}
    if odd or "scale" not in options or len(node.output) != 1 or not 3 <= len(node.input) <= 4:
        return None
    query, key, value, *rest = node.input
    bias, end = rest[0] if rest else "", node.output[0]
    stack = editor.producer(query)
    if stack is not None and stack.op_type == "Reshape":  # the queries of a group one below the other
        unstack = _only_reader(editor, end, "Reshape")
        if unstack is None or shapes.get(unstack.output[0]) != shapes.get(stack.input[0]):
            return None
        query, end = stack.input[0], unstack.output[0]
    after = _only_reader(editor, end, "Transpose")
    if after is None or _untransposed(editor, after.output[0]) is None:
        return None
    sources = [_untransposed(editor, tensor) for tensor in (query, key, value)]
    sizes = _sizes(shapes, query, key, value, bias)
    if None in sources or sizes is None:
        return None
    heads, kv_heads, head_dim = sizes
    return _Site(
        sources=(str(sources[0]), str(sources[1]), str(sources[2])), bias=bias, heads=heads, kv_heads=kv_heads,
        head_dim=head_dim, scale=options["scale"], end=after,
    )  # fmt: skip


def _sizes(shapes: Shapes, query: str, key: str, value: str, bias: str) -> tuple[int, int, int] | None:
    """Heads of queries, of keys and values, and their width, where these are numbers that fit together."""
    found = [shapes.get(tensor, ()) for tensor in (query, key, value)]
    if any(len(shape) != 4 for shape in found):
        return None
    (rows, heads, _, width), (_, kv_heads, _, _), _ = found
    if not (isinstance(heads, int) and isinstance(kv_heads, int) and isinstance(width, int)):
        return None
    alike = found[1] == found[2] and found[1][3] == width and heads % kv_heads == 0
    hidden = not bias or (len(shape := shapes.get(bias, ())) == 4 and shape[:3] == (rows, 1, 1))
    return (heads, kv_heads, width) if alike and hidden else None


def _written(
    editor: GraphEditor, site: _Site, columns: dict[tuple[str, int, float], str]
) -> list[onnx.NodeProto]:
    """The nodes, of which the last one takes the place of `site.end`."""
    nodes: list[onnx.NodeProto] = []
    query, key, value = site.sources
    width, groups = site.head_dim, site.heads // site.kv_heads
    if site.bias:
        query, key = _one_dimension_more(editor, site, columns, nodes)
        width += 1
    flats = [
        _chain(editor, query, (("Reshape", (0, 0, site.heads * width)),), nodes),
        _flat_heads(editor, key, site.kv_heads, groups, width, nodes),
        _flat_heads(editor, value, site.kv_heads, groups, site.head_dim, nodes),
    ]
    mixed = editor.fresh(f"{site.end.output[0]}_mixed")
    nodes.append(
        editor.make(
            "MultiHeadAttention", flats, mixed, domain="com.microsoft", num_heads=site.heads, scale=site.scale
        )
    )
    apart = editor.constant("shape", np.array((0, 0, site.heads, site.head_dim), np.int64))
    return [*nodes, editor.make("Reshape", (mixed, apart), site.end.output[0])]


def _one_dimension_more(
    editor: GraphEditor,
    site: _Site,
    columns: dict[tuple[str, int, float], str],
    nodes: list[onnx.NodeProto],
) -> tuple[str, str]:
    """Queries with a 1 and keys with their bias at the end of each head; the biases are worked out once."""
    known = (site.bias, site.kv_heads, site.scale)
    if known not in columns:
        turned = _chain(editor, site.bias, (("Reshape", (0, -1, 1, 1)),), nodes)
        unscaled = editor.fresh(f"{site.bias}_unscaled")
        inverse = editor.constant("inverse_scale", np.float32(1) / np.float32(site.scale))
        nodes.append(editor.make("Mul", (turned, inverse), unscaled))
        columns[known] = _chain(editor, unscaled, (("Expand", (1, 1, site.kv_heads, 1)),), nodes)
    query, key = (editor.fresh(f"{name}_longer") for name in site.sources[:2])
    ends = editor.constant("one_at_the_end", np.array((0, 0, 0, 0, 0, 0, 0, 1), np.int64))
    one = editor.constant("one", np.float32(1))
    nodes.append(editor.make("Pad", (site.sources[0], ends, one), query))
    nodes.append(editor.make("Concat", (site.sources[1], columns[known]), key, axis=-1))
    return query, key


def _flat_heads(
    editor: GraphEditor, tensor: str, kv_heads: int, groups: int, width: int, nodes: list[onnx.NodeProto]
) -> str:
    """(B, N, kv_heads, width) as (B, N, kv_heads * groups * width), each head repeated in place."""
    flat = ("Reshape", (0, 0, kv_heads * groups * width))
    if groups == 1:
        return _chain(editor, tensor, (flat,), nodes)
    repeated = (("Reshape", (0, 0, kv_heads, 1, width)), ("Expand", (1, 1, 1, groups, 1)), flat)
    return _chain(editor, tensor, repeated, nodes)


def _chain(
    editor: GraphEditor,
    tensor: str,
    steps: Sequence[tuple[str, Sequence[int]]],
    nodes: list[onnx.NodeProto],
) -> str:
    """Operators that take a shape, one after the other."""
    for kind, shape in steps:
        out = editor.fresh(f"{tensor}_{kind.lower()}")
        nodes.append(editor.make(kind, (tensor, editor.constant("shape", np.array(shape, np.int64))), out))
        tensor = out
    return tensor


def _only_reader(editor: GraphEditor, tensor: str, kind: str) -> onnx.NodeProto | None:
    readers = editor.consumers(tensor)
    only = len(readers) == 1 and tensor not in editor.outputs and readers[0].op_type == kind
    return readers[0] if only else None


def _untransposed(editor: GraphEditor, tensor: str) -> str | None:
    """What a swap of the two middle axes made into `tensor`."""
    node = editor.producer(tensor)
    if node is None or node.op_type != "Transpose" or list(attributes(node)["perm"]) != [0, 2, 1, 3]:
        return None
    return str(node.input[0])
