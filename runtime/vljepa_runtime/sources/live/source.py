"""A live stream in its own thread: the newest frame wins, a lost connection is tried again.

Knows how to wait, count and reconnect; what is read is a `Connection`, to a device or over a network.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, runtime_checkable

import numpy as np

from vljepa_runtime.errors import SourceError, UnreachableError
from vljepa_runtime.redaction import redact
from vljepa_runtime.sources.live.deadline import ConnectionLostError
from vljepa_runtime.sources.pictures.pixels import Picture
from vljepa_runtime.sources.protocol import EVERY_FRAME, Frame, Hints, Item, Source, SourceStatus, StatusKind
from vljepa_runtime.sources.ring.packet_ring import PacketRing

__all__ = [
    "Backoff",
    "Connection",
    "LIVE_LIMITS",
    "LIVE_PIXELS",
    "LiveSource",
    "PacketConnection",
    "Picture",
]

JOIN_S = 0.8  # Ctrl-C answers within a second, whatever a driver does
WAKE_S = 0.5
SILENCE_S = 20.0  # longer than a network connection is given; a driver that hangs is told of, too
MAX_ITEMS = 64
LIVE_PIXELS = 2**25  # one 8K picture; two of them and an RGB copy wait in memory at worst
LIVE_LIMITS = {"max_pixels": str(LIVE_PIXELS)}  # FFmpeg then refuses a larger picture before it takes memory


class Connection(Protocol):
    """One connection to a device or server.

    Attributes:
        note: What a user should know of its pictures once the first is there; empty for most.
    """

    note: str

    def pictures(self, interval_s: float | None = None) -> Iterator[Picture]:
        """Give every picture as a function `(short_side) -> (H, W, 3) uint8 RGB`, converted only when called.

        Args:
            interval_s: Seconds between the pictures that the consumer wants, for a device that has to be asked.

        Raises:
            ConnectionLostError: the stream ended or broke.
        """
        ...

    def close(self) -> None: ...


@runtime_checkable
class PacketConnection(Protocol):
    """A connection whose pictures come encoded, and can be kept as they came."""

    def keep_packets(self, ring: PacketRing, now_s: Callable[[], float]) -> None:
        """Put packets into a ring as they come, at the time that the clock says then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Waiting times between attempts: doubling, capped, random in part so that devices do not return at once.

    Attributes:
        first_s: Before the first new attempt.
        cap_s: The longest wait.
        jitter: Share of a wait that is random.
        first_attempts: Attempts until a source that never worked is given up; a later loss never is.
        steady_s: Seconds that a connection has to give pictures until the waits begin anew with `first_s`; a
            server that gives one picture and hangs up is not hammered.
    """

    first_s: float = 0.5
    cap_s: float = 30.0
    jitter: float = 0.5
    first_attempts: int = 3
    steady_s: float = 10.0

    def wait_s(self, attempt: int) -> float:
        """Seconds to wait after failed attempt number `attempt` (1, 2, ...)."""
        full = min(self.cap_s, self.first_s * 2.0 ** min(attempt - 1, 30))
        return full * (1 - self.jitter * random.random())


@dataclass(frozen=True, slots=True, eq=False)
class _Captured:
    picture: Picture
    time_s: float
    index: int


@dataclass(slots=True)
class _Buffer:
    """What the reader leaves for the consumer, in order of time, with one picture at most."""

    changed: threading.Condition = field(default_factory=threading.Condition)
    items: deque[SourceStatus | _Captured] = field(default_factory=lambda: deque(maxlen=MAX_ITEMS))
    error: SourceError | None = None
    closed: bool = False


class LiveSource(Source):
    """Newest frame of a connection that is renewed when it breaks; see `Source`.

    Args:
        name: Shown to the user; credentials are removed here.
        connect: Opens a connection; raises `ConnectionLostError` to be called again, else `SourceError`.
        backoff: Waiting times.
        first: A connection that is open already.
        stopped: Set by `close`; whatever `connect` opened looks at it while it waits.
    """

    live = True

    def __init__(
        self,
        name: str,
        connect: Callable[[], Connection],
        *,
        backoff: Backoff | None = None,
        first: Connection | None = None,
        stopped: threading.Event | None = None,
    ) -> None:
        self.name = redact(name)
        self._connect = connect
        self._first = first
        self._backoff = backoff or Backoff()
        self._stop = stopped or threading.Event()
        self._buffer = _Buffer()
        self._thread: threading.Thread | None = None
        self._start_s: float | None = None
        self._ring: PacketRing | None = None
        self._count = 0
        self._worked_s = 0.0  # from the first to the last picture of the last connection
        self._news_s = 0.0  # when the last item came, or shall come
        self._warned = False  # that none came

    def keep_packets(self, ring: PacketRing) -> None:
        """Put packets into a ring as they come, where the connection has any."""
        self._ring = ring

    def frames(self, hints: Hints = EVERY_FRAME) -> Iterator[Item]:
        """Give remarks in order and the newest frame, each at most once, until `close`."""
        if self._thread is None:
            read = partial(self._read, hints.min_interval_s)
            self._thread = threading.Thread(target=read, name=f"source {self.name}", daemon=True)
            self._thread.start()
        self._news_s = time.monotonic()
        last_s = -np.inf
        while True:
            item = self._take(hints, last_s)
            if item is None:
                return
            if isinstance(item, SourceStatus):
                yield item
                continue
            last_s = item.time_s
            yield Frame(image=item.picture(hints.short_side), time_s=last_s, index=item.index)

    def _take(self, hints: Hints, last_s: float) -> SourceStatus | _Captured | None:
        interval_s = (hints.min_interval_s or 0.0) / 4
        wake_s = hints.wake_s or np.inf
        begun = time.monotonic()
        buffer = self._buffer
        with buffer.changed:
            while True:
                if buffer.items and (
                    isinstance(head := buffer.items[0], SourceStatus)
                    or head.time_s >= last_s + interval_s
                    or len(buffer.items) > 1
                ):
                    self._news_s, self._warned = max(self._news_s, time.monotonic()), False
                    return buffer.items.popleft()
                if buffer.error is not None:
                    raise buffer.error
                if buffer.closed:
                    return None
                now = time.monotonic()
                if not self._warned and now - self._news_s >= SILENCE_S:
                    self._warned = True
                    return SourceStatus(
                        kind="warning",
                        message=f"{self.name}: nothing came for {SILENCE_S:.0f} s, still waiting",
                    )
                if now - begun >= wake_s:
                    return SourceStatus(kind="waiting", message=f"{self.name}: no new picture")
                buffer.changed.wait(min(WAKE_S, wake_s))  # wakes so that Ctrl-C works everywhere

    def _read(self, interval_s: float | None) -> None:
        """Body of the thread: connect, read, wait, again."""
        attempt = 0
        try:
            while not self._stop.is_set():
                reason = redact(self._read_once(interval_s))
                attempt = 1 if self._worked_s >= self._backoff.steady_s else attempt + 1
                self._wait(attempt, reason)
        except SourceError as error:
            self._finish(error)
        except Exception as error:  # a thread must not die in silence
            self._finish(SourceError(redact(f"{self.name}: reading failed: {error}")))
        else:
            self._finish(None)

    def _read_once(self, interval_s: float | None) -> str:
        """Read one connection to its end and say why it ended."""
        first_s: float | None = None
        self._worked_s = 0.0
        try:
            connection, self._first = self._first or self._connect(), None
        except ConnectionLostError as error:
            return str(error)
        except SourceError as error:
            if self._count == 0:
                raise
            return str(error)  # it has worked before, so it may work again
        if self._ring is not None and isinstance(connection, PacketConnection):
            connection.keep_packets(self._ring, self._now_s)
        try:
            for picture in connection.pictures(interval_s):
                if self._stop.is_set():
                    break
                if first_s is None:
                    first_s = time.monotonic()
                    self._remark("connected", f"{self.name} is connected")
                    if connection.note:
                        self._remark("warning", f"{self.name} gives {connection.note}")
                self._put(picture)
                self._worked_s = time.monotonic() - first_s
        except (ConnectionLostError, SourceError) as error:
            return str(error)
        finally:
            connection.close()
        return "the stream ended"

    def _now_s(self) -> float:
        """Now in stream time, which begins with the first picture."""
        return 0.0 if self._start_s is None else time.monotonic() - self._start_s

    def _put(self, picture: Picture) -> None:
        now = time.monotonic()
        if self._start_s is None:
            self._start_s = now
        with self._buffer.changed:
            older = [item for item in self._buffer.items if isinstance(item, SourceStatus)]
            if len(older) < len(self._buffer.items):
                self._buffer.items = deque(older, MAX_ITEMS)
            self._buffer.items.append(_Captured(picture, now - self._start_s, self._count))
            self._count += 1
            self._buffer.changed.notify_all()

    def _wait(self, attempt: int, reason: str) -> None:
        if self._stop.is_set():
            return
        if self._count == 0 and attempt >= self._backoff.first_attempts:
            raise UnreachableError(f"{self.name}: no picture after {attempt} attempts: {reason}")
        seconds = self._backoff.wait_s(attempt)
        message = f"{self.name}: {reason}; trying again in {seconds:.1f} s"
        self._remark("reconnecting", message, attempt=attempt, wait_s=seconds)
        self._news_s = time.monotonic() + seconds
        self._stop.wait(seconds)

    def _remark(self, kind: StatusKind, message: str, *, attempt: int = 0, wait_s: float = 0.0) -> None:
        said = SourceStatus(kind=kind, message=redact(message), attempt=attempt, wait_s=wait_s)
        with self._buffer.changed:
            self._buffer.items.append(said)
            self._buffer.changed.notify_all()

    def _finish(self, error: SourceError | None) -> None:
        with self._buffer.changed:
            self._buffer.error = error
            self._buffer.closed = error is None
            self._buffer.changed.notify_all()

    def close(self) -> None:
        """Stop the reader, which ends within a moment; only a driver that hangs may keep it longer."""
        self._stop.set()
        with self._buffer.changed:
            self._buffer.items.clear()
            self._buffer.closed = True
            self._buffer.changed.notify_all()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(JOIN_S)
        if self._thread is None and self._first is not None:
            self._first.close()
            self._first = None
