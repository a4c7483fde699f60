"""Which picture of a stream is on show when: stamps as files hold them become times that can be relied on.

Knows stamps and durations; no file, no codec, no picture.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

__all__ = ["Shown", "Stamped", "StreamClock"]

Picture = TypeVar("Picture")

LOOKAHEAD = 4  # pictures that are looked at before a stamp that is not one step after the last is judged
REPEATED_S = 2e-3  # muxers that want times to rise write a repeated stamp as one a tick later
ORDINARY = 1.5  # of the time between pictures; a stray stamp and a pause begin alike


@dataclass(frozen=True, slots=True, eq=False)
class Stamped(Generic[Picture]):
    """A picture in presentation order with what its container says.

    Attributes:
        picture: What is stamped; it is only handed on.
        stamp_s: Presentation time in the container's own count; None when it has none.
        duration_s: Its own duration; None when the container does not say.
    """

    picture: Picture
    stamp_s: float | None
    duration_s: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Shown(Generic[Picture]):
    """A picture with its place in the stream.

    Attributes:
        picture: The one that came in.
        time_s: When it appears; never before the picture ahead of it.
        end_s: When the next one appears; of the last one, when its own duration is over.
        index: 0, 1, 2, ... over all passes.
    """

    picture: Picture
    time_s: float
    end_s: float
    index: int

    @property
    def duration_s(self) -> float:
        """How long it is on show."""
        return round(self.end_s - self.time_s, 9)


class StreamClock:
    """Counts the time of a stream over one or several passes; each pass goes on where the last one ended.

    A stamp that is missing, repeated or stray costs its own picture only, which comes one step after the one
    ahead, or earlier where the next good stamp leaves less room. Stamps that begin anew (files joined end to end, a
    counter that wrapped, a camera that restarted) go on one picture later. A leap ahead that later stamps
    confirm is a pause: the picture before it is held.

    Attributes:
        first_s: Time of the first picture.
        end_s: Where the last picture given leaves the screen.
        pass_s: Time on show of this pass so far.
        index: Number of the last picture given.
    """

    def __init__(self) -> None:
        self.first_s = 0.0
        self.end_s = 0.0
        self.pass_s = 0.0
        self.index = -1

    def follow(
        self,
        pictures: Iterable[Stamped[Picture]],
        *,
        start_s: float | None,
        step_s: float,
        length_s: float | None = None,
    ) -> Iterator[Shown[Picture]]:
        """Times of one pass, a few pictures behind.

        Args:
            pictures: In presentation order.
            start_s: Where the container's count begins, over all of its tracks; None where it does not say, or
                where the pass shall begin with its first picture.
            step_s: Time between pictures where nothing else tells it.
            length_s: Of the pass by the container's header, None where it does not say. Durations of pictures
                belong to the order of decoding, so the last one may end earlier.
        """
        track = _Track[Picture](self.end_s, start_s if self.index < 0 else None, step_s, length_s)
        self.pass_s = 0.0
        for shown in track.run(pictures):
            self.index += 1
            if self.index == 0:
                self.first_s = shown.time_s
            self.pass_s += shown.duration_s
            self.end_s = shown.end_s
            yield replace(shown, index=self.index)


class _Track(Generic[Picture]):
    """One pass: `queue` waits for judgement, `unplaced` for the next good stamp, `last` for its end."""

    def __init__(self, begin_s: float, start_s: float | None, step_s: float, length_s: float | None) -> None:
        self._begin_s, self._start_s, self._step_s, self._announced_s = begin_s, start_s, step_s, length_s
        self._near_s = min(REPEATED_S, step_s / 4)
        self._first_s: float | None = None
        self._queue: deque[Stamped[Picture]] = deque()
        self._unplaced: list[Stamped[Picture]] = []
        self._last: tuple[Stamped[Picture], float] | None = None
        self._stamp_s: float | None = None  # the last good one
        self._offset_s = 0.0  # time of a picture less its stamp

    def run(self, pictures: Iterable[Stamped[Picture]]) -> Iterator[Shown[Picture]]:
        for picture in pictures:
            self._queue.append(picture)
            while self._queue and self._is_ripe():
                yield from self._take()
        while self._queue:
            yield from self._take()
        yield from self._fill(None)
        if self._last is not None:
            picture, time_s = self._last
            yield Shown(picture.picture, time_s, self._last_end_s(), 0)

    def _is_ripe(self) -> bool:
        """Whether the first in the queue can be judged by what is there."""
        stamp_s, last_s = self._queue[0].stamp_s, self._stamp_s
        if stamp_s is None or self._repeats(stamp_s) or len(self._queue) > LOOKAHEAD:
            return True
        if last_s is None or self._last is None or len(self._queue) < 2:
            return False
        next_s, step_s = self._queue[1].stamp_s, self._length_s(self._last[0])
        return 0 < stamp_s - last_s <= ORDINARY * step_s and next_s is not None and next_s > stamp_s

    def _repeats(self, stamp_s: float) -> bool:
        """Whether a stamp tells nothing that the last good one did not."""
        return self._stamp_s is not None and 0 <= stamp_s - self._stamp_s < self._near_s

    def _take(self) -> Iterator[Shown[Picture]]:
        """Judge the first in the queue, and place it if its stamp is good."""
        head = self._queue.popleft()
        later = [item.stamp_s for item in self._queue if item.stamp_s is not None]
        stamp_s = head.stamp_s
        if stamp_s is None or self._repeats(stamp_s) or _is_stray(stamp_s, self._stamp_s, later):
            self._unplaced.append(head)
            if len(self._unplaced) > LOOKAHEAD:
                yield from self._fill(None)
            return
        if self._stamp_s is None:
            self._offset_s = self._first_time_s(stamp_s) - stamp_s
        elif stamp_s < self._stamp_s:  # the count began anew
            yield from self._fill(None)
            self._offset_s = self._end_s() - stamp_s
        self._stamp_s = stamp_s
        time_s = round(stamp_s + self._offset_s, 9)
        yield from self._fill(time_s)
        yield from self._place(head, time_s)

    def _first_time_s(self, stamp_s: float) -> float:
        """Time of the first good stamp of the pass."""
        if self._start_s is not None and stamp_s >= self._start_s:
            return self._begin_s + stamp_s - self._start_s
        return self._end_s() + len(self._unplaced) * self._step_s

    def _fill(self, until_s: float | None) -> Iterator[Shown[Picture]]:
        """Place the pictures without a good stamp, all of them before `until_s`."""
        waiting, self._unplaced = self._unplaced, []
        for left, item in zip(range(len(waiting), 0, -1), waiting):
            time_s = self._end_s()
            if until_s is not None and self._last is not None:
                before_s = self._last[1]
                time_s = min(time_s, before_s + (until_s - before_s) / (left + 1))
            elif until_s is not None:
                time_s = max(time_s, until_s - left * self._step_s)
            yield from self._place(item, time_s)

    def _place(self, item: Stamped[Picture], time_s: float) -> Iterator[Shown[Picture]]:
        """Give the picture ahead, whose end is now known."""
        if self._last is not None:
            ahead, before_s = self._last
            time_s = max(time_s, before_s)
            yield Shown(ahead.picture, before_s, time_s, 0)
        elif self._first_s is None:
            self._first_s = time_s
        self._last = item, time_s

    def _last_end_s(self) -> float:
        """Where the pass ends."""
        end_s = self._end_s()
        if self._announced_s is None or self._last is None or self._first_s is None:
            return end_s
        announced_s = self._first_s + self._announced_s
        return announced_s if self._last[1] < announced_s < end_s else end_s

    def _end_s(self) -> float:
        """Where the last placed picture ends by its own duration; the begin of the pass before there is one."""
        if self._last is None:
            return self._begin_s
        item, time_s = self._last
        return time_s + self._length_s(item)

    def _length_s(self, item: Stamped[Picture]) -> float:
        told_s = (
            item.duration_s or 0.0
        )  # in MP4 that of a picture before a repeated stamp is nothing, or a tick
        return told_s if told_s >= self._near_s else self._step_s


def _is_stray(stamp_s: float, last_s: float | None, later: list[float]) -> bool:
    """Whether more of the later stamps go on from the last good one than from this one."""
    if last_s is not None and stamp_s < last_s:
        old = sum(other > last_s for other in later)
        new = sum(stamp_s < other <= last_s for other in later)
    else:
        old = sum((last_s is None or other > last_s) and other < stamp_s for other in later)
        new = sum(other > stamp_s for other in later)
    return old > new
