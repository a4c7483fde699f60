"""A measured number and how sure it is: 95 % intervals that keep a width at 0 %, at 100 % and without a difference.

Wilson's for a proportion (J. Am. Stat. Assoc. 22, 1927), order statistics for a median, else a Bayesian bootstrap
(Rubin, Ann. Stat. 9, 1981).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from vljepa_runtime.errors import InputError

__all__ = [
    "BINARY",
    "SEED",
    "Estimate",
    "Span",
    "Z",
    "bootstrapped",
    "grouped_sums",
    "is_binary",
    "mean_of",
    "median_of",
    "rate_of",
]

Float64 = npt.NDArray[np.float64]
Span = tuple[float, float]
"""Smallest and largest value that a sample may have."""
SEED = 20251210
RESAMPLES = 4000
PERCENTILES = (2.5, 97.5)
Z = NormalDist().inv_cdf(0.975)
CHUNK = 1_000_000  # weights drawn at once: 8 MB
BINARY = (0.0, 1.0)
UNSEEN = 0.5  # samples' worth of either end of a span; makes Jeffreys' interval of a proportion


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A statistic of `n` samples and its 95 % interval."""

    value: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, value: float, resampled: npt.ArrayLike, n: int) -> Estimate:
        """The statistic with the interval that its resamples (R,) give."""
        low, high = np.percentile(np.asarray(resampled, np.float64), PERCENTILES).tolist()
        return cls(value=value, low=low, high=high, n=n)

    @property
    def half_width(self) -> float:
        """Half of the interval."""
        return (self.high - self.low) / 2

    def to_dict(self) -> dict[str, float]:
        """Plain values."""
        return {"value": self.value, "low": self.low, "high": self.high, "n": self.n}


