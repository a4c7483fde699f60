"""Are two models different on the same clips, and by how much? Differences clip by clip, with interval and test.

Where both are right or wrong: the score interval of Tango (Stat. Med. 17, 1998) and McNemar's test with the mid-p
value (Fagerland et al., BMC Med. Res. Methodol. 13:91, 2013). Other values and clips of one video: a bootstrap, and
the test that exchanges both models at random. Several tests of one pair: Holm (Scand. J. Stat. 6, 1979).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from vljepa_evaluation.metrics.intervals import (
    BINARY,
    SEED,
    Estimate,
    Float64,
    Span,
    Z,
    bootstrapped,
    grouped_sums,
    is_binary,
)
from vljepa_runtime.errors import InputError

__all__ = ["PairedDifference", "difference_of", "holm"]

EXCHANGES = 9999
ALL_ORDERS = 13  # so many cases that differ are exchanged in every way, 8,192 of them
CHUNK = 4_000_000  # exchanges drawn at once
POWER_Z = NormalDist().inv_cdf(0.8)
STEPS = 60  # of a bisection: far beyond float64


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedDifference:
    """How far one model's mean is above (+) or below (-) another's on the same clips.

    Attributes:
        estimate: The difference with its 95 % interval.
        p: Probability of a difference as large or larger between models that are equally good.
        agree: Share of the clips on which both have the same value.
    """

    estimate: Estimate
    p: float
    agree: float

    @property
    def possible(self) -> float:
        """The largest difference, in either direction, that the interval leaves possible."""
        return max(abs(self.estimate.low), abs(self.estimate.high))

    @property
    def visible(self) -> float:
        """The true difference that as many clips would show (p < 0.05) in four of five repetitions."""
        return self.estimate.half_width * (Z + POWER_Z) / Z

    def times(self, factor: float) -> PairedDifference:
        """The same in another unit."""
        e = self.estimate
        scaled = Estimate(value=factor * e.value, low=factor * e.low, high=factor * e.high, n=e.n)
        return replace(self, estimate=scaled)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return self.estimate.to_dict() | {
            "p": self.p,
            "agree": self.agree,
            "possible": self.possible,
            "visible": self.visible,
        }


def difference_of(
    mine: npt.ArrayLike,
    other: npt.ArrayLike,
    *,
    groups: npt.ArrayLike | None = None,
    span: Span | None = BINARY,
    ignore: float = 0.0,
    seed: int = SEED,
) -> PairedDifference:
    """Compare two models clip by clip.

    Args:
        mine: (n,) values of one model.
        other: (n,) values of the other on the same clips.
        groups: (n,) equal whole numbers for clips that are not independent; None where each stands alone.
        span: Smallest and largest value that there may be; None takes the interval from what was seen alone.
        ignore: Differences of the mean up to this are no difference, for the test: engines round otherwise.
        seed: Of what is drawn at random.

    Raises:
        InputError: the two are not of the same clips, or are none.

    Examples:
        >>> from vljepa_evaluation.metrics import difference_of
        >>> found = difference_of([1] * 280 + [0] * 20, [1] * 300)
        >>> found
        PairedDifference(estimate=Estimate(value=-0.06..., low=-0.10..., high=-0.04..., n=300), p=9.5...e-07, ...)
        >>> same = difference_of([1] * 300, [1] * 300)  # no disagreement among 300 excludes little
        >>> same.p, round(same.possible, 3), round(same.visible, 3)
        (1.0, 0.013, 0.018)
    """
    a, b = np.asarray(mine, np.float64), np.asarray(other, np.float64)
    if a.ndim != 1 or not a.size or a.shape != b.shape:
        raise InputError(f"expected two values for each clip, got shapes {a.shape} and {b.shape}")
    gap, agree = a - b, float((a == b).mean())
    if groups is None and is_binary(a) and is_binary(b) and span == BINARY and not ignore:
        wins, losses = int((gap > 0).sum()), int((gap < 0).sum())
        estimate = _tango(wins, losses, a.size)
        return PairedDifference(estimate=estimate, p=_mid_p(wins, losses), agree=agree)
    width = span[1] - span[0] if span else 0.0
    estimate = bootstrapped(gap, groups, (-width, width) if span else None, seed=seed)
    nearest = math.copysign(min(ignore, abs(estimate.value)), estimate.value)
    sums, _ = grouped_sums(gap - nearest, groups)
    return PairedDifference(estimate=estimate, p=_exchanged(sums, seed), agree=agree)


def holm(values: Sequence[float]) -> tuple[float, ...]:
    """Probabilities of several tests, each corrected for all: one below 0.05 among them is wrong in 5 % at most.

    Examples:
        >>> from vljepa_evaluation.metrics import holm
        >>> holm([0.04, 0.01, 0.03])
        (0.06, 0.03, 0.06)
    """
    corrected, least = [0.0] * len(values), 0.0
    for rank, index in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        least = max(least, min(1.0, (len(values) - rank) * values[index]))
        corrected[index] = least
    return tuple(corrected)


def _mid_p(wins: int, losses: int) -> float:
    """Two-sided: a difference as large counts half, a larger one fully. Whole numbers, so exact for any count."""
    differing, fewer = wins + losses, min(wins, losses)
    tail = sum(math.comb(differing, k) for k in range(fewer + 1))
    return (2 * tail - math.comb(differing, fewer)) / (1 << differing)


def _tango(wins: int, losses: int, n: int) -> Estimate:
    """All differences that the score test does not refuse at 5 %."""
    value = (wins - losses) / n

    def refused(delta: float) -> bool:
        b = (2 * n - wins + losses) * delta - wins - losses
        c = -losses * delta * (1 - delta)
        lost = (math.sqrt(max(0.0, b * b - 8 * n * c)) - b) / (
            4 * n
        )  # likeliest share, given this difference
        return (wins - losses - n * delta) ** 2 > Z * Z * n * max(0.0, 2 * lost + delta * (1 - delta))

    def limit(outside: float) -> float:
        inside = value
        for _ in range(STEPS):
            middle = (inside + outside) / 2
            inside, outside = (inside, middle) if refused(middle) else (middle, outside)
        return inside

    return Estimate(value=value, low=limit(-1.0), high=limit(1.0), n=n)


def _exchanged(sums: Float64, seed: int) -> float:
    """How often models that change places in each case at random differ as much in sum."""
    moved = sums[sums != 0]
    least = abs(float(moved.sum())) * (1 - 1e-9)
    if not moved.size:
        return 1.0
    if moved.size <= ALL_ORDERS:
        signs = np.array(list(product((-1.0, 1.0), repeat=moved.size)))
        return float(np.mean(np.abs(signs @ moved) >= least, dtype=np.float64))
    random, step, as_much = np.random.default_rng(seed), max(1, CHUNK // moved.size), 0
    for begun in range(0, EXCHANGES, step):
        signs = random.integers(0, 2, size=(min(step, EXCHANGES - begun), moved.size), dtype=np.int8)
        as_much += int((np.abs(2 * (signs @ moved) - moved.sum()) >= least).sum())
    return (1 + as_much) / (1 + EXCHANGES)
