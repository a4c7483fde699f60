"""Operations that sum: matrix products, reductions, softmax, layer norm. Sums are float32."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from vljepa_export.mil.operations.elementwise import widen

__all__ = ["OPERATIONS"]

Array = npt.NDArray[Any]


def _matmul(
    *, x: Array, y: Array, transpose_x: Array | bool = False, transpose_y: Array | bool = False
) -> Array:
    left, right = widen(x), widen(y)
    left = left.swapaxes(-1, -2) if transpose_x else left
    right = right.swapaxes(-1, -2) if transpose_y else right
    return np.asarray(np.matmul(left, right))


def _linear(*, x: Array, weight: Array, bias: Array | None = None) -> Array:
    """Weights are (out, in)."""
    product = np.asarray(np.matmul(widen(x), widen(weight).T))
    return product if bias is None else np.asarray(product + widen(bias))


def _softmax(*, x: Array, axis: Array | int = -1) -> Array:
    wide = widen(x)
    powers = np.exp(wide - wide.max(axis=int(axis), keepdims=True))
    return np.asarray(powers / powers.sum(axis=int(axis), keepdims=True))


def _layer_norm(
    *,
    x: Array,
    axes: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    epsilon: Array | float = 1e-5,
) -> Array:
    wide, over = widen(x), tuple(axes.tolist())
    centred = wide - wide.mean(axis=over, keepdims=True)
    normal = centred / np.sqrt(np.square(centred).mean(axis=over, keepdims=True) + np.float32(epsilon))
    scaled = normal if gamma is None else normal * widen(gamma)
    return np.asarray(scaled if beta is None else scaled + widen(beta))


def _reduction(function: Callable[..., Array]) -> Callable[..., Array]:
    def operation(*, x: Array, axes: Array | None = None, keep_dims: Array | bool = False) -> Array:
        over = None if axes is None else tuple(axes.tolist())
        return np.asarray(function(widen(x), axis=over, keepdims=bool(keep_dims)))

    return operation


def _l2_norm(x: Array, *, axis: tuple[int, ...] | None, keepdims: bool) -> Array:
    return np.asarray(np.sqrt(np.square(x).sum(axis=axis, keepdims=keepdims)))


def _sum_square(x: Array, *, axis: tuple[int, ...] | None, keepdims: bool) -> Array:
    return np.asarray(np.square(x).sum(axis=axis, keepdims=keepdims))


OPERATIONS: Mapping[str, Callable[..., Any]] = {
    "matmul": _matmul,
    "linear": _linear,
    "softmax": _softmax,
    "layer_norm": _layer_norm,
    "reduce_sum": _reduction(np.sum),
    "reduce_mean": _reduction(np.mean),
    "reduce_max": _reduction(np.max),
    "reduce_min": _reduction(np.min),
    "reduce_l2_norm": _reduction(_l2_norm),
    "reduce_sum_square": _reduction(_sum_square),
}
