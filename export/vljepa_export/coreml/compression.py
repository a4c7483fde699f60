"""Constant matrices in fewer bits as Core ML stores them: int8 per row or block, and palettes of 4 or 6 bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vljepa_quant import Weights
from vljepa_quant.int8 import quantise_rows
from vljepa_quant.palette import palettes
from vljepa_runtime.engines.coreml_tools import coremltools

__all__ = ["store"]

Float32 = npt.NDArray[np.float32]
SMALLEST = 2048  # elements; below, the tables of a compressed form eat what it saves


def store(builder: Any, matrix: Float32, kind: np.dtype[Any], weights: Weights, *, ios: int) -> Any:
    """Write a constant matrix.

    Args:
        builder: Of MIL.
        matrix: (out, in) float32.
        kind: The float type that it is read in.
        weights: How to store it. Rows that a block does not divide keep one scale, matrices that a group does not
            divide have one palette, and small ones stay floats.
        ios: The system's version, which decides about the operation.

    Returns:
        An array, or a variable that unpacks to the matrix.
    """
    if not weights.dtype or matrix.size < SMALLEST:
        return matrix.astype(kind)
    if weights.dtype == "int8":
        return _integers(builder, matrix, kind, weights.block, ios)
    return _palettes(builder, matrix, kind, weights, ios)


def _integers(builder: Any, matrix: Float32, kind: np.dtype[Any], block: int, ios: int) -> Any:
    rows, columns = matrix.shape
    block = block if block and columns % block == 0 else columns
    integers, scales = quantise_rows(matrix.reshape(-1, block))
    data, scale = integers.reshape(rows, columns), scales.reshape(rows, -1).astype(kind)
    if ios >= 18:
        return builder.constexpr_blockwise_shift_scale(data=data, scale=scale)
    return builder.constexpr_affine_dequantize(
        quantized_data=data, scale=scale[:, 0], zero_point=np.int8(0), axis=np.int32(0)
    )


def _palettes(builder: Any, matrix: Float32, kind: np.dtype[Any], weights: Weights, ios: int) -> Any:
    bits = int(weights.dtype.removeprefix("uint"))
    floats, indices = palettes(matrix, bits, weights.group)
    tables = floats.astype(kind)
    if ios >= 18:
        types = coremltools("converters.mil.mil").types
        typed = types.nptype_from_builtin(types.string_to_builtin(weights.dtype))
        return builder.constexpr_lut_to_dense(
            indices=indices.reshape(matrix.shape).astype(typed), lut=tables[:, None, :, None]
        )
    return builder.constexpr_lut_to_dense(
        indices=_packed(indices, bits), lut=tables[0], shape=np.array(matrix.shape, np.uint32)
    )


def _packed(indices: npt.NDArray[np.uint8], bits: int) -> npt.NDArray[np.uint8]:
    """Indices of a few bits one after the other, lowest bit first."""
    unpacked = np.unpackbits(indices[:, None], axis=1, bitorder="little")[:, :bits]
    return np.packbits(unpacked.reshape(-1), bitorder="little")
