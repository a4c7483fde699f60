"""The selective decoding curve (arXiv 2512.10942, 4.5): quality of the words against how often they are made.

Policies are measured as in `vljepa_evaluation.metrics.selective`; here they are swept, and every number gets its
interval.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vljepa_evaluation.metrics import (
    CiderD,
    CurvePoint,
    EmbeddingStream,
    match_annotations,
    ratio_at_equal_quality,
)
from vljepa_evaluation.tasks.estimate import SEED, Estimate
from vljepa_evaluation.tasks.protocol import Float32
from vljepa_evaluation.tasks.streams import Recording
from vljepa_runtime.selection import OfflineWard, OnlineSelection, Policy, Uniform, observe, run_policy

__all__ = ["BASELINE", "Curve", "HeldOut", "Ratio", "curves", "held_out", "policies", "ratios"]

Float64 = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

BASELINE = 60.0
"""Decodings per minute of the uniform decoding that is compared with: 1 Hz."""
INTERVALS_S = (0.5, 1.0, 1.5, 2.0, 2.85, 4.0, 5.0, 6.7, 10.0, 13.3, 20.0, 50.0)
POOLED_S = INTERVALS_S[1:]  # with a window every half second, pooling half a second pools nothing
THRESHOLDS = (0.01, 0.02, 0.03, 0.04, 0.07, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
RESAMPLES = 400

Sweep = Mapping[str, Sequence[tuple[float, Policy]]]
"""Per family of policies: (setting, policy)."""


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """One family of policies over all streams.

    Attributes:
        policy: Its name.
        settings: Interval in seconds, decodings per minute asked for, or threshold.
        scores: (settings, streams) sum of CIDEr-D over a stream's annotations.
        decodings: (settings, streams).
        annotations: (streams,) how many.
        minutes: (streams,) length.
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
        streams = len(self.minutes)
        chosen = np.random.default_rng(SEED).integers(streams, size=(RESAMPLES, streams))
        drawn = self.scores[:, chosen].sum(axis=-1) / self.annotations[chosen].sum(axis=-1)
        low, high = np.percentile(drawn, (2.5, 97.5), axis=1).tolist()
        values = (self.scores.sum(axis=1) / self.annotations.sum()).tolist()
        return tuple(Estimate(value=v, low=lo, high=hi, n=streams) for v, lo, hi in zip(values, low, high))

    def points(self, chosen: Indices) -> list[CurvePoint]:
        """The curve over some streams (repeats allowed)."""
        rates = self.decodings[:, chosen].sum(axis=1) / self.minutes[chosen].sum()
        quality = self.scores[:, chosen].sum(axis=1) / self.annotations[chosen].sum()
        return [
            CurvePoint(name=f"{self.policy} {setting:g}", per_minute=rate, quality=value, per_stream=())
            for setting, rate, value in zip(self.settings, rates.tolist(), quality.tolist())
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        rows = zip(self.settings, self.rates.tolist(), self.quality)
        points = [{"setting": s, "per_minute": rate, "cider_d": q.to_dict()} for s, rate, q in rows]
        return {"policy": self.policy, "points": points}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """How many times fewer decodings a policy needs than uniform decoding at 1 Hz for the same CIDEr.

    Attributes:
        policy: Its name.
        ratio: With an interval over resampled streams in which it exists; None when that CIDEr is never reached.
        against_sparsest: The same against the sparsest uniform decoding that still has that CIDEr: what the policy
            itself is worth where 1 Hz is more than uniform decoding needs.
        reached: Share of the resamples in which the CIDEr is reached.
    """

    policy: str
    ratio: Estimate | None
    against_sparsest: float | None
    reached: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "policy": self.policy,
            "ratio": self.ratio.to_dict() if self.ratio else None,
            "against_sparsest": self.against_sparsest,
            "reached": self.reached,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """A setting chosen on other streams, as a user would choose it, and what it does on the measured ones.

    Attributes:
        policy: Its name.
        setting: The sparsest one that reached the CIDEr of uniform decoding at 1 Hz on the streams it was chosen on.
        per_minute: Decodings per minute on the measured streams.
        fewer: How many times fewer than uniform decoding at 1 Hz there.
        gain: CIDEr-D minus that of uniform decoding at 1 Hz, stream by stream.
    """

    policy: str
    setting: float
    per_minute: float
    fewer: Estimate
    gain: Estimate

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "policy": self.policy,
            "setting": self.setting,
            "per_minute": self.per_minute,
            "fewer": self.fewer.to_dict(),
            "gain": self.gain.to_dict(),
        }


def policies() -> Sweep:
    """Every policy measured, with its settings."""
    return {
        "uniform": [(s, Uniform(s)) for s in INTERVALS_S],
        "uniform, pooled": [(s, Uniform(s, pooling="mean")) for s in POOLED_S],
        "ward": [(60 / s, OfflineWard(per_minute=60 / s, pooling="midpoint")) for s in INTERVALS_S],
        "ward, pooled": [(60 / s, OfflineWard(per_minute=60 / s, pooling="mean")) for s in POOLED_S],
        "online": [(t, OnlineSelection(threshold=t)) for t in THRESHOLDS],
    }


