"""Causal selection: decode when the meaning has moved away from what was last decoded, and the view is clear of it.

A window that overlaps a change shows the old and the new at once, and a model that reads it says a mixture. So a
change is not put into words before windows agree, and they need to agree less once none of their frames is old.

The paper has no online method. Memory is a few embeddings, whatever the length of the stream.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field, fields, replace

import numpy as np

from vljepa_runtime.arguments import number, whole
from vljepa_runtime.errors import InputError
from vljepa_runtime.selection.boundaries import Boundaries, BoundaryNet
from vljepa_runtime.selection.protocol import Decision, Floats, Observation, change_since, distance, unit

__all__ = ["THRESHOLD", "OnlineSelection"]

SHORTEST_S = 1.5  # between two boundaries that a net sees
THRESHOLD = 0.02
"""Cosine distance that opens a change where none was chosen."""
NEAR = 0.04  # cosine distance within which a window shows one event and nothing of another


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlineSelection:
    """Decode on change against the last *decoded* embedding, so slow drift fires and noise does not.

    The defaults suit a window every 0.5 to 1 s and were chosen on ten streams of the procedural world with the shipped
    model; `calibrate` finds the threshold for another model or query.

    A window that shows one held picture is no mixture: whatever change is open settles with it, and the segment
    starts where that picture came on show. It counts once, however long it lasts: a heartbeat (`max_age_s`) waits
    for its end.

    Without a threshold, a session asks the network of its model's bundle where that has one for its windows
    (`Model.boundaries`); with one it goes by distances.

    A change opens when the mean of the last `smooth` embeddings is further than `threshold` from the
    reference. It is withdrawn when that mean comes back within `hysteresis * threshold` before it settled (a
    blink). It settles when the last two embeddings are within `agree` of each other; or within `agree_clear`,
    when both windows start after the last one that still agreed with the reference had ended; or
    `max_delay_s` after it opened. The mean of those two is decoded. A settled segment that `min_gap_s` or the
    budget holds back waits. When another settles meanwhile the two merge: the one that lasted longer by then
    gives the embedding, the decision spans both and says so in `merged`.

    With `boundaries`, nets that were fitted to streams with known events, a change is what the one says that was fitted
    to windows so far apart: it settles where the probability of a boundary is highest, one window later; without
    `confirm` where it is high first. Threshold, hysteresis, smooth, agree and max_delay_s then count for the first
    segment alone, and where pictures are held.

    Attributes:
        threshold: Cosine distance that opens a change, above 0, at most 2; None takes `THRESHOLD`.
        hysteresis: Share of the threshold under which a change is withdrawn, 0..1.
        smooth: Embeddings in the running mean.
        agree: Cosine distance within which two windows in a row mean the same, 0..2.
        agree_clear: The same for windows that show nothing of what was before, agree..2.
        max_delay_s: Longest wait for agreement.
        min_gap_s: Shortest time between decodings.
        max_age_s: Decode again after this long without one (a heartbeat); None never does.
        per_minute: Budget of decodings; None has none.
        burst: Decodings that quiet time can save up; any minute has at most per_minute + burst.
        boundaries: See where an event ends; without any that fits, distances count.
        boundary: Probability from which on it counts as seen, 0..1.
        confirm: Whether a boundary is told one window later, when the next is known to be less sure of it.
    """

    threshold: float | None = None
    hysteresis: float = 0.6
    smooth: int = 1
    agree: float = 0.02
    agree_clear: float = 0.12
    max_delay_s: float = 3.0
    min_gap_s: float = 0.5
    max_age_s: float | None = None
    per_minute: float | None = None
    burst: int = 2
    boundaries: tuple[BoundaryNet, ...] = ()
    boundary: float = 0.1
    confirm: bool = True

    def __post_init__(self) -> None:
        for item in (each for each in fields(self) if each.name not in ("boundaries", "confirm")):
            value, kind = getattr(self, item.name), whole if item.name in ("smooth", "burst") else number
            if value is not None or item.default is not None:
                kind(value, item.name)
        checks = {
            "0 < threshold <= 2 or None": self.threshold is None or 0 < self.threshold <= 2,
            "0 <= hysteresis <= 1": 0 <= self.hysteresis <= 1,
            "smooth >= 1": self.smooth >= 1,
            "0 <= agree <= agree_clear <= 2": 0 <= self.agree <= self.agree_clear <= 2,
            "finite max_delay_s >= 0": 0 <= self.max_delay_s < math.inf,
            "finite min_gap_s >= 0": 0 <= self.min_gap_s < math.inf,
            "max_age_s > 0 or None": self.max_age_s is None or self.max_age_s > 0,
            "per_minute > 0 or None": self.per_minute is None or 0 < self.per_minute < math.inf,
            "burst >= 1": self.burst >= 1,
            "0 < boundary < 1": 0 < self.boundary < 1,
            "confirm True or False": isinstance(self.confirm, bool),
        }
        broken = [rule for rule, holds in checks.items() if not holds]
        if broken:
            raise InputError(f"expected {'; '.join(broken)}, got {self}")

    def knowing(self, boundaries: Boundaries | None, query: str) -> OnlineSelection:
        """The same with a bundle's nets for a query, where no threshold and no other net was chosen."""
        if boundaries is None or self.threshold is not None or self.boundaries:
            return self
        return replace(self, boundaries=boundaries.nets_of(query))

    def limited(self, limit: float) -> OnlineSelection:
        """The same with another limit of what it goes by: the probability of a boundary, or a distance without nets."""
        return replace(self, boundary=limit) if self.boundaries else replace(self, threshold=limit)

    @property
    def least_change(self) -> float:
        """Cosine distance that opens a change."""
        return THRESHOLD if self.threshold is None else self.threshold

    def start(self) -> _OnlineState:
        """A fresh state for one stream."""
        return _OnlineState(self)


