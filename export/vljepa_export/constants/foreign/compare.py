"""Whether a stored constant is the float one that it stands for.

Floats have to be the float's own bits, or its rounding to a narrower type; integers lie within half a step of it, and
what is stored as a palette's entry is nearer to no other. Elements are looked at block by block, so a mapped file stays
mapped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from vljepa_export.constants.foreign.orders import Order
from vljepa_export.constants.foreign.stored import ROUNDING, Array, Stored, rows_of, spread

__all__ = ["Compared", "compare"]

BLOCK = 1 << 20  # elements at once: 8 MB of float64
DRIFT = (
    0.01  # of the way to the next entry: palettes of very many elements may be left before they stop moving
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What comparing a constant gave.

    Attributes:
        worst_steps: The furthest element, in steps; 0 where there are none.
        fault: What is wrong, without the constant's name; empty when nothing is.
    """

    worst_steps: float = 0.0
    fault: str = ""


def compare(wanted: Array, got: Stored, *, order: Order = (), slack: float = 0.0) -> Compared:
    """Compare a constant with the float one.

    Args:
        wanted: The float graph's.
        got: The artefact's; axes of 1 do not matter.
        order: In which `got` has the axes of the other.
        slack: What a float may be away, in parts of the largest: for what was worked out twice.
    """
    if order:
        wanted = wanted.reshape((1,) * (len(order) - wanted.ndim) + wanted.shape).transpose(order)
    if wanted.ndim == 0:
        wanted = wanted.reshape(1)
    if not got.is_quantised and _without_ones(wanted.shape) == _without_ones(got.shape):
        got = replace(got, values=got.values.reshape(wanted.shape))
    if wanted.shape != got.shape:
        return Compared(fault=f"expected the shape {wanted.shape}, got {got.shape}")
    if got.table is not None:
        return _compare_palette(wanted, got)
    if got.scale is not None:
        return _compare_steps(wanted, got)
    return _compare_plain(wanted, got, slack)


def _without_ones(shape: tuple[int, ...]) -> list[int]:
    return [size for size in shape if size != 1]


def _compare_plain(wanted: Array, got: Stored, slack: float) -> Compared:
    """Bit for bit, as far as the type of `got` goes."""
    loose = wanted.dtype.kind == "f" and (got.gain is not None or slack > 0)
    tolerance = slack * float(np.abs(wanted).max(initial=0.0)) if loose else 0.0
    for rows in _blocks(wanted.shape):
        floats, stored = wanted[rows], got.values[rows]
        with np.errstate(over="ignore"):
            expected = floats.astype(stored.dtype)
            narrow = floats.astype(np.float16) if wanted.size == 1 else expected
        if loose:
            gained = stored.astype(np.float64) * (1.0 if got.gain is None else rows_of(got.gain, rows))
            relative, least = ROUNDING[stored.dtype.str[1:]]
            limit = tolerance + 2 * np.maximum(np.abs(gained) * relative, least)
            off = ~(np.abs(gained - expected.astype(np.float64)) <= limit)
        else:
            off = expected != stored
        off &= narrow != stored  # a parameter of an operation has the type that its format gives it
        if off.any():
            return Compared(fault=_told(rows, off, expected, stored))
    return Compared()


def _compare_steps(wanted: Array, got: Stored) -> Compared:
    """Within half a step of its own scale."""
    assert got.scale is not None
    worst, wrong, first = 0.0, 0, ""
    for rows in _blocks(wanted.shape):
        decoded, allowed = got.decoded(rows)
        steps = np.abs(spread(got.scale, got.shape, rows))
        if got.gain is not None:
            gain = rows_of(got.gain, rows).astype(np.float64)
            decoded, steps = decoded * gain, steps * np.abs(gain)
            allowed = allowed * np.abs(gain) + np.abs(decoded) * 2.0**-22
        far = np.abs(decoded - wanted[rows])
        with np.errstate(divide="ignore", invalid="ignore"):
            in_steps = np.where(far > 0, far / steps, 0.0)
        saturated = _saturated(wanted[rows], decoded, got.values[rows], steps)
        in_steps = np.where(saturated, 0.0, in_steps)
        off = ~((far <= allowed) | saturated)
        worst = max(worst, float(np.nan_to_num(in_steps, nan=np.inf).max(initial=0.0)))
        if off.any():
            first = first or _told(rows, off, wanted[rows], decoded)
            wrong += int(off.sum())
    fault = f"{first}; {wrong} of {wanted.size} elements are over half a step away, the worst {worst:.3g}"
    return Compared(worst_steps=worst, fault=fault if wrong else "")


