"""The paper's offline policy (section 4.5): agglomerative clustering along time with Ward's distance.

It needs the whole stream before it says anything; `OnlineSelection` is the causal one.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from vljepa_runtime.arguments import choice, number, whole
from vljepa_runtime.errors import InputError
from vljepa_runtime.selection.protocol import Decision, Floats, Observation, change_since, unit
from vljepa_runtime.selection.whole_stream import WholeStream

__all__ = ["OfflineWard", "ward_segments"]


def ward_segments(
    embeddings: npt.NDArray[np.floating], segments: int, *, weights: npt.NDArray[np.floating] | None = None
) -> npt.NDArray[np.int64]:
    """Split a sequence into runs by merging the neighbours whose union adds least variance.

    A heap holds the cost of every pair of neighbours: O(T log T), a merge costs O(S).
    Equal costs merge from the left.

    Args:
        embeddings: (T, S).
        segments: Runs to leave; as many as there are embeddings when fewer.
        weights: (T,) how many windows each stands for; default 1.

    Returns:
        (segments,) int64, the first index of each run, ascending, starting with 0.

    Raises:
        InputError: no embeddings, or fewer than one segment asked for.
    """
    if embeddings.ndim != 2 or not len(embeddings) or segments < 1:
        raise InputError(
            f"expected (T, S) embeddings and 1 segment or more, got {embeddings.shape} and {segments}"
        )
    count = len(embeddings)
    mean = embeddings.astype(np.float64)
    sizes = np.ones(count) if weights is None else weights.astype(np.float64)
    size = sizes.tolist()
    following, before = list(range(1, count + 1)), list(range(-1, count - 1))
    changed = [
        0
    ] * count  # how often the run that starts here changed; a heap entry of older versions is stale
    shares = sizes[:-1] * sizes[1:] / (sizes[:-1] + sizes[1:])
    costs = (shares * np.square(np.diff(mean, axis=0)).sum(axis=1)).tolist()
    heap = [(cost, left, left + 1, 0, 0) for left, cost in enumerate(costs)]
    heapq.heapify(heap)

    def offer(left: int, right: int) -> None:
        gap = mean[left] - mean[right]
        cost = float(gap @ gap) * size[left] * size[right] / (size[left] + size[right])
        heapq.heappush(heap, (cost, left, right, changed[left], changed[right]))

    alive = count
    while alive > segments:
        _, left, right, left_version, right_version = heapq.heappop(heap)
        if changed[left] != left_version or changed[right] != right_version:
            continue
        total = size[left] + size[right]
        mean[left] = (mean[left] * size[left] + mean[right] * size[right]) / total
        size[left] = total
        changed[left] += 1
        changed[right] = -1
        after, alive = following[right], alive - 1
        following[left] = after
        if after < count:
            before[after] = left
            offer(left, after)
        if before[left] >= 0:
            offer(before[left], left)
    return np.array([start for start in range(count) if changed[start] >= 0], np.int64)


@dataclass(frozen=True, slots=True)
class OfflineWard:
    """Decode one embedding per segment, once the stream is over; keeps all embeddings until then.

    Attributes:
        segments: How many segments; or None and
        per_minute: segments per minute of the stream.
        pooling: `mean` decodes the normalised mean of a segment's embeddings, `midpoint` the middle one; a held
            picture weighs as many as it stands for.
    """

    segments: int | None = None
    per_minute: float | None = field(default=None, kw_only=True)
    pooling: Literal["mean", "midpoint"] = field(default="mean", kw_only=True)

    def __post_init__(self) -> None:
        if (self.segments is None) == (self.per_minute is None):
            raise InputError("expected either segments or per_minute, got both or none")
        if self.segments is not None:
            whole(self.segments, "segments", least=1)
        if self.per_minute is not None:
            number(self.per_minute, "per_minute", above=0)
        choice(self.pooling, "pooling", ("mean", "midpoint"))

    def start(self) -> WholeStream:
        """A fresh state for one stream."""
        return WholeStream(self._decide)

    def count(self, duration_s: float) -> int:
        """Segments for a stream of that length."""
        if self.segments is not None:
            return self.segments
        return max(1, round((self.per_minute or 0) * duration_s / 60))

    def _decide(self, seen: list[Observation]) -> list[Decision]:
        embeddings = np.stack([unit(observation.embedding) for observation in seen])
        weights = np.array([observation.weight for observation in seen], np.float32)
        segments = self.count(seen[-1].end_s - seen[0].start_s)
        starts = ward_segments(embeddings, segments, weights=weights).tolist()
        decisions: list[Decision] = []
        last: Floats | None = None
        for start, stop in zip(starts, [*starts[1:], len(seen)]):
            embedding = self._pooled(embeddings[start:stop], weights[start:stop])
            decisions.append(
                Decision(
                    start_s=seen[start].start_s,
                    end_s=seen[stop - 1].end_s,
                    time_s=(seen[start].time_s + seen[stop - 1].time_s) / 2,
                    embedding=embedding,
                    change=change_since(embedding, last),
                )
            )
            last = embedding
        return decisions

    def _pooled(self, embeddings: Floats, weights: Floats) -> Floats:
        if self.pooling == "mean":
            return unit((embeddings * weights[:, None]).sum(axis=0) / weights.sum())
        return unit(embeddings[np.searchsorted(weights.cumsum(), weights.sum() / 2)])
