"""int8 for ONNX Runtime: weights per output channel, activations measured while running, tables per row.

Products are uint8 x int8 (MatMulInteger), the form whose kernels are fast there: int8 x int8 was 10x slower on a Zen 4
CPU, and quantising Softmax or the attention products cost more than it saved, so those stay float.

Gated activations (what SwiGLU hands to the down projection) are divided by their row's largest magnitude first: a token
with one huge value would otherwise set the step of all others, since there is one step per tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from vljepa_quant.errors import QuantError
from vljepa_quant.fusion.activations import split_products
from vljepa_quant.graph_editor import GraphEditor, attributes

__all__ = ["edit", "edit_tables", "quantise_rows"]

Array = npt.NDArray[Any]
LIMIT = 127
BLOCK = 1 << 22  # elements at once
# Elements of gate and up from which on they are two products: cutting what one gives copies all of it.
WIDE = 1 << 22
SMALLEST_ROW = 1e-12  # of a row's largest magnitude: a row of zeros is divided by it


def quantise_rows(weight: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Symmetric int8 with one scale per row.

    Args:
        weight: (R, C) float32.

    Returns:
        (R, C) int8 in -127 .. 127, and scales (R,) float32 with `weight ~= rows * scales[:, None]`.
    """
    rows = np.empty(weight.shape, np.int8)
    scales = np.empty(len(weight), np.float32)
    step = max(1, BLOCK // max(1, weight.shape[1]))
    for start in range(0, len(weight), step):  # in blocks: a token table has a gigabyte
        block = np.ascontiguousarray(weight[start : start + step])
        largest = np.abs(block).max(axis=1).astype(np.float32)
        scale = np.where(largest > 0, largest / np.float32(LIMIT), np.float32(1.0)).astype(np.float32)
        rows[start : start + step] = np.clip(np.rint(block / scale[:, None]), -LIMIT, LIMIT)
        scales[start : start + step] = scale
    return rows, scales


def edit(editor: GraphEditor) -> None:
    """Quantise the constant matrices and token tables of an opened float graph, in standard operators.

    Args:
        editor: Linear layers as MatMul, or Gemm with transB, over a constant; tables as Gather over a constant.

    Raises:
        QuantError: there was nothing to quantise.
    """
    split_products(editor, least=WIDE)
    if not _Quantiser(editor).run():
        name = editor.model.graph.name or "graph"
        raise QuantError(f"{name}: no constant matrix to quantise: use precision fp32")


def edit_tables(editor: GraphEditor) -> int:
    """Quantise token tables alone; the number of look-ups replaced."""
    return _Quantiser(editor).run(("Gather",))


class _Quantiser:
    """One walk over one graph; activations and weights that several nodes read are quantised once."""

    def __init__(self, editor: GraphEditor) -> None:
        self.editor = editor
        self._activations: dict[str, tuple[str, str | None, str | None]] = {}
        self._rows: dict[str, tuple[str, str]] = {}
        self._weights: dict[str, tuple[str, str]] = {}

    def run(self, only: Sequence[str] = ("MatMul", "Gemm", "Gather")) -> int:
        """Quantise everything that fits; the number of nodes replaced."""
        kinds: dict[str, Callable[[onnx.NodeProto], bool]] = {
            "MatMul": self._matmul, "Gemm": self._gemm, "Gather": self._gather,
        }  # fmt: skip
        # Tables last: a table that is also an output matrix then finds it quantised already.
        nodes = [node for kind in only for node in self.editor.of_type(kind)]
        return sum(kinds[node.op_type](node) for node in nodes)

    def _matrix(self, name: str) -> Array | None:
        value = self.editor.constants.get(name)
        if value is None or value.ndim != 2 or value.dtype != np.float32:
            return None
        return value

    def _matmul(self, node: onnx.NodeProto) -> bool:
        if (weight := self._matrix(node.input[1])) is None:
            return False
        self.editor.replace(node, self._product(node.input[0], node.input[1], weight, node.output[0]))
        return True

    def _gemm(self, node: onnx.NodeProto) -> bool:
        options = attributes(node)
        plain = options.get("alpha", 1.0) == options.get("beta", 1.0) == 1.0 and not options.get("transA", 0)
        if not plain or (weight := self._matrix(node.input[1])) is None:
            return False
        turned = weight.T if options.get("transB", 0) else weight
        biased = len(node.input) > 2 and node.input[2]
        out = self.editor.fresh(f"{node.output[0]}_product") if biased else node.output[0]
        nodes = self._product(node.input[0], node.input[1], turned, out)
        if biased:
            nodes.append(self.editor.make("Add", (out, node.input[2]), node.output[0]))
        self.editor.replace(node, nodes)
        return True

    def _gather(self, node: onnx.NodeProto) -> bool:
        """Look up int8 rows and their scales, then multiply: the whole table is never widened."""
        if attributes(node).get("axis", 0) != 0 or (table := self._matrix(node.input[0])) is None:
            return False
        name, ids, base = node.input[0], node.input[1], node.output[0]
        tied = name in self._weights
        integers, scales = self._weights[name] if tied else self._table(name, table)
        rows, row_scales = self.editor.fresh(f"{base}_int8"), self.editor.fresh(f"{base}_scales")
        wide, apart = self.editor.fresh(f"{base}_wide"), self.editor.fresh(f"{base}_scales_apart")
        last = self.editor.constant("last_axis", np.array((-1,), np.int64))
        nodes = [
            self.editor.make("Gather", (integers, ids), rows, axis=1 if tied else 0),
            self.editor.make("Gather", (scales, ids), row_scales, axis=0),
        ]
        if tied:  # stored as (width, V): the new axes of `ids` come second and third
            turned = self.editor.fresh(f"{base}_turned")
            nodes.append(self.editor.make("Transpose", (rows,), turned, perm=[1, 2, 0]))
            rows = turned
        nodes += [
            self.editor.make("Cast", (rows,), wide, to=onnx.TensorProto.FLOAT),
            self.editor.make("Unsqueeze", (row_scales, last), apart),
            self.editor.make("Mul", (wide, apart), base),
        ]
        self.editor.replace(node, nodes)
        return True

    def _table(self, name: str, table: Array) -> tuple[str, str]:
        rows, scales = quantise_rows(table)
        return self.editor.constant(f"{name}.int8", rows), self.editor.constant(f"{name}.scale", scales)

    def _product(self, x: str, name: str, weight: Array, out: str) -> list[onnx.NodeProto]:
        """Nodes for `x @ weight` with weight (K, N), ending in `out`."""
        nodes: list[onnx.NodeProto] = []
        product, largest = out, ""
        if self._is_gated(x):
            x, largest = self._unit_rows(x, nodes)
            product = self.editor.fresh(f"{out}_unit")
        integers, scale, zero = self._activation(x, nodes)
        if name not in self._weights:
            columns, scales = quantise_rows(weight.T)
            self._weights[name] = (
                self.editor.constant(f"{name}.int8", columns.T),
                self.editor.constant(f"{name}.scale", scales),
            )
        weights, weight_scale = self._weights[name]
        total, wide = self.editor.fresh(f"{out}_int32"), self.editor.fresh(f"{out}_wide")
        inputs = (integers, weights) if zero is None else (integers, weights, zero)
        nodes.append(self.editor.make("MatMulInteger", inputs, total))
        nodes.append(self.editor.make("Cast", (total,), wide, to=onnx.TensorProto.FLOAT))
        both = weight_scale
        if scale is not None:
            both = self.editor.fresh(f"{out}_scale")
            nodes.append(self.editor.make("Mul", (scale, weight_scale), both))
        nodes.append(self.editor.make("Mul", (wide, both), product))
        if largest:
            nodes.append(self.editor.make("Mul", (product, largest), out))
        return nodes

    def _is_gated(self, x: str) -> bool:
        """Whether `x` is the product of two activations, of which none is a constant."""
        node = self.editor.producer(x)
        return (
            node is not None
            and node.op_type == "Mul"
            and not any(name in self.editor.constants for name in node.input)
        )

    def _unit_rows(self, x: str, nodes: list[onnx.NodeProto]) -> tuple[str, str]:
        """`x` with every row scaled to a largest magnitude of 1, and those magnitudes; made once."""
        if x not in self._rows:
            sizes, tops, largest, unit = (
                self.editor.fresh(f"{x}_{part}") for part in ("abs", "tops", "largest", "unit")
            )
            last = self.editor.constant("last_axis", np.array((-1,), np.int64))
            tiny = self.editor.constant("smallest_row", np.array(SMALLEST_ROW, np.float32))
            nodes += [
                self.editor.make("Abs", (x,), sizes),
                self.editor.make("ReduceMax", (sizes, last), tops, keepdims=1),
                self.editor.make("Max", (tops, tiny), largest),
                self.editor.make("Div", (x, largest), unit),
            ]
            self._rows[x] = unit, largest
        return self._rows[x]

    def _activation(self, x: str, nodes: list[onnx.NodeProto]) -> tuple[str, str | None, str | None]:
        """`x` as uint8 with scale and zero point (None where they are 1 and 0); made once, at its first reader."""
        if x in self._activations:
            return self._activations[x]
        source = self._raw_uint8(x)
        if source is not None:
            self._activations[x] = (source, None, None)
            return self._activations[x]
        names = tuple(self.editor.fresh(f"{x}_{part}") for part in ("uint8", "scale", "zero"))
        nodes.append(self.editor.make("DynamicQuantizeLinear", (x,), names))
        self._activations[x] = (names[0], names[1], names[2])
        return self._activations[x]

    def _raw_uint8(self, x: str) -> str | None:
        """The uint8 graph input that `x` is a cast of: pixels need no quantising."""
        node = self.editor.producer(x)
        if node is None or node.op_type != "Cast":
            return None
        types = {item.name: item.type.tensor_type.elem_type for item in self.editor.model.graph.input}
        return str(node.input[0]) if types.get(node.input[0]) == onnx.TensorProto.UINT8 else None
