"""Operations on each element: arithmetic, comparisons, activations, casts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from vljepa_export.errors import InterpreterError
from vljepa_export.mil.element_types import type_named

__all__ = ["OPERATIONS", "widen"]

Array = npt.NDArray[Any]


def widen(x: Array) -> Array:
    """Float16 as float32; everything else as it is."""
    return x.astype(np.float32) if x.dtype == np.float16 else x


def _binary(function: Callable[[Array, Array], Array]) -> Callable[..., Array]:
    def operation(*, x: Array, y: Array) -> Array:
        return np.asarray(function(widen(x), widen(y)))

    return operation


def _unary(function: Callable[[Array], Array]) -> Callable[..., Array]:
    def operation(*, x: Array) -> Array:
        return np.asarray(function(widen(x)))

    return operation


def _with_epsilon(function: Callable[[Array], Array], default: float) -> Callable[..., Array]:
    def operation(*, x: Array, epsilon: Array | float = default) -> Array:
        return np.asarray(function(widen(x) + np.float32(epsilon)))

    return operation


def _real_div(x: Array, y: Array) -> Array:
    if x.dtype.kind != "f":
        raise InterpreterError("real_div of integers is not known to this interpreter")
    return np.divide(x, y)


def _sigmoid(x: Array) -> Array:
    """Without overflow on either side: exp only of what is not positive."""
    small = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1 / (1 + small), small / (1 + small)))


@cache
def _erf_of_float16() -> npt.NDArray[np.float64]:
    """erf(x / sqrt 2) of every float16, by its bits: NumPy has no erf, and one call per element would take minutes."""
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    return np.array([math.erf(float(value) / math.sqrt(2)) for value in every])


def _gelu(*, x: Array, mode: Array | str = "EXACT") -> Array:
    wide, kind = widen(x), str(mode)
    if kind == "EXACT":
        if x.dtype == np.float16:
            return np.asarray(0.5 * wide * (1 + _erf_of_float16()[x.view(np.uint16)]))
        erf = np.frompyfunc(lambda value: math.erf(value / math.sqrt(2)), 1, 1)
        return np.asarray(0.5 * wide * (1 + erf(wide.astype(np.float64)).astype(np.float64)))
    if kind == "TANH_APPROXIMATION":
        return np.asarray(0.5 * wide * (1 + np.tanh(math.sqrt(2 / math.pi) * (wide + 0.044715 * wide**3))))
    if kind == "SIGMOID_APPROXIMATION":
        return wide * _sigmoid(1.702 * wide)
    raise InterpreterError(f"gelu mode {kind!r} is not known to this interpreter")


def _cast(*, x: Array, dtype: Array | str) -> Array:
    """Floats become integers by cutting off the fraction."""
    return x.astype(type_named(str(dtype)).numpy)


def _select(*, cond: Array, a: Array, b: Array) -> Array:
    return np.where(cond, a, b)


def _clip(*, x: Array, alpha: Array, beta: Array) -> Array:
    return np.clip(widen(x), widen(alpha), widen(beta))


OPERATIONS: Mapping[str, Callable[..., Any]] = {
    "add": _binary(np.add),
    "sub": _binary(np.subtract),
    "mul": _binary(np.multiply),
    "real_div": _binary(_real_div),
    "maximum": _binary(np.maximum),
    "minimum": _binary(np.minimum),
    "pow": _binary(np.power),
    "greater": _binary(np.greater),
    "greater_equal": _binary(np.greater_equal),
    "less": _binary(np.less),
    "less_equal": _binary(np.less_equal),
    "equal": _binary(np.equal),
    "not_equal": _binary(np.not_equal),
    "logical_and": _binary(np.logical_and),
    "logical_or": _binary(np.logical_or),
    "logical_not": _unary(np.logical_not),
    "identity": _unary(lambda x: x),
    "abs": _unary(np.abs),
    "square": _unary(np.square),
    "sqrt": _unary(np.sqrt),
    "exp": _unary(np.exp),
    "sin": _unary(np.sin),
    "cos": _unary(np.cos),
    "tanh": _unary(np.tanh),
    "relu": _unary(lambda x: np.maximum(x, 0)),
    "sigmoid": _unary(_sigmoid),
    "silu": _unary(lambda x: x * _sigmoid(x)),
    "rsqrt": _with_epsilon(lambda x: 1 / np.sqrt(x), 1e-12),
    "inverse": _with_epsilon(lambda x: 1 / x, 1e-4),
    "log": _with_epsilon(np.log, 1e-45),
    "gelu": _gelu,
    "cast": _cast,
    "select": _select,
    "clip": _clip,
}
