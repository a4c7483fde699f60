"""One stream of a group: a thread opens its source, reads it and cuts its windows, which wait here for their turn.

A file waits until its window was told, so it loses none; of a live stream the newest window waits, and no other.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vljepa_runtime.errors import SourceError, UnreachableError
from vljepa_runtime.predicting import PreparedWindow
from vljepa_runtime.session import OnWindow, Session
from vljepa_runtime.sources.address import Address
from vljepa_runtime.sources.live.source import Backoff
from vljepa_runtime.sources.naming import is_camera, resolve
from vljepa_runtime.sources.opening import open_source
from vljepa_runtime.sources.protocol import Frame, Source, SourceStatus
from vljepa_runtime.statistics import SAMPLES_KEPT, percentile
from vljepa_runtime.streams.statistics import StreamState, StreamStats

__all__ = ["Ended", "Opened", "Plan", "StreamReader", "Waiting"]

JOIN_S = 0.8
LOOK_S = 0.5  # whether the others are still there
MAX_STATUSES = 64
REFUSALS = 5  # some 10 s: a device may come up later than the program that reads it


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan:
    """What is to be read, and how; see `SessionGroup.add`."""

    name: str
    source: Source | str | Path | int
    session: Session
    max_seconds: float | None = None
    stretch: bool = False
    loop: bool = False
    fps: float | None = None
    realtime: bool = False
    hwaccel: str = "none"
    patient: bool = False
    on_open: Callable[[Source], object] | None = None
    on_frame: Callable[[Frame], object] | None = None
    frame_side: int | None = None
    on_window: OnWindow | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """A source that is open and not read yet."""

    source: Source


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """A window that waits, since when by the monotonic clock."""

    window: PreparedWindow
    since_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Ended:
    """The last thing of a stream, with what ended it if that was an error."""

    error: BaseException | None


class StreamReader:
    """Reads one stream; the group takes what waits, one thing at a time.

    Args:
        plan: What to read.
        changed: Notified when something waits; held by whoever calls `take` and `handled`.
        others_run: Whether another stream of the group gives pictures: only then it is worth to wait for this one.
        backoff: Waiting times before a source that is not there is tried again.
    """

    def __init__(
        self,
        plan: Plan,
        changed: threading.Condition,
        others_run: Callable[[], bool],
        backoff: Backoff | None = None,
    ) -> None:
        self.plan, self.session = plan, plan.session
        self.live: bool | None = None  # not known before it is open
        self.state: StreamState = "opening"
        self.error: Exception | None = None
        self.is_leaving = False
        self._changed, self._others_run, self._backoff = changed, others_run, backoff or Backoff()
        self._items: deque[Opened | SourceStatus | Waiting | Ended] = deque()
        self._delays_ms: deque[float] = deque(maxlen=SAMPLES_KEPT)
        self._dropped = self._left_out = self._reconnects = 0
        self._every, self._count = 1, 0
        self._lost: SourceStatus | None = None  # what was said last of a connection that is not there
        self._retry_at: float | None = None
        self._stopped_s: float | None = None
        self._in_work = self._left = self._seen = self._cut = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, name=f"stream {plan.name}", daemon=True)

    @property
    def stats(self) -> StreamStats:
        """So far."""
        return StreamStats(
            state=self.state,
            live=self.live,
            dropped=self._dropped,
            left_out=self._left_out,
            reconnects=self._reconnects,
            delay_p50_ms=percentile(self._delays_ms, 50),
            delay_p95_ms=percentile(self._delays_ms, 95),
            session=self.session.stats,
            error="" if self.error is None else str(self.error),
            picture=self.session.picture,
            attempt=0 if self._lost is None else self._lost.attempt,
            retry_at=self._retry_at,
            lost="" if self._lost is None else self._lost.message,
        )

    @property
    def is_over(self) -> bool:
        """Whether nothing comes any more."""
        return self.state in ("ended", "stopped", "failed")

    @property
    def is_idle(self) -> bool:
        """Whether nothing of it waits or is in work."""
        return not self._items and not self._in_work

    def was_stopped(self, ago_s: float) -> bool:
        """Whether `stop` came so many seconds ago."""
        return self._stopped_s is not None and time.monotonic() - self._stopped_s >= ago_s

    def begin(self) -> None:
        """Give nothing before what is told first is `handled`."""
        self._in_work = True

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def slow(self, every: int, why: SourceStatus | None) -> None:
        """From now on give every so many-th window of a live stream, and tell why."""
        self._every = every
        if why is not None and self.live and not self.is_over:
            self._put(why)

    def stop(self) -> None:
        """End after the item in work and give what is pending; from any thread."""
        if self._stopped_s is None:
            self._stopped_s = time.monotonic()
        self.session.stop()
        self._stop.set()

    def head(self) -> Opened | SourceStatus | Waiting | Ended | None:
        """What waits, if it may be taken."""
        return self._items[0] if self._items and not self._in_work and not self.is_over else None

    def take(self) -> None:
        """Take x; nothing more is given until it is `handled`."""
        self._items.popleft()
        self._in_work = True

    def predicted(self, since_s: float) -> None:
        """Note that a window which waits since then has its prediction."""
        self._delays_ms.append((time.monotonic() - since_s) * 1000)

    def handled(self) -> None:
        """What was taken is told: a file may read on."""
        self._in_work = False
        self._changed.notify_all()

    def end(self, error: Exception | None = None) -> None:
        """Nothing more is taken; it has ended, or failed."""
        self.error = error
        self.state = "failed" if error is not None else "stopped" if self._cut else "ended"
        self.leave()

    def leave(self) -> None:
        """Let the thread go, whatever it is at."""
        self.stop()
        self._left, self._in_work = True, False
        self._items.clear()
        self._changed.notify_all()

    def close(self) -> None:
        """Close the source, and wait a moment for the thread."""
        self.session.close()
        if isinstance(self.plan.source, Source):  # perhaps never begun
            self.plan.source.close()
        if self._thread.is_alive():
            self._thread.join(JOIN_S)

    def _read(self) -> None:
        """Body of the thread."""
        error: BaseException | None = None
        try:
            self._read_to_its_end()
        except BaseException as caught:  # the group's to tell
            error = caught
        finally:
            self._put(Ended(error))

    def _read_to_its_end(self) -> None:
        begun, attempts, self._cut = time.monotonic(), 0, True
        while not self._stop.is_set():
            try:
                self._read_once()
                return
            except SourceError as error:
                attempts += 1
                spent_s = time.monotonic() - begun
                if self._seen or not self._is_worth_it(error, attempts, spent_s):
                    raise
                self._wait(attempts, str(error))
                if not self._stop.is_set() and not self._is_worth_it(error, attempts, spent_s):
                    raise

    def _read_once(self) -> None:
        plan = self.plan
        source = plan.source
        if not isinstance(source, Source):
            source = open_source(
                source,
                loop=plan.loop,
                fps=plan.fps,
                stretch=plan.stretch,
                realtime=plan.realtime,
                timeout_s=plan.max_seconds,
                hwaccel=plan.hwaccel,
            )
        self.live = source.live
        with source:
            if plan.on_open is not None:
                self._put(Opened(source), waits=True)
            items = self.session.items(
                source, max_seconds=plan.max_seconds, on_frame=plan.on_frame, frame_side=plan.frame_side
            )
            for item in items:
                if isinstance(item, SourceStatus):
                    if item.kind != "waiting":  # that came so that `stop` is seen
                        self._put(item)
                else:
                    self._put_windows(item)
                if self._left:
                    return
            self._cut = self._stop.is_set()
            self._put_windows(None)

    def _put_windows(self, frame: Frame | None) -> None:
        if frame is not None and not self._seen:
            self._seen, self.state = True, "running"
        for item in self.session.prepare(frame):
            if isinstance(item, SourceStatus):
                self._put(item)
            elif frame is not None and self.live and self._is_left_out():
                self._left_out += 1
            else:
                self._put(Waiting(item, time.monotonic()), waits=frame is None)

    def _is_left_out(self) -> bool:
        self._count += 1
        return self._count % self._every != 0

    def _is_worth_it(self, error: SourceError, attempts: int, spent_s: float) -> bool:
        """Whether a source that gave no picture yet may still come."""
        plan = self.plan
        if isinstance(plan.source, Source) or spent_s >= (plan.max_seconds or float("inf")):
            return False
        found = resolve(plan.source)
        comes_back = isinstance(found, int | Address) or is_camera(found)
        if plan.patient:
            return comes_back and (isinstance(error, UnreachableError) or attempts < REFUSALS)
        return comes_back and (attempts < self._backoff.first_attempts or self._others_run())

    def _wait(self, attempts: int, reason: str) -> None:
        seconds = self._backoff.wait_s(attempts)
        message = f"{reason}; trying again in {seconds:.1f} s"
        self._put(SourceStatus(kind="reconnecting", message=message, attempt=attempts, wait_s=seconds))
        ends, patient = time.monotonic() + seconds, self.plan.patient
        while (left_s := ends - time.monotonic()) > 0 and not self._stop.wait(min(LOOK_S, left_s)):
            if not patient and attempts >= self._backoff.first_attempts and not self._others_run():
                return

    def _put(self, item: Opened | SourceStatus | Waiting | Ended, *, waits: bool = False) -> None:
        """Let something wait for the group; a file waits along, as all do with what must not be replaced."""
        with self._changed:
            if self._left:
                return
            if isinstance(item, SourceStatus) and item.kind in ("connected", "reconnecting"):
                is_lost = item.kind == "reconnecting"
                self.state = "reconnecting" if is_lost else "running"
                self._reconnects += is_lost
                self._lost = item if is_lost else None
                self._retry_at = time.time() + item.wait_s if is_lost else None
            if self.live:
                self._make_room(item, waits)
            self._items.append(item)
            self._changed.notify_all()
            waits = waits or not self.live
            while waits and (self._items or self._in_work):
                self._changed.wait(LOOK_S)

    def _make_room(self, item: Opened | SourceStatus | Waiting | Ended, waits: bool) -> None:
        if isinstance(item, Waiting) and not waits:
            older = [each for each in self._items if not isinstance(each, Waiting)]
            self._dropped += len(self._items) - len(older)
            self._items = deque(older)
        statuses = [each for each in self._items if isinstance(each, SourceStatus)]
        if isinstance(item, SourceStatus) and len(statuses) >= MAX_STATUSES:
            self._items.remove(statuses[0])
