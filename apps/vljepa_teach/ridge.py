"""Ridge regression to one column per state, and what it says of rows that it did not see."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["STRENGTHS", "Ridge", "balanced", "folds_of", "held_out_scores"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
STRENGTHS = tuple(float(power) for power in np.logspace(-4, 1, 11))
"""Of the penalty, as shares of all variance of the rows; beyond the last it is the nearest mean, nearly."""
MOST_FOLDS = 100
"""Of 20 states with 20 examples each, 400 windows of 256 values: some 10 s on one core."""


class Ridge:
    """Weighted least squares with a free intercept and a penalty on the weights, for every strength from one SVD.

    Args:
        rows: (N, D).
        targets: (N, L).
        weights: (N,) of the rows, above 0.
    """

    def __init__(self, rows: Floats, targets: Floats, weights: Floats) -> None:
        root = np.sqrt(weights)[:, None]
        self._row, self._target = (weights @ values / weights.sum() for values in (rows, targets))
        left, self._values, self._right = np.linalg.svd(root * (rows - self._row), full_matrices=False)
        self._shares = left.T @ (root * (targets - self._target))
        self._variance = max(float((self._values**2).sum()), 1e-12)  # rows may all be one

    def fit(self, strength: float) -> tuple[Floats, Floats]:
        """Weights (D, L) and intercepts (L,)."""
        shrunk = self._values / (self._values**2 + strength * self._variance)
        weights = self._right.T @ (shrunk[:, None] * self._shares)
        return weights, self._target - self._row @ weights


def balanced(labels: Ints, groups: Ints) -> Floats:
    """(N,) weights by which every state counts the same, and in it every group."""
    weights = np.zeros(len(labels))
    for label in np.unique(labels):
        own = labels == label
        found = np.unique(groups[own])
        for group in found:
            rows = own & (groups == group)
            weights[rows] = 1 / len(found) / rows.sum()
    return weights


def folds_of(labels: Ints, groups: Ints) -> Ints:
    """(N,) which rows are left out together: those of a group; of very many groups some, of different states."""
    order = {
        group: place for place, (_, group) in enumerate(sorted(set(zip(labels.tolist(), groups.tolist()))))
    }
    return np.array([order[group] % MOST_FOLDS for group in groups.tolist()], np.int64)


def held_out_scores(
    rows: Floats, labels: Ints, groups: Ints, strengths: Sequence[float] = STRENGTHS
) -> list[Floats]:
    """Per strength (N, L), what is said of each row by a fit to the rows of other folds.

    Fits are made anew, with the others weighted as if they were all there is: in the short cut by the hat matrix the
    state of the row left out would count less than the others, and few examples would look worse than guessing.
    """
    targets, folds = np.eye(labels.max() + 1)[labels], folds_of(labels, groups)
    found = [np.empty_like(targets) for _ in strengths]
    for fold in np.unique(folds):
        own = folds == fold
        ridge = Ridge(rows[~own], targets[~own], balanced(labels[~own], groups[~own]))
        for scores, strength in zip(found, strengths):
            weights, intercepts = ridge.fit(strength)
            scores[own] = rows[own] @ weights + intercepts
    return found
