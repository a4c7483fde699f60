"""Explicit quantisation for TensorRT: QuantizeLinear and DequantizeLinear around the linear layers, nothing else.

Symmetric throughout (TensorRT's parser refuses a zero point other than 0). Attention products, Softmax, norms and the
residual stream keep their type, and no pair stands between a product and its Gelu, so that both stay one kernel.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from vljepa_quant.errors import QuantError
from vljepa_quant.graph_editor import GraphEditor, attributes
from vljepa_quant.precisions import Precision, Weights

__all__ = ["LARGEST", "quantise_matrix", "quantise_qdq", "quantised_inputs"]

Array = npt.NDArray[Any]


# Largest magnitude that is used of a stored type.
LARGEST: Mapping[str, float] = {"int8": 127.0, "float8_e4m3fn": 448.0, "int4": 7.0}
# The first opsets with these types, and with a scale for a block of rows.
OPSET, BLOCK_OPSET = 20, 21


def quantised_inputs(model: onnx.ModelProto | GraphEditor) -> tuple[str, ...]:
    """Activations that `quantise_qdq` quantises, each once: what a calibrator has to look at."""
    editor = GraphEditor.of(model)
    return tuple(dict.fromkeys(node.input[0] for node in _linear_nodes(editor)))


def quantise_qdq(
    model: onnx.ModelProto | GraphEditor, precision: Precision, scales: Mapping[str, float] | None = None
) -> onnx.ModelProto:
    """Quantise the linear layers of a float32 graph.

    Left in float: what reads pixels (half a percent of ViT-L's work, and 8 bits of pixel are not 7), matrices that
    are token tables too, and weights that a block does not divide.

    Args:
        model: Linear layers as MatMul or plain Gemm over a constant; one that is opened in an editor is changed there.
        precision: A row of this method.
        scales: Step per activation, as `calibrate` gives them. A product whose input has none keeps that input in
            float and only its weight is quantised.

    Returns:
        A new model with the same inputs and outputs, still float32 between the pairs.

    Raises:
        QuantError: nothing fits the precision, or a step is not above 0.
    """
    editor = GraphEditor.of(model)
    if not _Quantiser(editor, precision, scales or {}).run():
        raise QuantError(
            f"{editor.model.graph.name or 'graph'}: no linear layer fits {precision.name}: use fp16"
        )
    return editor.finish(opset=max(BLOCK_OPSET if precision.weights.block else OPSET, _opset(editor.model)))


class _Quantiser:
    """One walk over one graph; an activation or weight that several nodes read is quantised once."""

    def __init__(self, editor: GraphEditor, precision: Precision, scales: Mapping[str, float]) -> None:
        self.editor = editor
        self.name, self.weights = precision.name, precision.weights
        self.activations = precision.calibrated
        self.scales = scales
        self._done: dict[str, str] = {}

    def run(self) -> int:
        """Quantise everything that fits; the number of products that were."""
        nodes = [node for node in _linear_nodes(self.editor) if self._fits(node)]
        for node in nodes:
            self._wrap(node)
        return len(nodes)

    def _fits(self, node: onnx.NodeProto) -> bool:
        rows, _ = self._matrix(node).shape
        return self.weights.block == 0 or rows % self.weights.block == 0

    def _matrix(self, node: onnx.NodeProto) -> Array:
        """The weight as (inputs, outputs)."""
        weight = self.editor.constants[node.input[1]]
        return weight.T if attributes(node).get("transB", 0) else weight

    def _wrap(self, node: onnx.NodeProto) -> None:
        """Put the pairs before a product; a Gemm becomes a MatMul and an Add, which TensorRT fuses again."""
        new: list[onnx.NodeProto] = []
        x = node.input[0]
        if self.activations and x in self.scales:
            x = self._activation(x, new)
        weight = self._weight(node.input[1], self._matrix(node), new)
        biased = len(node.input) > 2 and node.input[2] != ""
        out = self.editor.fresh(f"{node.output[0]}_product") if biased else node.output[0]
        new.append(self.editor.make("MatMul", (x, weight), out))
        if biased:
            new.append(self.editor.make("Add", (out, node.input[2]), node.output[0]))
        self.editor.replace(node, new)

    def _activation(self, name: str, new: list[onnx.NodeProto]) -> str:
        if name in self._done:
            return self._done[name]
        if not self.scales[name] > 0.0:
            raise QuantError(f"{name}: expected a step above 0, got {self.scales[name]}: calibrate again")
        step = self.editor.constant(f"{name}.step", _step(np.array(self.scales[name])))
        zero = self.editor.constant(f"{self.name}_zero", np.zeros((), _dtype(self.weights.dtype)))
        small, wide = self.editor.fresh(f"{name}_{self.name}"), self.editor.fresh(f"{name}_restored")
        new.append(self.editor.make("QuantizeLinear", (name, step, zero), small))
        new.append(self.editor.make("DequantizeLinear", (small, step, zero), wide))
        self._done[name] = wide
        return wide

    def _weight(self, name: str, matrix: Array, new: list[onnx.NodeProto]) -> str:
        if name in self._done:
            return self._done[name]
        stored, steps = quantise_matrix(matrix, self.weights)
        options: dict[str, Any] = (
            {"axis": 0, "block_size": self.weights.block} if self.weights.block else {"axis": 1}
        )
        wide = self.editor.fresh(f"{name}_restored")
        small = self.editor.constant(f"{name}.{self.name}", stored)
        step = self.editor.constant(f"{name}.step", steps)
        new.append(self.editor.make("DequantizeLinear", (small, step), wide, **options))
        self._done[name] = wide
        return wide


def quantise_matrix(matrix: Array, weights: Weights) -> tuple[Array, npt.NDArray[np.float32]]:
    """Store a weight in a smaller type.

    Args:
        matrix: (K, N) float32, K inputs and N outputs.
        weights: The type, a key of `LARGEST`, and the block.

    Returns:
        (K, N) in this type, and the steps: (N,), or (K / block, N) with blocks.
    """
    largest = LARGEST[weights.dtype]
    blocks = matrix.reshape(-1, weights.block or len(matrix), matrix.shape[1])
    steps = _step(np.abs(blocks).max(axis=1) / largest)
    scaled = np.clip(blocks / steps[:, None], -largest, largest).reshape(matrix.shape)
    whole = scaled if weights.dtype.startswith("float") else np.rint(scaled)
    return whole.astype(_dtype(weights.dtype)), steps if weights.block else steps[0]


def _linear_nodes(editor: GraphEditor) -> Iterator[onnx.NodeProto]:
    pixels = {
        info.name
        for info in editor.model.graph.input
        if info.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    }
    casts = {node.output[0] for node in editor.of_type("Cast") if node.input[0] in pixels}
    tables = {node.input[0] for node in editor.of_type("Gather")}
    for node in editor.of_type("MatMul", "Gemm"):
        weight = editor.constants.get(node.input[1])
        if weight is None or weight.ndim != 2 or weight.dtype != np.float32:
            continue
        if node.input[0] not in casts and node.input[1] not in tables and _plain(node):
            yield node


def _plain(node: onnx.NodeProto) -> bool:
    options = attributes(node)
    return options.get("alpha", 1.0) == options.get("beta", 1.0) == 1.0 and not options.get("transA", 0)


def _step(steps: Array) -> npt.NDArray[np.float32]:
    """Steps that float16 holds exactly, so that one graph serves both widths; never 0."""
    rounded = np.maximum(steps.astype(np.float16), np.finfo(np.float16).smallest_subnormal)
    return rounded.astype(np.float32)


def _dtype(name: str) -> Any:
    if name == "int8":
        return np.int8
    import ml_dtypes  # comes with onnx

    return getattr(ml_dtypes, name)


def _opset(model: onnx.ModelProto) -> int:
    return next(int(item.version) for item in model.opset_import if item.domain == "")
