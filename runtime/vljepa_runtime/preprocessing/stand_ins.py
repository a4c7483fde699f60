"""Visual tokens of a whole window from those of its encoded tubelets: each place has tokens of several instants.

A predictor counts: its attention and its mean weigh a thing by the tokens that it has. So a tubelet that was left out
because its place showed nothing else has the token of the nearest instant there.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

__all__ = ["completed", "stand_ins"]

Float32 = npt.NDArray[np.float32]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Grid = tuple[int, int, int]


def stand_ins(positions: Int32, grid: Grid) -> Int64 | None:
    """For each tubelet of a window, in token order, the encoded one that stands for it.

    Args:
        positions: (n, 3) tubelet indices (t, h, w) of those that were encoded.
        grid: How many there are of each.

    Returns:
        (N,) rows of `positions`: the nearest in time at the same place, the earlier one of two; None where a place has
        none, as it has where a budget leaves out whole places.
    """
    instants, places = grid[0], grid[1] * grid[2]
    row = np.full((instants, places), -1)
    t, h, w = positions.T
    row[t, h * grid[2] + w] = np.arange(len(positions))
    away = np.abs(np.arange(instants)[:, None] - np.arange(instants))  # of each instant from each
    distance = np.where(row[None] >= 0, away[:, :, None], instants)
    nearest = distance.argmin(axis=1)
    found = row[nearest, np.arange(places)]
    return None if (found < 0).any() else found.reshape(-1)


def completed(visual: Float32, positions: Iterable[Int32], grid: Grid) -> Float32 | None:
    """Tokens of all tubelets of several windows; None where one of them has places without any.

    Args:
        visual: (B, n, Dv) of those that were encoded.
        positions: (n, 3) of each window.
        grid: See `stand_ins`.

    Returns:
        (B, N, Dv).
    """
    rows = [found for each in positions if (found := stand_ins(each, grid)) is not None]
    return (
        np.take_along_axis(visual, np.stack(rows)[:, :, None], axis=1) if len(rows) == len(visual) else None
    )
