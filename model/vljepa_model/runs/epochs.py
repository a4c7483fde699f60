"""Which rows of a data set a step sees, from the step alone."""

from __future__ import annotations

import numpy as np

__all__ = ["epoch_rows"]


def epoch_rows(step: int, rows: int, batch: int, *, seed: int) -> list[int]:
    """Rows of a step's batch, from a new order of all in every epoch; an epoch's odd rest is left out."""
    epoch, place = divmod(step, rows // batch)
    order = np.random.default_rng([seed, epoch, 1]).permutation(rows)
    picks: list[int] = order[place * batch : (place + 1) * batch].tolist()
    return picks
