"""Compressed constants (`constexpr_*`) and quantised activations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from vljepa_export.errors import InterpreterError
from vljepa_export.mil.element_types import ElementType, type_named, unpack
from vljepa_export.mil.operations.elementwise import widen

__all__ = ["OPERATIONS"]

Array = npt.NDArray[Any]


def _affine_dequantize(*, quantized_data: Array, scale: Array, zero_point: Array, axis: Array) -> Array:
    """iOS 16: one scale for all, or one per index of an axis."""
    scales = _along(scale, quantized_data.ndim, int(axis))
    zeros = _along(zero_point, quantized_data.ndim, int(axis))
    return (quantized_data.astype(np.float32) - zeros.astype(np.float32)) * widen(scales)


def _blockwise_shift_scale(*, data: Array, scale: Array, offset: Array | None = None) -> Array:
    """iOS 18: one scale per block; a block's size is the data's shape over the scale's."""
    wide = data.astype(np.float32)
    if offset is not None:
        wide = wide - _stretched(offset, data.shape).astype(np.float32)
    return wide * widen(_stretched(scale, data.shape))


def _lut_to_dense(
    *, indices: Array, lut: Array, shape: Array | None = None, vector_axis: Array | None = None
) -> Array:
    """Palettes: iOS 16 packs the indices and has one table; iOS 18 has typed indices and a table per block."""
    if shape is not None:
        bits = int(lut.size).bit_length() - 1
        packed = ElementType(f"uint{bits}", "uint8", bits, 0)
        return lut[unpack(indices, packed, tuple(shape.tolist()))]
    if lut.shape[-1] != 1:
        raise InterpreterError("constexpr_lut_to_dense with vectors is not known to this interpreter")
    tables = lut[..., 0]
    for axis, size in enumerate(indices.shape):
        tables = np.repeat(tables, _block(size, tables.shape[axis]), axis)
    return np.take_along_axis(tables, indices[..., None].astype(np.int64), -1)[..., 0]


def _quantize(
    *,
    input: Array,
    scale: Array,
    output_dtype: Array | str,
    zero_point: Array | None = None,
    axis: Array | None = None,
) -> Array:
    """Halves go to the even neighbour; what is out of range is clipped."""
    kind = np.iinfo(type_named(str(output_dtype)).numpy)
    where = 0 if axis is None else int(axis)
    steps = np.rint(widen(input) / widen(_along(scale, input.ndim, where)))
    if zero_point is not None:
        steps = steps + _along(zero_point, input.ndim, where).astype(np.float32)
    return np.clip(steps, kind.min, kind.max)


def _dequantize(
    *, input: Array, scale: Array, zero_point: Array | None = None, axis: Array | None = None
) -> Array:
    where = 0 if axis is None else int(axis)
    wide = input.astype(np.float32)
    if zero_point is not None:
        wide = wide - _along(zero_point, input.ndim, where).astype(np.float32)
    return wide * widen(_along(scale, input.ndim, where))


def _along(values: Array, rank: int, axis: int) -> Array:
    """A vector laid along one axis of a tensor of this rank; a scalar as it is."""
    if values.ndim == 0 or values.size == 1:
        return values.reshape(())
    return values.reshape([-1 if index == axis % rank else 1 for index in range(rank)])


def _stretched(values: Array, shape: tuple[int, ...]) -> Array:
    for axis, size in enumerate(shape):
        values = np.repeat(values, _block(size, values.shape[axis]), axis)
    return values


def _block(size: int, blocks: int) -> int:
    if size % blocks:
        raise InterpreterError(f"{size} elements do not divide into {blocks} blocks")
    return size // blocks


OPERATIONS: Mapping[str, Callable[..., Any]] = {
    "constexpr_affine_dequantize": _affine_dequantize,
    "constexpr_blockwise_shift_scale": _blockwise_shift_scale,
    "constexpr_lut_to_dense": _lut_to_dense,
    "quantize": _quantize,
    "dequantize": _dequantize,
}
