"""Cosines of embeddings as a log keeps them, in float16, with one that is looked for: what float32 gives.

NumKong, which usearch brings, multiplies float16 as it is. NumPy has to convert it first, which takes ten times as long
as the product. Knows no file and no graph.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Cosines"]

Array = npt.NDArray[Any]
Float32 = npt.NDArray[np.float32]
BLOCK = 1 << 10  # rows multiplied at once; their float32 stays in a core's cache


class Cosines:
    """Of one embedding with many.

    Args:
        wanted: (S,) float32, what is looked for.

    Attributes:
        wanted: See `wanted`.
    """

    def __init__(self, wanted: Float32) -> None:
        self.wanted = np.ascontiguousarray(wanted, np.float32)
        # Both factors must be float16, so this one is the sum of two: 22 bits of it, as good as float32.
        self._scale = float(np.abs(self.wanted).max(initial=0)) or 1.0
        scaled = self.wanted / self._scale
        first = scaled.astype(np.float16)
        self._halves = np.stack([first, (scaled - first).astype(np.float16)])

    def __call__(self, embeddings: Array) -> Float32:
        """(N,) with rows (N, S) float16."""
        cdist = _cdist()
        if cdist is None or not len(embeddings):
            return np.asarray(embeddings.astype(np.float32) @ self.wanted)
        both = np.asarray(cdist(np.ascontiguousarray(embeddings), self._halves, "dot"), np.float64)
        return np.asarray(self._scale * both.sum(axis=1), np.float32)

    def of(self, embeddings: Array, rows: Array) -> Float32:
        """The same with some rows, in any order; those that lie one after another are not gathered."""
        scores = np.empty(len(rows), np.float32)
        for start in range(0, len(rows), BLOCK):
            meant = rows[start : start + BLOCK]
            in_line = meant[-1] - meant[0] == len(meant) - 1 and (np.diff(meant) == 1).all()
            some = embeddings[meant[0] : meant[-1] + 1] if in_line else embeddings[meant]
            scores[start : start + BLOCK] = self(some)
        return scores


@cache
def _cdist() -> Any:
    try:
        from numkong import cdist
    except ImportError:
        return None
    return cdist
