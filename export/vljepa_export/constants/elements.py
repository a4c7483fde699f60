"""Elements compared: bit for bit, rounded to a narrower float, or as whole numbers of steps. A block at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Compared", "Stored", "same_bits", "same_steps", "within_half_a_step"]

Array = npt.NDArray[Any]
Float32 = npt.NDArray[np.float32]

BLOCK = 1 << 22  # elements at once
HALF = 0.5 + 2.0**-15  # steps; what a division in float32 may add at 127 steps is half of that


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What comparing one constant gave.

    Attributes:
        values: Elements.
        worst_steps: Largest distance in steps; 0 for what is compared bit for bit.
        fault: What is wrong, in words; empty when nothing is.
    """

    values: int
    worst_steps: float = 0.0
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A matrix in a smaller type.

    Attributes:
        codes: Of the shape of the floats that it stands for.
        steps: What a code of 1 is worth: broadcast over `codes`, with a size of 1 along `axis`.
        axis: Along which a step is shared.
        fraction_bits: Of a code that is a float itself; None for whole numbers.
    """

    codes: Array
    steps: Float32
    axis: int
    fraction_bits: int | None = None


def same_bits(wanted: Array, got: Array) -> Compared:
    """Compare two constants of one meaning; a narrower float has to be the other one rounded.

    Args:
        wanted: The float graph's.
        got: What was written.
    """
    if wanted.shape != got.shape:
        return Compared(values=got.size, fault=f"expected the shape {wanted.shape}, got {got.shape}")
    for start, mine, theirs in _blocks(wanted.reshape(-1), got.reshape(-1)):
        meant = mine.astype(theirs.dtype, copy=False)
        if (differ := np.flatnonzero(_bits(meant) != _bits(theirs))).size:
            at = int(differ[0])
            return Compared(values=got.size, fault=_fault(wanted.shape, start + at, meant[at], theirs[at]))
    return Compared(values=got.size)


def same_steps(wanted: Float32, got: Float32) -> Compared:
    """Compare steps with what the floats ask for, bit for bit."""
    return same_bits(wanted, got)


def within_half_a_step(wanted: Float32, stored: Stored) -> tuple[Compared, Float32]:
    """Compare floats with what stands for them.

    Args:
        wanted: Of the shape of `stored.codes`.
        stored: What was written.

    Returns:
        What was found, and the largest magnitude that shares each step, of the shape of `stored.steps`.
    """
    tops = np.zeros(stored.steps.shape, np.float32)
    worst, shared = 0.0, stored.steps.shape[0] == 1
    place: tuple[int, ...] = ()
    rows = max(1, BLOCK // max(1, wanted[:1].size))
    for start in range(0, len(wanted), rows):
        part, at = wanted[start : start + rows], slice(None) if shared else slice(start, start + rows)
        np.maximum(tops[at], np.abs(part).max(axis=stored.axis, keepdims=True), out=tops[at])
        ratio = part / stored.steps[at]
        codes = stored.codes[start : start + rows].astype(np.float32)
        far = np.abs(ratio - codes) / _gap(ratio, codes, stored.fraction_bits)
        far = np.where(np.isfinite(far), far, np.inf)
        if (here := float(far.max(initial=0.0))) > worst:
            inside = np.unravel_index(int(far.argmax()), far.shape)
            worst, place = here, (start + int(inside[0]), *map(int, inside[1:]))
    fault = ""
    if worst > HALF:
        fault = f"{worst:.4g} steps from the float at {place}; rounding costs at most 0.5"
    return Compared(values=wanted.size, worst_steps=worst, fault=fault), tops


def _gap(ratio: Float32, codes: Float32, fraction_bits: int | None) -> Float32 | float:
    """How far the codes next to each other are there, in steps."""
    if fraction_bits is None:
        return 1.0
    lower = np.maximum(np.minimum(np.abs(ratio), np.abs(codes)), 2.0**-6)  # below, e4m3 has even distances
    gap: Float32 = np.exp2(np.floor(np.log2(lower)) - fraction_bits)
    return gap


def _blocks(a: Array, b: Array) -> Iterator[tuple[int, Array, Array]]:
    for start in range(0, a.size, BLOCK):
        yield start, a[start : start + BLOCK], b[start : start + BLOCK]


def _bits(value: Array) -> Array:
    whole = np.ascontiguousarray(value)
    return whole.view({1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}[whole.dtype.itemsize])


def _fault(shape: tuple[int, ...], at: int, wanted: Any, got: Any) -> str:
    where = tuple(int(index) for index in np.unravel_index(at, shape)) if shape else ()
    place = f" at {where}" if where else ""
    return f"expected {wanted}{place}, got {got}"