def _saturated(wanted: Array, decoded: Array, codes: Array, steps: Array) -> Array:
    """Elements that have the last code on their side and lie less than a step beyond it.

    OpenVINO's steps are the largest weight over -128, so what is as large with the other sign is beyond 127.
    """
    ends = np.iinfo(codes.dtype)
    beyond = (np.sign(decoded) == np.sign(wanted)) & (np.abs(wanted) >= np.abs(decoded))
    near = np.abs(np.abs(wanted) - np.abs(decoded)) <= steps * 1.125
    return np.asarray(((codes == ends.max) | (codes == ends.min)) & beyond & near)


def _compare_palette(wanted: Array, got: Stored) -> Compared:
    """Every element is stored as its nearest entry, and every entry is the mean of what it stands for."""
    assert got.table is not None
    relative, least = ROUNDING[got.table.dtype.str[1:]]
    for place, floats, indices in _groups(wanted, got):
        table = got.table[place].astype(np.float64)
        blur = 2 * np.maximum(np.abs(table) * relative, least) + 2.0**-22 * np.abs(floats).max(initial=0.0)
        counts = np.bincount(indices, minlength=len(table))
        mean = np.bincount(indices, weights=floats, minlength=len(table)) / np.maximum(counts, 1)
        off = (counts > 0) & ~(np.abs(table - mean) <= blur + DRIFT * _gaps(table))
        if off.any():
            at = int(np.argmax(off))
            fault = (
                f"expected the entry {at} of the palette {place} to be {mean[at]:.6g}, got {table[at]:.6g}"
            )
            return Compared(fault=f"{fault}, which {counts[at]} elements are stored as")
        far = np.abs(table[indices] - floats) - _to_nearest(floats, table)
        wrong = far > 2 * blur.max(initial=0.0)
        if wrong.any():
            at = int(np.argmax(far))
            chosen = f"got {table[indices[at]]:.6g}; so it is with {int(wrong.sum())} elements"
            return Compared(
                fault=f"expected {floats[at]:.6g} in its nearest entry of the palette {place}, {chosen}"
            )
    return Compared()


def _gaps(table: Array) -> Array:
    """How far each entry is from the next one, on the nearer side."""
    order = np.argsort(table)
    between = np.diff(table[order], prepend=-np.inf, append=np.inf)
    gaps = np.empty(len(table))
    gaps[order] = np.minimum(between[:-1], between[1:])
    return gaps


def _to_nearest(floats: Array, table: Array) -> Array:
    """How far each element is from the entry that is nearest to it."""
    entries = np.sort(table)
    above = np.searchsorted(entries, floats).clip(1, len(entries) - 1)
    return np.asarray(np.minimum(np.abs(entries[above] - floats), np.abs(entries[above - 1] - floats)))


def _groups(wanted: Array, got: Stored) -> Iterator[tuple[tuple[int, ...], Array, Array]]:
    """The elements of each palette, with their indices."""
    assert got.table is not None
    counts = got.table.shape[:-1]
    sizes = [size // count for size, count in zip(got.shape, counts)]
    for place in np.ndindex(*counts):
        cut = tuple(slice(at * size, (at + 1) * size) for at, size in zip(place, sizes))
        yield place, wanted[cut].astype(np.float64).reshape(-1), got.values[cut].reshape(-1).astype(np.int64)


def _blocks(shape: tuple[int, ...]) -> Iterator[slice]:
    rows = max(1, BLOCK // max(1, int(np.prod(shape[1:], dtype=np.int64))))
    for start in range(0, shape[0], rows):
        yield slice(start, min(start + rows, shape[0]))


def _told(rows: slice, off: Array, expected: Array, got: Array) -> str:
    at = tuple(int(axis[0]) for axis in np.nonzero(off))
    place = (at[0] + rows.start, *at[1:])
    return f"expected {expected[at]:.6g} at {place}, got {got[at]:.6g}"
