"""From the rotated heads of an attention back to the product they came from, and forward again in fewer kernels.

Llama's angles are one kernel, RotaryEmbedding. V-JEPA 2 turns the two halves of a head by different angles, which that
kernel cannot: its tables are spread over all heads once, so that every block multiplies equal shapes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto

from vljepa_quant.fusion.matching import MICROSOFT, constant_side, made_by
from vljepa_quant.graph_editor import GraphEditor, attributes

__all__ = ["Rotary", "Turned"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turned:
    """Queries and keys after their rotation, and values, each (B, N, its heads * head_dim)."""

    query: str
    key: str
    value: str
    heads: int
    kv_heads: int
    head_dim: int
    nodes: tuple[onnx.NodeProto, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Projection:
    """The product that all three come from: x @ weight [+ bias], and a norm of heads that may follow."""

    x: str
    name: str
    weight: Array
    bias: Array | None
    norm: tuple[onnx.NodeProto, ...]


class Rotary:
    """Rewrites rotations; tables are made once for all blocks that share them.

    Args:
        editor: The graph.
        kind: See `fuse`.
    """

    def __init__(self, editor: GraphEditor, kind: int) -> None:
        self.editor, self._kind = editor, kind
        self._tables: dict[tuple[str, ...], tuple[str, str]] = {}

    def projections(self, sources: Sequence[str]) -> Turned | None:
        """What to give to an attention over these heads; None where they are made in another way.

        Args:
            sources: Queries, keys and values (B, N, heads, head_dim).
        """
        query, key, value = sources
        cut = made_by(self.editor, query, "Split")
        added = made_by(self.editor, cut.input[0], "Add") if cut is not None else None
        straight = made_by(self.editor, added.input[0], "Mul") if added is not None else None
        swapped = made_by(self.editor, added.input[1], "Mul") if added is not None else None
        first = made_by(self.editor, value, "Split")
        if cut is None or straight is None or swapped is None or first is None or key != cut.output[1]:
            return None
        view = made_by(self.editor, first.input[0], "Reshape")
        found = self._projection(view, straight.input[0], first.output[0]) if view is not None else None
        if view is None or found is None or value != first.output[1]:
            return None
        head_dim = int(self.editor.constants[view.input[1]][-1])
        heads, kv_heads = (int(size) for size in self.editor.constants[cut.input[1]])
        return self._written(found, heads, kv_heads, head_dim, (straight.input[1], swapped.input[1]), value)

    def _projection(self, view: onnx.NodeProto, turning: str, raw: str) -> _Projection | None:
        product, bias = made_by(self.editor, view.input[0], "MatMul", "Add"), None
        if product is not None and product.op_type == "Add":
            side = constant_side(self.editor, product)
            product = made_by(self.editor, side[0], "MatMul") if side is not None else None
            bias = side[1] if side is not None else None
        weight = self.editor.constants.get(product.input[1]) if product is not None else None
        norm: list[onnx.NodeProto] = []
        while turning != raw:  # SimplifiedLayerNormalization and the scales of its heads
            node = made_by(self.editor, turning, "Mul", "SimplifiedLayerNormalization")
            if node is None or len(norm) == 2:
                return None
            norm.insert(0, node)
            turning = node.input[0]
        if product is None or weight is None:
            return None
        return _Projection(
            x=product.input[0], name=product.input[1], weight=weight, bias=bias, norm=tuple(norm)
        )

    def _written(
        self,
        found: _Projection,
        heads: int,
        kv_heads: int,
        head_dim: int,
        tables: tuple[str, str],
        value: str,
    ) -> Turned:
        width = (heads + kv_heads) * head_dim
        nodes: list[onnx.NodeProto] = []
        both = self._product(found, slice(None, width), f"{value}_turning", nodes)
        values = self._product(found, slice(width, None), f"{value}_flat", nodes)
        both = self._normed(found.norm, both, heads + kv_heads, head_dim, nodes)
        angles = self._shared_angle(tables)
        turn = self._in_one if angles else self._in_halves
        rotated = turn(both, heads + kv_heads, head_dim, angles or tables, nodes)
        query, key = self.editor.fresh(f"{value}_query"), self.editor.fresh(f"{value}_key")
        sizes = self.editor.constant("sizes", np.array((heads * head_dim, kv_heads * head_dim), np.int64))
        nodes.append(self.editor.make("Split", (rotated, sizes), (query, key), axis=2))
        return Turned(
            query=query, key=key, value=values, heads=heads, kv_heads=kv_heads, head_dim=head_dim,
            nodes=tuple(nodes),
        )  # fmt: skip

    def _product(self, found: _Projection, columns: slice, out: str, nodes: list[onnx.NodeProto]) -> str:
        part = "values" if columns.stop is None else "turning"
        weight = self.editor.constant(f"{found.name}.{part}", found.weight[:, columns])
        out = self.editor.fresh(out)
        nodes.append(self.editor.make("MatMul", (found.x, weight), out))
        if found.bias is None:
            return out
        biased = self.editor.fresh(f"{out}_biased")
        bias = self.editor.constant(f"{found.name}.{part}.bias", found.bias[columns])
        nodes.append(self.editor.make("Add", (out, bias), biased))
        return biased

    def _normed(
        self, norm: Sequence[onnx.NodeProto], x: str, heads: int, head_dim: int, nodes: list[onnx.NodeProto]
    ) -> str:
        if not norm:
            return x
        x = self._reshaped(x, (0, 0, heads, head_dim), nodes)
        for node in norm:
            out = self.editor.fresh(f"{x}_normed")
            rest = [name for name in node.input if name in self.editor.constants]
            nodes.append(self.editor.make(node.op_type, (x, *rest), out, **attributes(node)))
            x = out
        return self._reshaped(x, (0, 0, heads * head_dim), nodes)

    def _reshaped(self, x: str, shape: Sequence[int], nodes: list[onnx.NodeProto]) -> str:
        out = self.editor.fresh(f"{x}_shaped")
        sizes = self.editor.constant("shape", np.array(shape, np.int64))
        nodes.append(self.editor.make("Reshape", (x, sizes), out))
        return out

    def _shared_angle(self, tables: tuple[str, str]) -> tuple[str, ...] | None:
        """The angles (1, N, head_dim / 2) where both halves of a head turn by the same, at positions of one row."""
        cosine = made_by(self.editor, tables[0], "Unsqueeze")
        cosine = made_by(self.editor, cosine.input[0], "Cos") if cosine is not None else None
        row = made_by(self.editor, cosine.input[0], "Unsqueeze") if cosine is not None else None
        product = made_by(self.editor, row.input[0], "Mul") if row is not None else None
        frequencies = constant_side(self.editor, product) if product is not None else None
        if cosine is None or frequencies is None or frequencies[1].ndim != 1:
            return None
        first, second = np.split(frequencies[1], 2)
        halves = [
            node for node in self.editor.consumers(cosine.input[0])
            if node.op_type == "Split" and len(node.output) == 2
        ]  # fmt: skip
        return (str(halves[0].output[1]),) if halves and np.array_equal(first, second) else None

    def _in_one(
        self, x: str, heads: int, head_dim: int, angles: Sequence[str], nodes: list[onnx.NodeProto]
    ) -> str:
        key = tuple(angles)
        if key not in self._tables:
            tables = []
            for kind in ("Cos", "Sin"):
                table = self.editor.fresh(f"{angles[0]}_{kind.lower()}")
                nodes.append(self.editor.make(kind, (angles[0],), table))
                tables.append(self._reshaped(table, (-1, head_dim // 2), nodes))
            self._tables[key] = tables[0], tables[1]
        start = self.editor.constant("first_position", np.zeros(1, np.int64))
        out = self.editor.fresh(f"{x}_rotated")
        nodes.append(
            self.editor.make(
                "RotaryEmbedding", (x, start, *self._tables[key]), out, domain=MICROSOFT,
                num_heads=heads, rotary_embedding_dim=head_dim, interleaved=0,
            )
        )  # fmt: skip
        return out

    def _in_halves(
        self, x: str, heads: int, head_dim: int, tables: Sequence[str], nodes: list[onnx.NodeProto]
    ) -> str:
        key = tuple(tables)
        if key not in self._tables:
            wide = [self._spread(table, heads, head_dim, nodes) for table in tables]
            self._tables[key] = wide[0], wide[1]
        cos, sin = self._tables[key]
        apart = self._reshaped(x, (0, 0, heads, 2, head_dim // 2), nodes)
        names = ("swapped", "straight", "crossed", "rotated")
        swapped, straight, crossed, out = (self.editor.fresh(f"{x}_{part}") for part in names)
        ends = [
            self.editor.constant("swap", np.array((value,), np.int64))
            for value in (-1, np.iinfo(np.int64).min, 3, -1)
        ]
        nodes.append(self.editor.make("Slice", (apart, *ends), swapped))
        flat = self._reshaped(swapped, (0, 0, heads * head_dim), nodes)
        nodes += [
            self.editor.make("Mul", (x, cos), straight),
            self.editor.make("Mul", (flat, sin), crossed),
            self.editor.make("Add", (straight, crossed), out),
        ]
        return out

    def _spread(self, table: str, heads: int, head_dim: int, nodes: list[onnx.NodeProto]) -> str:
        """A table (B, N, 1, head_dim) over all heads: (B, N, heads * head_dim)."""
        if self._kind != TensorProto.FLOAT:
            narrow = self.editor.fresh(f"{table}_narrow")
            nodes.append(self.editor.make("Cast", (table,), narrow, to=self._kind))
            table = narrow
        wide = self.editor.fresh(f"{table}_wide")
        shape = self.editor.constant("shape", np.array((1, 1, heads, 1), np.int64))
        nodes.append(self.editor.make("Expand", (table, shape), wide))
        return self._reshaped(wide, (0, 0, heads * head_dim), nodes)
