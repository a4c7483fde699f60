"""Palettes: the 2^bits values that stand best for the weights of a matrix, and which of them each weight is.

Done here and not with coremltools' own pass, which takes half a minute per graph and draws at random.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["palette", "palettes"]

Float32 = npt.NDArray[np.float32]
ROUNDS = 1000  # it ended after 178 at most for the palettes of `tiny`, after 24 for half of them


def palettes(matrix: Float32, bits: int, group: int) -> tuple[Float32, npt.NDArray[np.uint8]]:
    """One palette for every group of rows.

    Args:
        matrix: (rows, columns) float32.
        bits: 1..8.
        group: Rows that share a palette; 0, and what does not divide the rows, gives one for all.

    Returns:
        tables (groups, 2^bits) float32, and the index of each value (rows * columns,) uint8.
    """
    rows = matrix.shape[0]
    groups = rows // group if group and rows % group == 0 else 1
    found = [palette(part, bits) for part in matrix.reshape(groups, -1)]
    return np.stack([table for table, _ in found]), np.concatenate([index for _, index in found])


def palette(values: npt.ArrayLike, bits: int) -> tuple[Float32, npt.NDArray[np.uint8]]:
    """The best 2^bits values to stand for many, by k-means in one dimension.

    On sorted numbers a cluster is a range, so a round costs a few searches in place of a pass over all of them.

    Args:
        values: Any number of floats.
        bits: 1..8.

    Returns:
        table (2^bits,) ascending float32, and the index of each value (n,) uint8.
    """
    flat = np.asarray(values, np.float64).reshape(-1)
    ordered = np.sort(flat)
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    edges = _opening_edges(ordered, 1 << bits)
    table = np.quantile(ordered, np.linspace(0, 1, 1 << bits))
    for _ in range(ROUNDS):
        sizes = np.diff(edges)
        # An empty cluster stays where it was, between its neighbours.
        new = np.sort(np.where(sizes > 0, np.diff(sums[edges]) / np.maximum(sizes, 1), table))
        if np.array_equal(new, table):
            break
        table = new
        edges[1:-1] = np.searchsorted(ordered, (table[1:] + table[:-1]) / 2)
    # What lies between two goes up, as in the rounds: an entry is the mean of what is stored as it.
    nearest = np.searchsorted((table[1:] + table[:-1]) / 2, flat, side="right")
    return table.astype(np.float32), nearest.astype(np.uint8)


def _opening_edges(ordered: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.int64]:
    """Ranges to start from: the one that is furthest from its mean is cut there, until there are enough.

    From evenly filled ranges k-means stops early: 64 clusters of long-tailed weights were six times worse.
    """
    sums, squares = (np.concatenate([[0.0], np.cumsum(ordered**power)]) for power in (1, 2))
    spread, ranges = [], []

    def add(first: int, stop: int) -> None:
        total, size = sums[stop] - sums[first], max(1, stop - first)
        spread.append(squares[stop] - squares[first] - total**2 / size)
        ranges.append((first, stop))

    add(0, len(ordered))
    while len(ranges) < count:
        worst = int(np.argmax(spread))
        first, stop = ranges.pop(worst)
        del spread[worst]
        mean = (sums[stop] - sums[first]) / max(1, stop - first)
        cut = first + int(np.searchsorted(ordered[first:stop], mean, side="right"))
        add(first, cut)
        add(cut, stop)
    return np.array([0, *sorted(stop for _, stop in ranges)], np.int64)
