"""A candidate as it will run: a recording at the speed of the clock, several side by side, and how late events are."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from vljepa_runtime import EVERY_FRAME, Event, Frame, Hints, Session, SessionGroup, Source, open_source
from vljepa_runtime.events import Told
from vljepa_runtime.sources import Item

if TYPE_CHECKING:
    from vljepa_runtime import Window
    from vljepa_runtime.predicting import PredictedWindow

__all__ = ["ClockedSource", "Lateness", "TimedSession", "run_paced"]


class ClockedSource(Source):
    """A live source that remembers when each of its pictures was due.

    Args:
        source: What is read; closed with this.
        clock: Seconds; replaced in tests.
    """

    def __init__(self, source: Source, clock: Callable[[], float] = time.monotonic) -> None:
        self.name, self.live = source.name, source.live
        self._source, self._clock = source, clock
        self._begun_s = 0.0
        self._times_s: list[float] = []

    def frames(self, hints: Hints = EVERY_FRAME) -> Iterator[Item]:
        """See `Source.frames`."""
        for item in self._source.frames(hints):
            if isinstance(item, Frame):
                if not self._times_s:
                    self._begun_s = self._clock() - item.time_s
                self._times_s.append(item.time_s)
            yield item

    def due_s(self, last_frame_s: float) -> float | None:
        """When the picture was due that ended the one at a time of the stream; None where none has."""
        at = bisect_right(self._times_s, last_frame_s + 1e-6)
        return self._begun_s + self._times_s[at] if at < len(self._times_s) else None

    def close(self) -> None:
        """Close what is read."""
        self._source.close()


class Lateness:
    """How long after its last frame all that a window gives was told, of one stream.

    Attributes:
        windows_ms: One for each window, by its number.
    """

    def __init__(
        self, source: ClockedSource, interval_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.windows_ms: dict[int, float] = {}
        self._source, self._interval_s, self._clock = source, interval_s, clock

    def told(self, window: Window) -> None:
        """Something of a window was told, perhaps not the last; from any thread."""
        if (due_s := self._source.due_s(window.end_s - self._interval_s)) is not None:
            self.windows_ms[window.index] = (self._clock() - due_s) * 1000


class TimedSession(Session):
    """A session that says when all that a window gives was told, words included.

    Attributes:
        late: Takes the times; None before the source is open.
    """

    late: Lateness | None = None

    def tell(self, predicted: PredictedWindow) -> Iterator[Told]:
        """See `Session.tell`."""
        for told in super().tell(predicted):
            yield told if isinstance(told, Event) else partial(self._timed_words, predicted.window, told)
        self._told_all_of(predicted.window)

    def _timed_words(self, window: Window, words: Callable[[], list[Event]]) -> list[Event]:
        events = words()
        self._told_all_of(window)
        return events

    def _told_all_of(self, window: Window) -> None:
        if self.late is not None:
            self.late.told(window)


def run_paced(new_session: Callable[[], TimedSession], order: Mapping[str, Any]) -> dict[str, Any]:
    """Run a source at the speed of the clock, as many times side by side as `streams` says.

    Args:
        new_session: Gives the session of a stream.
        order: `source`, `seconds` of it, `streams`.

    Returns:
        Counts and times; latencies go from when a window's last frame was due to when all that it gives was told.
    """
    late: list[Lateness] = []
    begun_cpu_s = time.process_time()
    with SessionGroup() as group:
        for number in range(order["streams"]):
            session = new_session()
            source = ClockedSource(open_source(order["source"], realtime=True))
            session.late = Lateness(source, 1 / session.model.preprocess.fps)
            late.append(session.late)
            group.add(source, session, name=f"stream {number + 1}", max_seconds=order["seconds"])
        for _ in group.run():
            pass
        failures, stats = [*group.failures.values()], [*group.stats.values()]
    if failures:
        raise failures[0]
    latencies = np.array([each for stream in late for each in stream.windows_ms.values()])
    return {
        "windows": sum(each.session.windows for each in stats),
        "dropped": sum(each.dropped for each in stats),
        "p95_ms": float(np.percentile(latencies, 95)) if latencies.size else 0.0,
        "cpu_s": time.process_time() - begun_cpu_s,
        "media_s": max((each.session.media_s for each in stats), default=0.0),
    }
