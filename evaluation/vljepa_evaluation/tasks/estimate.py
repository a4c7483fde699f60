"""A measured number with its 95 % bootstrap interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vljepa_evaluation.metrics import bootstrap_interval

__all__ = ["SEED", "Estimate", "mean_of"]

RESAMPLES = 1000
SEED = 20251210


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A statistic of `n` samples and the interval that covers it in 95 % of bootstrap resamples."""

    value: float
    low: float
    high: float
    n: int

    def to_dict(self) -> dict[str, float]:
        """Plain values."""
        return {"value": self.value, "low": self.low, "high": self.high, "n": self.n}


def mean_of(samples: npt.ArrayLike, *, resamples: int = RESAMPLES, seed: int = SEED) -> Estimate:
    """Mean of samples (n,) with its percentile interval.

    Args:
        samples: One number per clip.
        resamples: Bootstrap resamples.
        seed: Of the resampling, so that a report can be repeated.

    Raises:
        InputError: there is no sample.
    """
    interval = bootstrap_interval(samples, seed, samples=resamples)
    return Estimate(value=interval.mean, low=interval.low, high=interval.high, n=np.size(samples))
