"""The selective decoding curve (arXiv 2512.10942, 4.5): quality of the words against how often they are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vljepa_evaluation.metrics.intervals import SEED, Estimate

__all__ = ["Curve", "HeldOut", "Ratio", "held_out", "ratio_at_equal_quality", "ratios"]

Float64 = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Points = tuple[Float64, Float64]
"""Decodings per minute and CIDEr-D, (N,) each."""
ORACLE = "events known"
"""The curve that knows where events end."""
BASELINE = 60.0
"""Decodings per minute of the uniform decoding that is compared with: 1 Hz."""
RESAMPLES = 400


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """One family of policies over all streams.

    Attributes:
        policy: Name of the family.
        settings: Interval in seconds, decodings per minute asked for, or threshold.
        scores: (settings, streams) sum of CIDEr-D over a stream's annotations.
        decodings: (settings, streams) runs of the Y-decoder.
        annotations: (streams,) number of annotations.
        minutes: (streams,) length in minutes.

    Examples:
        >>> import numpy as np
        >>> from vljepa_evaluation.metrics import Curve, held_out, ratios
        >>> streams = {"annotations": np.array([10.0, 10.0]), "minutes": np.array([1.0, 1.0])}
        >>> scores, decodings = np.array([[80.0, 80], [60, 60]]), np.array([[60.0, 60], [10, 10]])
        >>> uniform = Curve("uniform", (1.0, 6.0), scores, decodings, **streams)
        >>> online = Curve("online", (0.1, 0.4), scores, decodings / 2, **streams)
        >>> online.rates, [quality.value for quality in online.quality]
        (array([30.,  5.]), [8.0, 6.0])
        >>> ratios([uniform, online])[1]
        Ratio(policy='online', ratio=Estimate(value=2.0, low=2.0, high=2.0, n=2), against_sparsest=2.0, ...)
        >>> held_out([uniform, online], [uniform, online])  # settings chosen on some streams, measured on others
        (HeldOut(policy='online', setting=0.1, per_minute=30.0, fewer=Estimate(value=2.0, ...), gain=...),)
    """

    policy: str
    settings: tuple[float, ...]
    scores: Float64
    decodings: Float64
    annotations: Float64
    minutes: Float64

    @property
    def rates(self) -> Float64:
        """Decodings per minute (settings,)."""
        return np.asarray(self.decodings.sum(axis=1) / self.minutes.sum(), np.float64)

    @property
    def quality(self) -> tuple[Estimate, ...]:
        """CIDEr-D per setting, with an interval over streams."""
        chosen = _resamples(streams := len(self.minutes))
        drawn = self.scores[:, chosen].sum(axis=-1) / self.annotations[chosen].sum(axis=-1)
        values = (self.scores.sum(axis=1) / self.annotations.sum()).tolist()
        return tuple(Estimate.of(value, row, streams) for value, row in zip(values, drawn))

    def points(self, chosen: Indices) -> Points:
        """The curve over some streams (repeats allowed)."""
        rates = self.decodings[:, chosen].sum(axis=1) / self.minutes[chosen].sum()
        return rates, self.scores[:, chosen].sum(axis=1) / self.annotations[chosen].sum()

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        rows = zip(self.settings, self.rates.tolist(), self.quality)
        points = [{"setting": s, "per_minute": rate, "cider_d": q.to_dict()} for s, rate, q in rows]
        return {"policy": self.policy, "points": points}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """How many times fewer decodings a policy needs than uniform decoding at 1 Hz for the same CIDEr.

    Attributes:
        policy: Name of the family.
        ratio: With an interval over resampled streams in which it exists; None when that CIDEr is never reached.
        against_sparsest: The same against the sparsest uniform decoding that still has that CIDEr: what the policy
            itself is worth where 1 Hz is more than uniform decoding needs.
        reached: Share of the resamples in which the CIDEr is reached.
        against_oracle: How many times fewer than the curve `events known` needs for it, resample by resample; None
            where there is no such curve, or one of the two never reaches it.
    """

    policy: str
    ratio: Estimate | None
    against_sparsest: float | None
    reached: float
    against_oracle: Estimate | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "policy": self.policy,
            "ratio": self.ratio.to_dict() if self.ratio else None,
            "against_sparsest": self.against_sparsest,
            "reached": self.reached,
            "against_oracle": self.against_oracle.to_dict() if self.against_oracle else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """A setting chosen on other streams, as a user would choose it, and what it does on the measured ones.

    Attributes:
        policy: Name of the family.
        setting: The sparsest one that reached the CIDEr of uniform decoding at 1 Hz on the streams it was chosen on.
        per_minute: Decodings per minute on the measured streams.
        fewer: How many times fewer than uniform decoding at 1 Hz there.
        gain: CIDEr-D minus that of uniform decoding at 1 Hz, stream by stream.
        of_oracle: Of the decodings that the curve `events known` saves, the share saved; None without that curve.
    """

    policy: str
    setting: float
    per_minute: float
    fewer: Estimate
    gain: Estimate
    of_oracle: Estimate | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "policy": self.policy,
            "setting": self.setting,
            "per_minute": self.per_minute,
            "fewer": self.fewer.to_dict(),
            "gain": self.gain.to_dict(),
            "of_oracle": self.of_oracle.to_dict() if self.of_oracle else None,
        }


def ratios(measured: Sequence[Curve]) -> tuple[Ratio, ...]:
    """Compare every curve with uniform decoding at 1 Hz.

    Raises:
        ValueError: there is no curve `uniform`.
    """
    uniform, known = _named(measured, "uniform"), _named(measured, ORACLE)
    if uniform is None:
        raise ValueError(f"expected a curve `uniform`, got {', '.join(curve.policy for curve in measured)}")
    return tuple(_ratio(curve, uniform, known) for curve in measured)


def _named(measured: Sequence[Curve], policy: str) -> Curve | None:
    return next((curve for curve in measured if curve.policy == policy), None)


def held_out(chosen_on: Sequence[Curve], measured: Sequence[Curve]) -> tuple[HeldOut, ...]:
    """Choose each policy's setting on some streams and report it on others.

    Args:
        chosen_on: Curves over the streams that settings are chosen on.
        measured: The same policies and settings over the measured streams.

    Returns:
        One per policy that reaches the CIDEr of uniform decoding at 1 Hz where settings are chosen.
    """
    (reference, row), (baseline, at) = _at_one_hertz(chosen_on), _at_one_hertz(measured)
    known = _named(measured, ORACLE)
    wanted = reference.quality[row].value
    result = []
    for before, after in zip(chosen_on, measured, strict=True):
        good = [i for i, q in enumerate(before.quality) if q.value >= wanted]
        if before.policy != reference.policy and good:
            setting = min(good, key=lambda i: float(before.rates[i]))
            result.append(_held_out(after, setting, baseline, at, known))
    return tuple(result)


def _at_one_hertz(measured: Sequence[Curve]) -> tuple[Curve, int]:
    uniform = next(curve for curve in measured if curve.policy == "uniform")
    return uniform, int(np.abs(uniform.rates - BASELINE).argmin())


def _held_out(curve: Curve, setting: int, uniform: Curve, at: int, known: Curve | None) -> HeldOut:
    streams = len(curve.minutes)
    each = np.concatenate([np.arange(streams)[None], _resamples(streams)])
    usual, ours = (rows[each].sum(axis=1) for rows in (uniform.decodings[at], curve.decodings[setting]))
    fewer = usual / np.maximum(ours, 1)
    better = (curve.scores[setting] - uniform.scores[at])[each].sum(axis=1) / curve.annotations[each].sum(
        axis=1
    )
    return HeldOut(
        policy=curve.policy,
        setting=curve.settings[setting],
        per_minute=float(curve.rates[setting]),
        fewer=Estimate.of(float(fewer[0]), fewer[1:], streams),
        gain=Estimate.of(float(better[0]), better[1:], streams),
        of_oracle=None
        if known is None
        else _shared(usual - ours, usual - known.decodings[0][each].sum(axis=1), streams),
    )


def _shared(saved: Float64, known: Float64, streams: int) -> Estimate | None:
    """What is saved over what the oracle saves, of all streams and then of each resample."""
    if (known <= 0).any():  # streams so short that there is nothing to save
        return None
    share = saved / known
    return Estimate.of(float(share[0]), share[1:], streams)


def _ratio(curve: Curve, uniform: Curve, known: Curve | None) -> Ratio:
    streams = len(curve.minutes)

    def of(which: Curve, chosen: Indices) -> float | None:
        return ratio_at_equal_quality(which.points(chosen), uniform.points(chosen), at_per_minute=BASELINE)

    rng = np.random.default_rng(SEED)
    resamples = [np.arange(streams), *(rng.integers(streams, size=streams) for _ in range(RESAMPLES))]
    value, *drawn = (of(curve, chosen) for chosen in resamples)
    found = [ratio for ratio in drawn if ratio is not None]
    reached = len(found) / RESAMPLES
    sparsest = of(uniform, resamples[0])
    says_nothing = not uniform.scores.any()  # every rate is as good as any other
    if value is None or not found or says_nothing:
        return Ratio(policy=curve.policy, ratio=None, against_sparsest=None, reached=reached)
    return Ratio(
        policy=curve.policy,
        ratio=Estimate.of(value, found, streams),
        against_sparsest=value / sparsest if sparsest else None,
        reached=reached,
        against_oracle=None
        if known is None
        else _against([value, *drawn], [of(known, each) for each in resamples], streams),
    )


def _against(ours: Sequence[float | None], theirs: Sequence[float | None], streams: int) -> Estimate | None:
    """One ratio over the other, of all streams and then of the resamples that have both."""
    pairs = [one / other if one and other else None for one, other in zip(ours, theirs)]
    found = [each for each in pairs[1:] if each is not None]
    return Estimate.of(pairs[0], found, streams) if pairs[0] is not None and found else None


def ratio_at_equal_quality(
    curve: Points, uniform: Points, *, at_per_minute: float = BASELINE
) -> float | None:
    """How many times fewer decodings give the quality of uniform decoding at a rate.

    Both curves are read linearly between their points; the curve's first crossing from below counts. The paper
    reports about 2.85 for a rate of 60 per minute, on its own data and offline.

    Args:
        curve: Points of the policy family, in any order.
        uniform: Points of uniform decoding on the same streams.
        at_per_minute: The uniform rate to compare with.

    Returns:
        The ratio, or None when the curve never reaches that quality or `uniform` has no point at or beyond the
        rate on either side. Where even the curve's sparsest point is good enough, that point counts.

    Examples:
        >>> import numpy as np
        >>> from vljepa_evaluation.metrics import ratio_at_equal_quality
        >>> uniform = np.array([10.0, 60.0]), np.array([6.0, 8.0])
        >>> ratio_at_equal_quality((np.array([5.0, 20.0, 30.0]), np.array([4.0, 8.0, 9.0])), uniform)
        3.0
    """
    ours, (rates, quality) = _sorted(curve), _sorted(uniform)
    # Rates come from counting windows, so 60 may be 59.9: allow 2 % at the ends.
    if not len(ours[0]) or not len(rates) or not rates[0] * 0.98 <= at_per_minute <= rates[-1] * 1.02:
        return None
    wanted = float(np.interp(at_per_minute, rates, quality))
    reached = np.flatnonzero(ours[1] >= wanted)
    if not len(reached):
        return None
    first = int(reached[0])
    rate = float(ours[0][first])
    if first > 0:
        low_rate, low, high = float(ours[0][first - 1]), float(ours[1][first - 1]), float(ours[1][first])
        rate = low_rate + (rate - low_rate) * (wanted - low) / (high - low)
    return at_per_minute / rate


def _sorted(points: Points) -> Points:
    rates, quality = (np.asarray(values, np.float64) for values in points)
    order = np.lexsort((quality, rates))
    return rates[order], quality[order]


def _resamples(streams: int) -> Indices:
    return np.random.default_rng(SEED).integers(streams, size=(RESAMPLES, streams))
