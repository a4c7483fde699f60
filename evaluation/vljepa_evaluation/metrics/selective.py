"""Quality of selective decoding (paper section 4.5): caption quality against decodings per minute.

Works on recorded embeddings; a callable turns an embedding into text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vljepa_evaluation.metrics.captions import CiderD
from vljepa_runtime.errors import InputError
from vljepa_runtime.selection import Policy, observe, run_policy

__all__ = [
    "Annotation",
    "CurvePoint",
    "EmbeddingStream",
    "match_annotations",
    "quality_curve",
    "ratio_at_equal_quality",
]

Embedding = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """What happened from when to when; several captions when there are paraphrases."""

    start_s: float
    end_s: float
    captions: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EmbeddingStream:
    """A recorded stream with its truth.

    Attributes:
        times_s: (T,) middles of the windows, ascending.
        embeddings: (T, S).
        annotations: In any order.
        window_s: Length of a window.
    """

    times_s: npt.NDArray[np.floating]
    embeddings: npt.NDArray[np.floating]
    annotations: tuple[Annotation, ...]
    window_s: float = 0.0

    @property
    def duration_s(self) -> float:
        """Length of the stream, counting one stride for every window."""
        count = len(self.times_s)
        span_s = float(self.times_s[-1] - self.times_s[0]) if count else 0.0
        return span_s * count / (count - 1) if count > 1 else self.window_s


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """One policy on all streams.

    Attributes:
        name: Of the policy.
        per_minute: Decodings per minute of stream.
        quality: Mean CIDEr-D over all annotations.
        per_stream: Mean CIDEr-D of each stream, for `bootstrap_interval`.
    """

    name: str
    per_minute: float
    quality: float
    per_stream: tuple[float, ...]


def match_annotations(
    times_s: npt.NDArray[np.floating], annotations: Sequence[Annotation]
) -> npt.NDArray[np.int64]:
    """For each annotation the output nearest in time.

    The distance to an interval is 0 inside it; among outputs at the same distance the one nearest to the
    interval's middle counts, then the earlier.

    Args:
        times_s: (N,) times of the decoded outputs.
        annotations: A of them.

    Returns:
        (A,) int64 indices of outputs.

    Raises:
        InputError: no outputs.
    """
    if not len(times_s):
        raise InputError("expected at least one decoded output to match annotations with")
    starts = np.array([annotation.start_s for annotation in annotations])[:, None]
    ends = np.array([annotation.end_s for annotation in annotations])[:, None]
    outside = np.maximum(np.maximum(starts - times_s, times_s - ends), 0.0)
    off_middle = np.abs(times_s - (starts + ends) / 2)
    return np.asarray(np.lexsort((off_middle, outside), axis=1)[:, 0], np.int64)


def quality_curve(
    policies: Mapping[str, Policy],
    streams: Sequence[EmbeddingStream],
    decode: Callable[[Embedding], str],
) -> list[CurvePoint]:
    """Measure a family of policies on the same streams.

    Document frequencies come from the annotations of all streams, one document each. Identical embeddings are
    decoded once, which changes the time it takes and not what is counted.

    Args:
        policies: By name.
        streams: With at least one window and one annotation each.
        decode: (S,) float32 embedding -> text.

    Returns:
        One point per policy, fewest decodings first.

    Raises:
        InputError: no streams, or an empty one.
    """
    if not streams or any(not len(s.times_s) or not s.annotations for s in streams):
        raise InputError("expected one stream or more, each with windows and annotations")
    scorer = CiderD([annotation.captions for stream in streams for annotation in stream.annotations])
    cached = _Cached(decode)
    points = [_point(name, policy, streams, cached, scorer) for name, policy in policies.items()]
    return sorted(points, key=lambda point: point.per_minute)


def _point(
    name: str,
    policy: Policy,
    streams: Sequence[EmbeddingStream],
    decode: Callable[[Embedding], str],
    scorer: CiderD,
) -> CurvePoint:
    decodings, scores = 0, []
    for stream in streams:
        seen = observe(stream.embeddings, stream.times_s, window_s=stream.window_s)
        decisions = run_policy(policy, seen)
        decodings += len(decisions)
        texts = [decode(decision.embedding) for decision in decisions]
        nearest = match_annotations(np.array([d.time_s for d in decisions]), stream.annotations)
        pairs = zip(nearest.tolist(), stream.annotations)
        scores.append([scorer.score(texts[index], annotation.captions) for index, annotation in pairs])
    minutes = sum(stream.duration_s for stream in streams) / 60
    return CurvePoint(
        name=name,
        per_minute=decodings / minutes if minutes else float("inf"),
        quality=float(np.mean(np.concatenate(scores))),
        per_stream=tuple(float(np.mean(values)) for values in scores),
    )


class _Cached:
    """Decode with a memory: policies of a family mostly pick the same embeddings."""

    def __init__(self, decode: Callable[[Embedding], str]) -> None:
        self._decode = decode
        self._texts: dict[bytes, str] = {}

    def __call__(self, embedding: Embedding) -> str:
        key = embedding.tobytes()
        if key not in self._texts:
            self._texts[key] = self._decode(embedding)
        return self._texts[key]


def ratio_at_equal_quality(
    curve: Iterable[CurvePoint], uniform: Iterable[CurvePoint], *, at_per_minute: float = 60.0
) -> float | None:
    """How many times fewer decodings give the quality of uniform decoding at a rate.

    Both curves are read linearly between their points; the curve's first crossing from below counts. The paper
    reports about 2.85 for a rate of 60 per minute, on its own data and offline.

    Args:
        curve: Points of the policy family.
        uniform: Points of uniform decoding.
        at_per_minute: The uniform rate to compare with.

    Returns:
        The ratio, or None when the curve never reaches that quality or `uniform` has no point at or beyond the
        rate on either side. Where even the curve's sparsest point is good enough, that point counts.
    """
    ours, theirs = _arrays(curve), _arrays(uniform)
    rates, quality = theirs
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


def _arrays(curve: Iterable[CurvePoint]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    points = sorted((point.per_minute, point.quality) for point in curve)
    values = np.array(points, np.float64).reshape(-1, 2)
    return values[:, 0], values[:, 1]
