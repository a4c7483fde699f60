"""How sure is a mean: percentile bootstrap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vljepa_runtime.errors import InputError

__all__ = ["Interval", "bootstrap_interval"]

CHUNK = 1_000_000  # indices drawn at once: 8 MB


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A mean and the range it lies in with the given confidence."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def bootstrap_interval(
    values: npt.ArrayLike, seed: int, *, confidence: float = 0.95, samples: int = 2000
) -> Interval:
    """Confidence interval of the mean by resampling the values.

    Args:
        values: (N,) one per independent case: per clip or per stream, not per window of one stream.
        seed: Makes it repeatable.
        confidence: 0..1.
        samples: Resamplings.

    Raises:
        InputError: no values, not finite, or confidence outside 0..1.
    """
    data = np.asarray(values, np.float64)
    if data.ndim != 1 or not data.size or not np.isfinite(data).all():
        raise InputError(f"expected (N,) finite values, got shape {data.shape} or NaN inside")
    if not 0 < confidence < 1 or samples < 1:
        raise InputError(f"expected confidence in 0..1 and samples >= 1, got {confidence} and {samples}")
    random = np.random.default_rng(seed)
    step = max(1, CHUNK // data.size)
    sizes = [min(step, samples - begun) for begun in range(0, samples, step)]
    means = np.concatenate(
        [data[random.integers(0, data.size, size=(size, data.size))].mean(axis=1) for size in sizes]
    )
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(mean=float(data.mean()), low=float(low), high=float(high))
