"""Offline selection by what tells events apart: a decoding an event, of the mean of all windows that show it alone.

It needs the whole stream before it says anything; `OnlineSelection` is the causal one, and asks the same networks.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from vljepa_runtime.arguments import number, whole
from vljepa_runtime.errors import InputError
from vljepa_runtime.selection.boundaries import Boundaries, BoundaryNet
from vljepa_runtime.selection.online import SHORTEST_S, OnlineSelection
from vljepa_runtime.selection.protocol import Decision, Floats, Observation, Policy, change_since, unit
from vljepa_runtime.selection.ward import OfflineWard
from vljepa_runtime.selection.whole_stream import WholeStream

__all__ = ["OfflineSelection", "decisions_between"]


@dataclass(frozen=True, slots=True)
class OfflineSelection:
    """Decode one embedding per event, once the stream is over; keeps all embeddings until then.

    An event begins where a net that was fitted to windows so far apart is surest of it, the surest first and none less
    than 1.5 s from another. Its embedding is the mean of the windows that lie between two boundaries, as in section
    4.5 of the paper. Without such a net, and where pictures are held, `OfflineWard` splits the stream into as many
    segments; where no number was asked for, `OnlineSelection` does it by distances.

    Attributes:
        segments: How many at most; or None and
        per_minute: segments per minute of the stream at most; with neither, as many as the net sees.
        boundary: Probability from which on a boundary counts as seen, 0..1.
        boundaries: See where an event ends; a session takes those of its model's bundle (`Model.boundaries`).
    """

    segments: int | None = None
    per_minute: float | None = field(default=None, kw_only=True)
    boundary: float = field(default=0.1, kw_only=True)
    boundaries: tuple[BoundaryNet, ...] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        if self.segments is not None and self.per_minute is not None:
            raise InputError("expected either segments or per_minute, got both")
        if self.segments is not None:
            whole(self.segments, "segments", least=1)
        if self.per_minute is not None:
            number(self.per_minute, "per_minute", above=0)
        if not 0 < number(self.boundary, "boundary") < 1:
            raise InputError(f"expected 0 < boundary < 1, got {self.boundary}")

    def knowing(self, boundaries: Boundaries | None, query: str) -> OfflineSelection:
        """The same with a bundle's nets for a query, where no other net was chosen."""
        if boundaries is None or self.boundaries:
            return self
        return replace(self, boundaries=boundaries.nets_of(query))

    def without_net(self) -> Policy:
        """What selects where no net can."""
        if self.segments is None and self.per_minute is None:
            return OnlineSelection()
        return OfflineWard(self.segments, per_minute=self.per_minute)

    def most(self, duration_s: float) -> int | None:
        """Segments of a stream of that length; None leaves it to the net."""
        if self.per_minute is None:
            return self.segments
        return OfflineWard(per_minute=self.per_minute).count(duration_s)

    def start(self) -> WholeStream:
        """A fresh state for one stream."""
        return WholeStream(self._decide)

    def _decide(self, seen: list[Observation]) -> list[Decision]:
        if (net := self._net(seen)) is None:
            other = self.without_net().start()
            return [decision for each in seen for decision in other.push(each)] + other.finish()
        begins_s = [seen[index].start_s for index in self._begins(seen, net)]
        # A boundary is known to the half of a stride, and a window that shows a little of both events says neither.
        return decisions_between(seen, zip(begins_s, [*begins_s[1:], seen[-1].end_s]), margin_s=net.stride_s)

    def _net(self, seen: Sequence[Observation]) -> BoundaryNet | None:
        """The one that was fitted to windows so far apart, and to no held pictures."""
        if len(seen) < 2 or any(each.held for each in seen):
            return None
        apart_s = float(np.median(np.diff([each.start_s for each in seen])))
        return next((net for net in self.boundaries if net.fits(apart_s)), None)

    def _begins(self, seen: Sequence[Observation], net: BoundaryNet) -> list[int]:
        """Indices of the first windows of all segments, ascending."""
        peaks = _peaks(net.along(np.stack([unit(each.embedding) for each in seen])), self.boundary)
        most, taken = self.most(seen[-1].end_s - seen[0].start_s), [0]
        for index in peaks:
            if len(taken) == most:
                break
            begins = index - 1  # the net speaks of the second window behind a boundary
            place = bisect(taken, begins)
            apart_s = [
                abs(seen[begins].start_s - seen[other].start_s) for other in taken[place - 1 : place + 1]
            ]
            if min(apart_s) >= SHORTEST_S:
                taken.insert(place, begins)
        return taken


def _peaks(chances: Floats, least: float) -> list[int]:
    """Indices, but the first, of chances higher than the next and not lower than the one before; the highest first."""
    before, here, after = chances[:-1], chances[1:], np.append(chances[2:], -1.0)
    found = 1 + np.flatnonzero((here >= least) & (here >= before) & (here > after))
    order: list[int] = found[np.argsort(-chances[found], kind="stable")].tolist()
    return order


def decisions_between(
    seen: Sequence[Observation], stretches_s: Iterable[tuple[float, float]], *, margin_s: float = 0.0
) -> list[Decision]:
    """One decision for each stretch of time, of the mean of the windows that lie in it.

    Args:
        seen: All windows of a stream.
        stretches_s: Begin and end of each; one shorter than a window gets the window nearest to its middle.
        margin_s: How far from both ends of a stretch a window has to keep, where one does.

    Examples:
        >>> import numpy as np
        >>> from vljepa_runtime.selection import decisions_between, observe
        >>> one, other = np.eye(2)
        >>> seen = list(observe(np.stack([one] * 3 + [other] * 3), np.arange(6.0), window_s=1))
        >>> [(found.time_s, found.embedding.tolist()) for found in decisions_between(seen, [(0.5, 2.5), (2.5, 5.5)])]
        [(1.5, [1.0, 0.0]), (4.0, [0.0, 1.0])]
    """
    starts_s, ends_s, middles_s = (
        np.array([getattr(each, name) for each in seen]) for name in ("start_s", "end_s", "time_s")
    )
    decisions, last = list[Decision](), None
    for start_s, end_s in stretches_s:
        middle_s = (start_s + end_s) / 2
        for margin in (margin_s, 0.0):
            inside = _inside(starts_s, ends_s, start_s + margin, end_s - margin)
            if len(inside):
                break
        else:
            inside = np.array([np.abs(middles_s - middle_s).argmin()])
        embedding = _mean([seen[index] for index in inside])
        change, last = change_since(embedding, last), embedding
        decisions.append(
            Decision(start_s=start_s, end_s=end_s, time_s=middle_s, embedding=embedding, change=change)
        )
    return decisions


def _inside(
    starts_s: npt.NDArray[np.float64], ends_s: npt.NDArray[np.float64], start_s: float, end_s: float
) -> npt.NDArray[np.int64]:
    """The windows between two times; times of neighbours are rounded differently."""
    return np.flatnonzero((starts_s >= start_s - 1e-6) & (ends_s <= end_s + 1e-6))


def _mean(windows: Sequence[Observation]) -> Floats:
    return unit(np.sum([each.weight * unit(each.embedding) for each in windows], axis=0, dtype=np.float32))
