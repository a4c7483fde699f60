"""Windows nearest to an embedding: exact products over mapped parts, a block at a time, so memory stays flat."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vljepa_log.rows import Batch
from vljepa_log.store import Part, Store, Where

__all__ = ["Hit", "nearest"]

Array = npt.NDArray[Any]
Float32 = npt.NDArray[np.float32]
BLOCK = 1 << 13  # windows multiplied at once: 8 MB of float32 at 256 values each


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One window that was found.

    Attributes:
        part: Where it lies.
        row: Which of the part's windows it is.
        score: Cosine with what was searched for.
    """

    part: Part
    row: int
    score: float


def nearest(store: Store, embedding: Float32, *, k: int, where: Where) -> list[Hit]:
    """The k windows of a log that are nearest to an embedding (S,), best first."""
    best: list[Hit] = []
    for part in store.parts(where):
        scores, rows = _best_of(store.read(part), embedding, k, where)
        best += [Hit(part=part, row=int(row), score=float(score)) for row, score in zip(rows, scores)]
        best = sorted(best, key=lambda hit: -hit.score)[:k]
    return best


def _best_of(batch: Batch, embedding: Float32, k: int, where: Where) -> tuple[Float32, Array]:
    """Scores and rows of the k best windows of a part."""
    scores = np.concatenate(
        [block @ embedding for block in _blocks(batch.embeddings)] or [np.zeros(0, np.float32)]
    )
    scores[~_within(batch, where)] = -np.inf
    rows = np.argpartition(-scores, k)[:k] if len(scores) > k else np.arange(len(scores))
    rows = rows[np.isfinite(scores[rows])]
    rows = rows[np.argsort(-scores[rows], kind="stable")]
    return scores[rows], rows


def _blocks(embeddings: Array) -> Iterator[Float32]:
    for start in range(0, len(embeddings), BLOCK):
        yield embeddings[start : start + BLOCK].astype(np.float32)


def _within(batch: Batch, where: Where) -> Array:
    """(N,) which windows end in the time that is meant."""
    within = np.ones(len(batch), bool)
    if where.since is not None:
        within &= batch.windows["time"] >= where.since
    if where.until is not None:
        within &= batch.windows["time"] < where.until
    return within