def curves(
    recordings: Sequence[Recording],
    decode: Callable[[Float32], str],
    *,
    swept: Sweep | None = None,
    progress: Callable[[float, str], None] = lambda share, what: None,
) -> tuple[Curve, ...]:
    """Run every policy over every stream and score what it would have said.

    Args:
        recordings: The streams.
        decode: Embedding (S,) -> text; equal embeddings are decoded once.
        swept: Policies with their settings; `policies()` when None.
        progress: Called with the share done and the policy.
    """
    swept = policies() if swept is None else swept
    streams = [recording.stream for recording in recordings]
    scorer = CiderD([annotation.captions for stream in streams for annotation in stream.annotations])
    known: dict[bytes, str] = {}

    def words(z: Float32) -> str:
        key = z.tobytes()
        if key not in known:
            known[key] = decode(z)
        return known[key]

    total, done, result = sum(map(len, swept.values())), 0, []
    for name, settings in swept.items():
        rows = []
        for _, policy in settings:
            progress(done / total, name)
            rows.append([_measure(policy, stream, words, scorer) for stream in streams])
            done += 1
        counts, scores = np.moveaxis(np.array(rows, np.float64), -1, 0)
        annotations = np.array([len(stream.annotations) for stream in streams], np.float64)
        minutes = np.array([stream.duration_s / 60 for stream in streams])
        result.append(Curve(name, tuple(s for s, _ in settings), scores, counts, annotations, minutes))
    return tuple(result)


def ratios(measured: Sequence[Curve]) -> tuple[Ratio, ...]:
    """Compare every curve with uniform decoding at 1 Hz.

    Raises:
        ValueError: there is no curve `uniform`.
    """
    uniform = next((curve for curve in measured if curve.policy == "uniform"), None)
    if uniform is None:
        raise ValueError(f"expected a curve `uniform`, got {', '.join(curve.policy for curve in measured)}")
    return tuple(_ratio(curve, uniform) for curve in measured)


def held_out(chosen_on: Sequence[Curve], measured: Sequence[Curve]) -> tuple[HeldOut, ...]:
    """Choose each policy's setting on some streams and report it on others.

    Args:
        chosen_on: Curves over the streams that settings are chosen on.
        measured: The same policies and settings over the measured streams.

    Returns:
        One per policy that reaches the CIDEr of uniform decoding at 1 Hz where settings are chosen.
    """
    (reference, row), (baseline, at) = _at_one_hertz(chosen_on), _at_one_hertz(measured)
    wanted = reference.quality[row].value
    result = []
    for before, after in zip(chosen_on, measured, strict=True):
        good = [i for i, q in enumerate(before.quality) if q.value >= wanted]
        if before.policy != reference.policy and good:
            setting = min(good, key=lambda i: float(before.rates[i]))
            result.append(_held_out(after, setting, baseline, at))
    return tuple(result)


def _at_one_hertz(measured: Sequence[Curve]) -> tuple[Curve, int]:
    uniform = next(curve for curve in measured if curve.policy == "uniform")
    return uniform, int(np.abs(uniform.rates - BASELINE).argmin())


def _held_out(curve: Curve, setting: int, uniform: Curve, at: int) -> HeldOut:
    streams = len(curve.minutes)
    drawn = np.random.default_rng(SEED).integers(streams, size=(RESAMPLES, streams))
    each = np.concatenate([np.arange(streams)[None], drawn])
    fewer = uniform.decodings[at][each].sum(axis=1) / np.maximum(
        curve.decodings[setting][each].sum(axis=1), 1
    )
    better = (curve.scores[setting] - uniform.scores[at])[each].sum(axis=1) / curve.annotations[each].sum(
        axis=1
    )

    def estimate(values: Float64) -> Estimate:
        low, high = np.percentile(values[1:], (2.5, 97.5)).tolist()
        return Estimate(value=float(values[0]), low=low, high=high, n=streams)

    return HeldOut(
        policy=curve.policy,
        setting=curve.settings[setting],
        per_minute=float(curve.rates[setting]),
        fewer=estimate(fewer),
        gain=estimate(better),
    )


def _measure(
    policy: Policy, stream: EmbeddingStream, words: Callable[[Float32], str], scorer: CiderD
) -> tuple[int, float]:
    """Decodings made, and the sum over annotations of the nearest output's score."""
    decisions = run_policy(policy, observe(stream.embeddings, stream.times_s, window_s=stream.window_s))
    if not decisions:
        return 0, 0.0
    texts = [words(decision.embedding) for decision in decisions]
    nearest = match_annotations(np.array([decision.time_s for decision in decisions]), stream.annotations)
    pairs = zip(nearest.tolist(), stream.annotations)
    return len(decisions), sum(scorer.score(texts[index], annotation.captions) for index, annotation in pairs)


def _ratio(curve: Curve, uniform: Curve) -> Ratio:
    streams = len(curve.minutes)

    def of(which: Curve, chosen: Indices) -> float | None:
        return ratio_at_equal_quality(which.points(chosen), uniform.points(chosen), at_per_minute=BASELINE)

    rng = np.random.default_rng(SEED)
    drawn = [of(curve, rng.integers(streams, size=streams)) for _ in range(RESAMPLES)]
    found = [ratio for ratio in drawn if ratio is not None]
    reached = len(found) / RESAMPLES
    value, sparsest = of(curve, np.arange(streams)), of(uniform, np.arange(streams))
    says_nothing = not uniform.scores.any()  # every rate is as good as any other
    if value is None or not found or says_nothing:
        return Ratio(policy=curve.policy, ratio=None, against_sparsest=None, reached=reached)
    low, high = np.percentile(found, (2.5, 97.5)).tolist()
    return Ratio(
        policy=curve.policy,
        ratio=Estimate(value=value, low=low, high=high, n=streams),
        against_sparsest=value / sparsest if sparsest else None,
        reached=reached,
    )
