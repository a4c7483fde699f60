"""A constant as an artefact of another format stores it: floats, steps of a scale, or indices into palettes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["ROUNDING", "Array", "Stored", "rows_of", "spread"]

Array = npt.NDArray[Any]

HALF = 0.5 + 2.0**-14  # steps: a tie may fall either way where it was found in float32, at up to 128 steps
# What a float is at most away from what was rounded to it: in parts of itself, and where it is next to nothing.
ROUNDING = {"f2": (2.0**-11 + 2.0**-20, 2.0**-25), "f4": (2.0**-22, 2.0**-150)}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stored:
    """A constant as it lies in the artefact.

    Attributes:
        values: Floats, whole numbers that mean themselves, steps, or indices into a palette.
        scale: What a step is worth; as many axes as `values`, each of 1 or a divisor of its size. None for others.
        zero: Which step is 0, of such a shape too; None for 0.
        table: Palettes: the axes of a scale, and one more for the entries.
        gain: Factors per element that the graph applies elsewhere, and which belong to the constant.
    """

    values: Array
    scale: Array | None = None
    zero: Array | None = None
    table: Array | None = None
    gain: Array | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what it stands for."""
        return self.values.shape

    @property
    def is_float(self) -> bool:
        """Whether it stands for floats."""
        return self.values.dtype.kind == "f" or self.is_quantised

    @property
    def is_quantised(self) -> bool:
        """Whether its elements are steps or indices."""
        return self.scale is not None or self.table is not None

    def decoded(self, rows: slice) -> tuple[Array, Array]:
        """Rows as float64, and what each element may be away from its float by rounding."""
        values = self.values[rows].astype(np.float64)
        if self.scale is None:
            return values, np.zeros_like(values)
        steps = values if self.zero is None else values - spread(self.zero, self.shape, rows)
        scale = spread(self.scale, self.shape, rows)
        relative, least = ROUNDING[self.scale.dtype.str[1:]]
        rounded = np.maximum(np.abs(scale) * relative, least)  # off the scale that the steps were counted in
        return steps * scale, (np.abs(scale) + rounded) * HALF + np.abs(steps) * rounded

    def dense(self) -> Array:
        """All of it as it is read, in float64."""
        if self.table is None:
            return self.decoded(slice(None))[0]
        tables = self.table
        for axis, size in enumerate(self.shape):
            tables = np.repeat(tables, size // tables.shape[axis], axis)
        chosen = np.take_along_axis(tables, self.values[..., None].astype(np.int64), -1)
        return np.asarray(chosen[..., 0], np.float64)


def spread(values: Array, shape: tuple[int, ...], rows: slice) -> Array:
    """Rows of something that is shared by blocks, an element each where it is not shared by all of an axis."""
    for axis, size in enumerate(shape):
        if values.shape[axis] not in (1, size):
            values = np.repeat(values, size // values.shape[axis], axis)
    return rows_of(values, rows).astype(np.float64)


def rows_of(values: Array, rows: slice) -> Array:
    """Rows of something that may be one for all of them."""
    return values if values.shape[0] == 1 else values[rows]
