"""Yes or no, and lists in the order of their scores: F1 with its interval, average precision."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vljepa_evaluation.metrics.intervals import RESAMPLES, SEED, Estimate
from vljepa_runtime.errors import InputError

__all__ = ["average_precision", "binary_f1"]


def binary_f1(truth: npt.ArrayLike, said: npt.ArrayLike, *, groups: npt.ArrayLike | None = None) -> Estimate:
    """F1 of the positive class, with a bootstrap interval; 0 where nothing is positive.

    Args:
        truth: (n,) whether it is so.
        said: (n,) whether it was said.
        groups: (n,) whole numbers, equal for samples that are drawn together.

    Raises:
        InputError: the two are not as many, or there is none.

    Examples:
        >>> from vljepa_evaluation.metrics import binary_f1
        >>> binary_f1([True, True, False], [True, False, False]).value
        0.66...
    """
    right, told = np.asarray(truth, bool), np.asarray(said, bool)
    if right.ndim != 1 or right.shape != told.shape or not right.size:
        raise InputError(f"expected as many answers as truths, got {right.shape} and {told.shape}")
    counts = np.stack([right & told, right ^ told], axis=1).astype(np.float64)
    names = np.arange(right.size) if groups is None else np.asarray(groups)
    _, index = np.unique(names, return_inverse=True)
    sums = np.stack([np.bincount(index, weights=column) for column in counts.T], axis=1)
    random, drawn = np.random.default_rng(SEED), []
    for _ in range(0, RESAMPLES, 100):
        drawn.append(_f1(random.exponential(size=(100, len(sums))) @ sums))
    return Estimate.of(float(_f1(sums.sum(axis=0))), np.concatenate(drawn), right.size)


def _f1(counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Of hits and mistakes (..., 2)."""
    hits, mistakes = counts[..., 0], counts[..., 1]
    total = 2 * hits + mistakes
    return np.asarray(np.where(total > 0, 2 * hits / np.maximum(total, 1e-300), 0.0), np.float64)


def average_precision(scores: npt.NDArray[np.floating], right: npt.NDArray[np.bool_]) -> float:
    """Mean over the right candidates of the precision at their place; a tie counts against them.

    Args:
        scores: (N,) of candidates.
        right: (N,) which of them are right; at least one.

    Raises:
        InputError: none is right, or the two are not as many.

    Examples:
        >>> import numpy as np
        >>> from vljepa_evaluation.metrics import average_precision
        >>> average_precision(np.array([0.9, 0.8, 0.7]), np.array([True, False, True]))
        0.8333333333333333
    """
    if scores.shape != right.shape or not right.any():
        raise InputError(f"expected one right candidate or more among {scores.shape}, got {int(right.sum())}")
    order = np.lexsort((right, -scores))  # of equal ones the wrong come first
    hits = right[order]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].mean())
