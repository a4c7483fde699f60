"""int4 weights for ONNX Runtime: blocks of 32 with one scale each (`com.microsoft.MatMulNBits`), tables in int8.

Activations stay float in the graph; the kernel quantises them to int8 per block while it runs (accuracy level 4).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from vljepa_quant.errors import QuantError
from vljepa_quant.graph_editor import GraphEditor, attributes
from vljepa_quant.int8 import edit_tables

__all__ = ["edit", "quantise_blocks"]

BLOCK = 32  # elements with one scale; ONNX Runtime knows 16, 32, 64, 128 and 256
LIMIT, MIDDLE = 7, 8  # -7 .. 7, stored as 1 .. 15
ACCURACY = 4
ROWS_AT_ONCE = 1024


def quantise_blocks(
    weight: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Symmetric int4 with one scale per block of a row.

    Args:
        weight: (N, K) float32, one row per output.

    Returns:
        (N, ceil(K / 32), 16) uint8, two elements a byte, the earlier in the low half; and scales (N * ceil(K / 32),).
    """
    count, columns = weight.shape
    blocks = -(-columns // BLOCK)
    packed = np.empty((count, blocks, BLOCK // 2), np.uint8)
    scales = np.empty((count, blocks), np.float32)
    for start in range(0, count, ROWS_AT_ONCE):
        part = np.zeros((min(ROWS_AT_ONCE, count - start), blocks * BLOCK), np.float32)
        part[:, :columns] = weight[start : start + ROWS_AT_ONCE]
        cut = part.reshape(len(part), blocks, BLOCK)
        largest = np.abs(cut).max(axis=2)
        scale = np.where(largest > 0, largest / LIMIT, 1.0).astype(np.float32)
        levels = np.clip(np.rint(cut / scale[:, :, None]), -LIMIT, LIMIT).astype(np.int8) + MIDDLE
        nibbles = levels.astype(np.uint8)
        packed[start : start + len(part)] = nibbles[:, :, 0::2] | (nibbles[:, :, 1::2] << 4)
        scales[start : start + len(part)] = scale
    return packed, scales.reshape(-1)


def edit(editor: GraphEditor) -> None:
    """Quantise the constant matrices of an opened float graph to int4, and its token tables to int8.

    A table that is also an output matrix is stored for both uses.

    Args:
        editor: Linear layers as MatMul, or Gemm with transB, over a constant.

    Raises:
        QuantError: there was nothing to quantise.
    """
    done = sum(_replace(editor, node) for node in editor.of_type("MatMul", "Gemm"))
    done += edit_tables(editor)
    if not done:
        name = editor.model.graph.name or "graph"
        raise QuantError(f"{name}: no constant matrix to quantise: use precision fp32")


def _replace(editor: GraphEditor, node: onnx.NodeProto) -> bool:
    name = node.input[1]
    weight: npt.NDArray[Any] | None = editor.constants.get(name)
    options = attributes(node)
    if weight is None or weight.ndim != 2 or weight.dtype != np.float32:
        return False
    if options.get("alpha", 1.0) != 1.0 or options.get("beta", 1.0) != 1.0 or options.get("transA", 0):
        return False
    rows = weight if options.get("transB", 0) else weight.T
    packed, scales = quantise_blocks(rows)
    inputs = [
        node.input[0],
        editor.constant(f"{name}.int4", packed),
        editor.constant(f"{name}.scales", scales),
    ]
    biased = len(node.input) > 2 and bool(node.input[2])
    out = editor.fresh(f"{node.output[0]}_product") if biased else node.output[0]
    product = editor.make(
        "MatMulNBits",
        inputs,
        out,
        domain="com.microsoft",
        K=rows.shape[1],
        N=rows.shape[0],
        bits=4,
        block_size=BLOCK,
        accuracy_level=ACCURACY,
    )
    after = [editor.make("Add", (out, node.input[2]), node.output[0])] if biased else []
    editor.replace(node, [product, *after])
    return True