@dataclass(slots=True)
class _Segment:
    """A settled meaning that waits for its decoding."""

    start_s: float
    end_s: float
    total: Floats
    time_total_s: float
    count: int
    merged: int = 0

    def absorb(self, earlier: _Segment) -> _Segment:
        """One segment over both; the one that lasted longer gives the embedding."""
        longer = self if self.count >= earlier.count else earlier
        return _Segment(
            min(self.start_s, earlier.start_s),
            max(self.end_s, earlier.end_s),
            longer.total,
            longer.time_total_s,
            longer.count,
            self.merged + earlier.merged + 1,
        )


@dataclass(slots=True)
class _OnlineState:
    policy: OnlineSelection
    recent: deque[Observation] = field(init=False)
    reference: Floats | None = None  # meaning of the segment we are in: decoded, or settled and waiting
    decoded: Floats | None = None
    opened: Observation | None = None  # first window of a change that has not settled
    old_end_s: float = -math.inf  # end of the last window that agreed with the reference
    held_end_s: float = -math.inf  # end of the last held picture
    waiting: _Segment | None = None
    inside: bool = False  # the stream still is in the waiting segment
    tokens: float = 0.0
    decoded_at_s: float = -math.inf
    now_s: float = -math.inf
    chances: deque[float] = field(default_factory=lambda: deque([0.0, 0.0, 0.0], maxlen=3))  # of a boundary
    boundary_s: float = -math.inf  # middle of the window at the last one

    def __post_init__(self) -> None:
        seen = (net.windows for net in self.policy.boundaries)
        self.recent = deque(maxlen=max(self.policy.smooth, 2, *seen))
        self.tokens = float(self.policy.burst)

    def push(self, observation: Observation) -> list[Decision]:
        self._tick(observation.time_s)
        seen = replace(observation, embedding=unit(observation.embedding))
        if seen.held:
            self.recent.clear()  # what was before has no part in it
            self.held_end_s = seen.end_s
        self.recent.append(seen)
        if (net := self._net()) is not None:
            self._watch(seen, net)
        else:
            self.chances.extend((0.0, 0.0))
            self._follow(seen)
        if self.opened is None:
            self.old_end_s = seen.end_s
        elif self._settled():
            self._close()
        return self._emit()

    def finish(self) -> list[Decision]:
        """A change that had no time to settle counts; the budget does not hold back the last one."""
        if self.opened is not None:
            self._close()
        elif self._net() is not None:
            self.chances.append(0.0)
            self._end_event(list(self.recent)[-2:])
        return [self._decide(self.waiting)] if self.waiting is not None else []

    def _tick(self, time_s: float) -> None:
        rate = self.policy.per_minute
        if rate is not None and self.now_s > -math.inf:
            self.tokens = min(float(self.policy.burst), self.tokens + rate * (time_s - self.now_s) / 60)
        self.now_s = time_s

    def _net(self) -> BoundaryNet | None:
        """The net that has the word: behind the first segment, and while windows come as those it was fitted to."""
        if self.reference is None or self.opened is not None:
            return None
        fitting = (net for net in self.policy.boundaries if self._is_regular(net))
        return next(fitting, None)

    def _is_regular(self, net: BoundaryNet) -> bool:
        """Whether the windows that it looks at are as far apart as those it was fitted to, and show no held picture."""
        known = list(self.recent)[-net.windows :]
        apart_s = (known[-1].start_s - known[0].start_s) / max(len(known) - 1, 1)
        return len(known) > 1 and net.fits(apart_s) and not any(seen.held for seen in known)

    def _watch(self, seen: Observation, net: BoundaryNet) -> None:
        """What the net says of the newest window decides about it, or about the one before."""
        known = list(self.recent)[-net.windows :]
        missing = known[:1] * (net.windows - len(known))
        self.chances.append(net.probability(np.stack([_f32(each) for each in (*missing, *known)])))
        is_same = distance(_f32(seen), self.reference) <= NEAR  # a mixture with the next event does not count
        shown = list(self.recent)[-3 if self.policy.confirm else -2 :]
        if not self._end_event(shown) and is_same:
            self._extend(seen)

    def _end_event(self, shown: list[Observation]) -> bool:
        """Settle on the windows `shown`, the second of which is at the boundary, if there is one."""
        before, here, after = self.chances
        if self.policy.confirm:
            is_seen = here >= self.policy.boundary and here >= before and here > after
        else:
            is_seen = after >= self.policy.boundary
        if not is_seen or len(shown) < 2 or shown[1].time_s - self.boundary_s < SHORTEST_S:
            return False
        self.boundary_s = shown[1].time_s
        # The first window of an event may show a little of the one before: it counts where it says the same.
        self._settle(shown[0].start_s, shown[:2] if _apart(shown[:2]) <= NEAR else shown[1:2])
        return True

    def _follow(self, seen: Observation) -> None:
        """Open or withdraw a change, or extend the waiting segment."""
        gone = distance(self._mean(self.policy.smooth), self.reference)
        if self.opened is None and (self.reference is None or gone > self.policy.least_change):
            self.opened = self._onset()
        elif self.reference is not None and gone < self.policy.hysteresis * self.policy.least_change:
            self.opened = None
        if self.opened is None:
            self._extend(seen)

    def _extend(self, seen: Observation) -> None:
        """The waiting segment lasts on."""
        if self.waiting is not None and self.inside:
            self.waiting.end_s = seen.end_s
            self.waiting.total = self.waiting.total + seen.weight * seen.embedding
            self.waiting.time_total_s += seen.weight * seen.time_s
            self.waiting.count += seen.weight

    def _onset(self) -> Observation:
        """The earliest of the smoothed windows that is itself beyond the threshold."""
        smoothed = list(self.recent)[-self.policy.smooth :]
        beyond = (o for o in smoothed if distance(_f32(o), self.reference) > self.policy.least_change)
        return next(beyond, smoothed[-1])

    def _settled(self) -> bool:
        """Two windows of the open change agree, or one picture is held, or it has waited long enough."""
        assert self.opened is not None
        if self.recent[-1].held or self.now_s - self.opened.time_s >= self.policy.max_delay_s:
            return True
        pair = self._pair()
        if len(pair) < 2:
            return False
        if self._is_clear(pair[0]):
            return _apart(pair) <= self.policy.agree_clear
        # Windows that reach back into a held picture are mixtures with it, even if they agree.
        return pair[0].start_s >= self.held_end_s and _apart(pair) <= self.policy.agree

    def _is_clear(self, seen: Observation) -> bool:
        """No frame of it was in a window that still had the old meaning."""
        return seen.start_s >= self.old_end_s

    def _pair(self) -> list[Observation]:
        """The last two windows, as far as they belong to the open change."""
        assert self.opened is not None
        return [seen for seen in list(self.recent)[-2:] if seen.index >= self.opened.index]

    def _settled_windows(self) -> list[Observation]:
        """The windows that stand for the open change: those that agree, else those that are clear, else the newest."""
        pair = self._pair()
        if _apart(pair) <= self.policy.agree:
            return pair
        return [seen for seen in pair if self._is_clear(seen)] or pair[-1:]

    def _close(self) -> None:
        """The open change becomes the waiting segment."""
        assert self.opened is not None
        settled = self._settled_windows()
        self._settle(max(self.opened.start_s, self._changed_s(self.opened, settled[0])), settled)

    def _settle(self, onset_s: float, settled: list[Observation]) -> None:
        """These windows, of a change at `onset_s`, become the waiting segment."""
        total = np.stack([seen.weight * _f32(seen) for seen in settled]).sum(axis=0, dtype=np.float32)
        times_s = sum(seen.weight * seen.time_s for seen in settled)
        count = sum(seen.weight for seen in settled)
        segment = _Segment(onset_s, self.recent[-1].end_s, total, times_s, count)
        self.reference, self.opened, self.inside = unit(total), None, True
        self.old_end_s = settled[-1].end_s
        self.waiting = segment if self.waiting is None else segment.absorb(self.waiting)
        # After a merge in which the earlier one gives the embedding, later windows must not blend into it.
        self.inside = self.waiting.total is total

    def _changed_s(self, opened: Observation, settled: Observation) -> float:
        """When the old meaning went: known to the frame where a held picture came or went."""
        if settled.held:
            return min(self.old_end_s, settled.start_s)
        if opened.start_s < self.held_end_s:
            return self.held_end_s
        return min(self.old_end_s, settled.time_s)

    def _emit(self) -> list[Decision]:
        if self.now_s - self.decoded_at_s < self.policy.min_gap_s:
            return []
        if self.policy.per_minute is not None and self.tokens < 1 - 1e-9:
            return []
        if self.waiting is None and self.opened is None:
            self._heartbeat()
        return [self._decide(self.waiting)] if self.waiting is not None else []

    def _heartbeat(self) -> None:
        age_s = self.now_s - self.decoded_at_s
        if self.policy.max_age_s is not None and age_s >= self.policy.max_age_s:
            self.opened = list(self.recent)[-max(self.policy.smooth, 2) :][0]
            self._close()

    def _decide(self, segment: _Segment) -> Decision:
        embedding = unit(segment.total)
        decision = Decision(
            start_s=segment.start_s,
            end_s=segment.end_s,
            time_s=max(segment.start_s, segment.time_total_s / segment.count),  # a mean of sums is rounded
            embedding=embedding,
            change=change_since(embedding, self.decoded),
            merged=segment.merged,
        )
        self.decoded = self.reference = embedding
        self.waiting, self.decoded_at_s = None, self.now_s
        self.tokens -= 1
        return decision

    def _mean(self, count: int) -> Floats:
        return unit(np.stack([_f32(seen) for seen in list(self.recent)[-count:]]).mean(axis=0))


def _apart(pair: list[Observation]) -> float:
    return distance(_f32(pair[0]), _f32(pair[-1]))


def _f32(seen: Observation) -> Floats:
    return np.asarray(seen.embedding, np.float32)
