"""A measured number and how sure it is: 95 % percentile bootstrap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vljepa_runtime.errors import InputError

__all__ = ["SEED", "Estimate", "mean_of"]

SEED = 20251210
RESAMPLES = 1000
PERCENTILES = (2.5, 97.5)
CHUNK = 1_000_000  # indices drawn at once: 8 MB


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A statistic of `n` samples and the interval that covers it in 95 % of bootstrap resamples."""

    value: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, value: float, resampled: npt.ArrayLike, n: int) -> Estimate:
        """The statistic with the interval that its resamples (R,) give."""
        low, high = np.percentile(np.asarray(resampled, np.float64), PERCENTILES).tolist()
        return cls(value=value, low=low, high=high, n=n)

    def to_dict(self) -> dict[str, float]:
        """Plain values."""
        return {"value": self.value, "low": self.low, "high": self.high, "n": self.n}


def mean_of(
    samples: npt.ArrayLike,
    *,
    groups: npt.ArrayLike | None = None,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Estimate:
    """Mean of samples with its interval.

    Args:
        samples: (n,) one per independent case: per clip or per stream, not per window of one stream.
        groups: (n,) whole numbers, equal for samples that are not independent (of one video), which are then drawn
            together. None where every sample stands alone.
        resamples: Bootstrap resamples.
        seed: Of the resampling, so that a report can be repeated.

    Raises:
        InputError: there is no sample, one is not finite, or there is not one group for each.

    Examples:
        >>> from vljepa_evaluation.metrics import mean_of
        >>> mean_of([1, 1, 0, 1])
        Estimate(value=0.75, low=0.25, high=1.0, n=4)
    """
    data = np.asarray(samples, np.float64)
    if data.ndim != 1 or not data.size or not np.isfinite(data).all():
        raise InputError(f"expected (N,) finite values, got shape {data.shape} or NaN inside")
    random = np.random.default_rng(seed)
    sums, counts = _drawn_together(data, groups)
    step = max(1, CHUNK // sums.size)
    means = []
    for begun in range(0, resamples, step):
        picks = random.integers(0, sums.size, size=(min(step, resamples - begun), sums.size))
        means.append(sums[picks].sum(axis=1) / counts[picks].sum(axis=1))
    return Estimate.of(float(data.mean()), np.concatenate(means), data.size)


def _drawn_together(
    data: npt.NDArray[np.float64], groups: npt.ArrayLike | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Sum and count of each group; of each sample where there are none."""
    if groups is None:
        return data, np.ones_like(data)
    names = np.asarray(groups)
    if names.shape != data.shape:
        raise InputError(f"expected a group for each of {data.size} samples, got shape {names.shape}")
    _, index = np.unique(names, return_inverse=True)
    sums, counts = np.bincount(index, weights=data), np.bincount(index)
    return np.asarray(sums, np.float64), np.asarray(counts, np.float64)