def mean_of(
    samples: npt.ArrayLike,
    *,
    groups: npt.ArrayLike | None = None,
    span: Span | None = None,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Estimate:
    """Mean of samples with its interval.

    Args:
        samples: (n,) one per independent case: per clip or per stream, not per window of one stream.
        groups: (n,) whole numbers, equal for samples that are not independent (of one video), which are then drawn
            together. None where every sample stands alone.
        span: Smallest and largest value that a sample may have: the interval then allows for either end, so that it
            keeps a width where all samples are equal. None takes 0 and 1 where there are no other values, and else
            what was seen alone.
        resamples: Of the bootstrap.
        seed: Of the resampling, so that a report can be repeated.

    Raises:
        InputError: there is no sample, one is not finite or beyond the span, or there is not one group for each.

    Examples:
        >>> from vljepa_evaluation.metrics import mean_of
        >>> right = mean_of([1] * 300)
        >>> right.value, round(right.low, 3), right.high
        (1.0, 0.987, 1.0)
    """
    data = np.asarray(samples, np.float64)
    if data.ndim != 1 or not data.size or not np.isfinite(data).all():
        raise InputError(f"expected (N,) finite values, got shape {data.shape} or NaN inside")
    if span is None and is_binary(data):
        span = BINARY
    if span is not None and not (span[0] <= data.min() and data.max() <= span[1]):
        raise InputError(f"expected values in {span[0]:g}..{span[1]:g}, got {data.min():g}..{data.max():g}")
    if groups is None and span == BINARY and is_binary(data):
        return _wilson(int(data.sum()), data.size)
    return bootstrapped(data, groups, span, resamples=resamples, seed=seed)


def bootstrapped(
    data: Float64,
    groups: npt.ArrayLike | None,
    span: Span | None,
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Estimate:
    """Mean of values (n,) that may lie anywhere in the span; see `mean_of`."""
    found = Estimate.of(float(data.mean()), _means(data, groups, span, resamples, seed), data.size)
    return replace(found, low=min(found.low, found.value), high=max(found.high, found.value))


def median_of(samples: npt.ArrayLike) -> Estimate:
    """Median of independent samples (n,); the interval lies between two of them, whatever their distribution is.

    Of fewer than 6 samples the interval runs from the smallest to the largest, and covers less than 95 %.

    Examples:
        >>> from vljepa_evaluation.metrics import median_of
        >>> median_of(range(30))
        Estimate(value=14.5, low=9.0, high=20.0, n=30)
    """
    data = np.sort(np.asarray(samples, np.float64))
    if data.ndim != 1 or not data.size or not np.isfinite(data).all():
        raise InputError(f"expected (N,) finite values, got shape {data.shape} or NaN inside")
    below, left_out = 0, 1  # of 2 ** n orders of samples about the median
    while below < data.size and 40 * (left_out + math.comb(data.size, below + 1)) <= 2**data.size:
        below += 1
        left_out += math.comb(data.size, below)
    at = min(below, (data.size - 1) // 2)
    return Estimate(
        value=float(np.median(data)), low=float(data[at]), high=float(data[data.size - 1 - at]), n=data.size
    )


def rate_of(count: int, exposure: float) -> Estimate:
    """Events per unit of what was watched, with Garwood's exact interval of a Poisson count (Biometrika 28, 1936).

    Args:
        count: How many there were.
        exposure: Days, hours or minutes that were watched.

    Examples:
        >>> from vljepa_evaluation.metrics import rate_of
        >>> rate_of(0, 2.0)
        Estimate(value=0.0, low=0.0, high=1.84..., n=0)
    """
    if count < 0 or not exposure > 0:
        raise InputError(f"expected a count and an exposure above 0, got {count} and {exposure}")
    below = (100 - PERCENTILES[1]) / 100
    low = _poisson_mean(count - 1, 1 - below) if count else 0.0
    high = _poisson_mean(count, below)
    return Estimate(value=count / exposure, low=low / exposure, high=high / exposure, n=count)


def _poisson_mean(count: int, share: float) -> float:
    """The mean of a Poisson variable that is `count` at most with this probability."""
    counts = np.arange(count + 1)
    factorials = np.cumsum(np.log(np.maximum(counts, 1)))
    low, high = 0.0, count + 10.0 * math.sqrt(count + 1) + 10
    for _ in range(80):
        mean = (low + high) / 2
        at_most = float(np.exp(counts * math.log(mean) - mean - factorials).sum())
        low, high = (mean, high) if at_most > share else (low, mean)
    return (low + high) / 2


def is_binary(data: Float64) -> bool:
    """Whether all values are 0 or 1."""
    return bool(np.isin(data, BINARY).all())


def _wilson(hits: int, n: int) -> Estimate:
    share, z2 = hits / n, Z * Z
    middle = (hits + z2 / 2) / (n + z2)
    half = Z / (n + z2) * math.sqrt(n * share * (1 - share) + z2 / 4)
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    return Estimate(value=share, low=low if hits else 0.0, high=high if hits < n else 1.0, n=n)


def _means(
    data: Float64, groups: npt.ArrayLike | None, span: Span | None, resamples: int, seed: int
) -> Float64:
    """Means (R,) under random weights of the groups, and of either end of the span, seen half a time each."""
    sums, counts = grouped_sums(data, groups)
    shapes = np.ones_like(sums)
    if span is not None:
        size = float(counts.mean())
        sums = np.append(sums, np.array(span) * size)
        counts = np.append(counts, [size, size])
        shapes = np.append(shapes, [UNSEEN, UNSEEN])
    random = np.random.default_rng(seed)
    step = max(1, CHUNK // sums.size)
    means = []
    for begun in range(0, resamples, step):
        weights = random.standard_gamma(shapes, size=(min(step, resamples - begun), sums.size))
        means.append((weights @ sums) / (weights @ counts))
    return np.concatenate(means)


def grouped_sums(data: Float64, groups: npt.ArrayLike | None) -> tuple[Float64, Float64]:
    """Sum and count of each group; of each sample where there are none."""
    if groups is None:
        return data, np.ones_like(data)
    names = np.asarray(groups)
    if names.shape != data.shape:
        raise InputError(f"expected a group for each of {data.size} samples, got shape {names.shape}")
    _, index = np.unique(names, return_inverse=True)
    sums, counts = np.bincount(index, weights=data), np.bincount(index)
    return np.asarray(sums, np.float64), np.asarray(counts, np.float64)
