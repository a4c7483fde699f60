"""What a stream gives, gathered and stored in steps: few writes, and at most one step lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vljepa_log.background import Background
from vljepa_log.clock import RetentionClock
from vljepa_log.errors import LogError
from vljepa_log.retention import Freed, Retention, apply_retention
from vljepa_log.rows import StoredEvent, Thumbnail, flag_of
from vljepa_log.store import Contents, Position, Store
from vljepa_log.stores import folder_of, open_store
from vljepa_log.waiting import Waiting, WaitingWindow
from vljepa_runtime import InputError
from vljepa_runtime.bundle import identity_of
from vljepa_runtime.closing import Closing

if TYPE_CHECKING:
    from vljepa_runtime import Event, Manifest
    from vljepa_runtime.selection import Boundaries

__all__ = ["LogWriter", "Steps"]

Float32 = npt.NDArray[np.float32]
UPKEEP_S = 60.0  # between looks for what is to be indexed
RETENTION_S = 900.0  # between looks for what is to go
CLOCK_FILE = "retention.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """When what was gathered is stored.

    Attributes:
        windows: As soon as so many windows wait.
        seconds: Or so long after the first of them came; a killed process loses what came since.
        max_bytes: Of memory for what waits while it cannot be stored (a full disk, a network that is down); beyond,
            the oldest is dropped. 64 MB are 19 hours of one camera at 256 dimensions.
    """

    windows: int = 512
    seconds: float = 10.0
    max_bytes: int = 64_000_000


class LogWriter(Closing):
    """The one writer of a log; its methods may be called from several threads, one per stream.

    Args:
        place: Folder of the log; it is made.
        manifest: Of the bundle whose embeddings are logged; a log of another model is refused.
        steps: When to store.
        retention: How long what is kept, looked at every quarter of an hour by a `RetentionClock`; None keeps
            everything.
        clock: Wall clock, in seconds since 1970.
        boundaries: Networks of the bundle that see where events end (`Model.boundaries`), for pictures of each; None
            goes by distance.

    Raises:
        LogError: the log is another model's.
        InputError: it has its writer, or its folder cannot be written.

    Examples:
        >>> import numpy as np
        >>> from vljepa_log import LogWriter, LogReader
        >>> from vljepa_runtime import Bundle
        >>> with LogWriter("door.log", Bundle.open("tiny").manifest) as log:
        ...     log.add_window("door", "What happens?", start_s=0, end_s=2, embedding=np.eye(256)[0])
        >>> with LogReader("door.log") as log:
        ...     log.streams()
        [StreamSummary(name='door', windows=1, ...)]
    """

    def __init__(
        self,
        place: str | Path,
        manifest: Manifest,
        *,
        steps: Steps = Steps(),
        retention: Retention | None = None,
        clock: Callable[[], float] = time.time,
        boundaries: Boundaries | None = None,
    ) -> None:
        self.boundaries = boundaries
        self._store: Store = open_store(place, identity=identity_of(manifest), writable=True)
        self._width = manifest.embedding_dim
        self._steps, self._clock = steps, clock
        self._lock = threading.Lock()
        self._waiting = Waiting(steps.max_bytes)
        self._sources: dict[str, str] = {}
        self._before: dict[tuple[str, str], Float32] = {}
        self._since: float | None = None
        self._trouble: LogError | None = None
        self._count = 0
        self._folder = folder_of(place)
        self._retention, self._time = retention, self._retention_clock(retention)
        self._retained = -RETENTION_S
        self._retaining = threading.Lock()
        self._timer = Background(
            self._store_if_old, every_s=max(steps.seconds / 2, 0.1), steady=True, nice=False
        )
        self._upkeep = Background(self._keep_up, every_s=UPKEEP_S, steady=True)

    @property
    def store(self) -> Store:
        """Where it is kept."""
        return self._store

    @property
    def folder(self) -> Path | None:
        """Where it is kept on this machine; None where it is in another store."""
        return self._folder

    @property
    def trouble(self) -> LogError | None:
        """Why what was gathered could not be stored when it was tried last; None where it could."""
        return self._trouble

    @property
    def dropped(self) -> int:
        """Windows, events and pictures that the log lacks: they could not be stored, and were too much to keep."""
        return self._waiting.dropped

    def positions(self, stream: str) -> dict[str, Position]:
        """How far each query of a stream has come, with what waits to be stored."""
        with self._lock:
            known = {**self._store.positions(stream=stream), **self._waiting.positions}
        return {query: position for (name, query), position in known.items() if name == stream}

    def begin(self, stream: str, *, source: str) -> None:
        """Say what a stream is read from, so that its positions tell another content of the same name."""
        self._sources[stream] = source

    def complete(self, stream: str, query: str, *, end_s: float) -> None:
        """Note that a stream has ended, here in stream time: it need not be read again for that query."""
        with self._lock:
            source = self._sources.get(stream, "")
            self._waiting.set_position(stream, query, Position(at_s=end_s, complete=True, source=source))
            self._store_gathered()

    def add_window(
        self,
        stream: str,
        query: str,
        *,
        start_s: float,
        end_s: float,
        embedding: Float32,
        unknown: bool | None = None,
        at: float | None = None,
    ) -> None:
        """Take in one window.

        Args:
            stream: Name of the stream.
            query: What the embedding answers.
            start_s: Begin, in stream time.
            end_s: End, in stream time.
            embedding: (S,) float32, L2-normalised.
            unknown: Whether it shows nothing that the model knows; None where nobody can tell.
            at: Wall clock of its end, in seconds since 1970; None for now.

        Raises:
            LogError: what was gathered could not be stored; it is kept, and tried again with the next step.
            InputError: the embedding has another shape than the model's, or something is not finite.
        """
        embedding = np.asarray(embedding, np.float32)
        moment = self._clock() if at is None else at
        if embedding.shape != (self._width,) or not np.isfinite(embedding).all():
            raise InputError(
                f"expected a finite embedding ({self._width},), got one of shape {embedding.shape}"
                + (" that is not finite" if embedding.shape == (self._width,) else "")
            )
        if not np.isfinite([start_s, end_s, moment]).all():
            raise InputError(f"expected finite times of a window, got {start_s}, {end_s} and {moment}")
        source = (stream, query)
        with self._lock:
            before = self._before.get(source)
            distance = 0.0 if before is None else 1.0 - float(before @ embedding)
            row = (0, start_s, end_s, moment, distance, flag_of(unknown))
            self._waiting.add(
                WaitingWindow(stream=stream, query=query, row=row, embedding=embedding.astype(np.float16))
            )
            self._before[source] = embedding
            position = Position(at_s=end_s, source=self._sources.get(stream, ""))
            self._waiting.set_position(stream, query, position)
            self._count += 1
            self._store_if_due()

    def add_event(self, event: Event, *, at: float | None = None) -> None:
        """Take in what was told of a stream: a segment, an answer or an alert; `at` as in `add_window`."""
        with self._lock:
            moment = self._clock() if at is None else at
            self._waiting.add(StoredEvent(number=0, time=moment, event=event))
            self._store_if_due()

    def add_thumbnail(self, stream: str, *, at_s: float, jpeg: bytes, at: float | None = None) -> None:
        """Take in a small picture of the moment `at_s` in stream time; `at` as in `add_window`."""
        with self._lock:
            moment = self._clock() if at is None else at
            self._waiting.add(Thumbnail(stream=stream, at_s=at_s, time=moment, jpeg=jpeg))
            self._store_if_due()

    def add_contents(self, contents: Contents) -> None:
        """Store what was made elsewhere, in one step, behind all that was taken in before.

        Raises:
            LogError: it cannot be stored; nothing of it is.
        """
        with self._lock:
            self._store_gathered()
            if contents:
                self._store.append(contents)
        self._upkeep.wake()

    def flush(self) -> None:
        """Store what was gathered, now.

        Raises:
            LogError: the disk is full, say; what was gathered is kept.
        """
        with self._lock:
            self._store_gathered()

    def set_retention(self, retention: Retention | None) -> None:
        """Keep things so long from now on; what is too old or too much by that goes within a minute or so."""
        if retention != self._retention:
            self._retention, self._time = retention, self._retention_clock(retention)
            self._retained = -RETENTION_S
            self._upkeep.wake()

    def retain(self) -> Freed:
        """Let go what its retention does not keep, now, and by the wall clock whatever that says."""
        with self._retaining:
            return apply_retention(self._store, self._retention or Retention(), now=self._clock())

    def close(self) -> None:
        """Store what was gathered and let the log go.

        Raises:
            LogError: what was gathered cannot be stored, what is too old could not be removed, or something was
                dropped meanwhile.
        """
        try:
            self._timer.close()
            self._upkeep.close()
            self.flush()
        finally:
            self._store.close()
        if self._upkeep.error:
            raise self._upkeep.error
        if self.dropped:
            raise LogError(f"the log lacks what it could not store for too long: {self._lost()}")

    def _lost(self) -> str:
        return f"{self.dropped:,} of the windows, events and pictures were dropped, the oldest first"

    def _retention_clock(self, retention: Retention | None) -> RetentionClock | None:
        if retention is None or (keep_s := retention.shortest_s) is None:
            return None
        newest = max((each.last for each in self._store.held()), default=None)
        file = None if self._folder is None else self._folder / CLOCK_FILE
        return RetentionClock(keep_s=keep_s, newest=newest, file=file, wall=self._clock)

    def _keep_up(self) -> None:
        """Index what will not change any more, and remove what is too old."""
        self._store.update(lasting=True, ended=lambda: self._upkeep.ended)
        retention, clock = self._retention, self._time
        if retention and time.monotonic() - self._retained >= RETENTION_S:
            with self._retaining:
                now = self._clock() if clock is None else clock.now()
                apply_retention(self._store, retention, now=now)
            if retention is self._retention:  # and no other one was set meanwhile
                self._retained = time.monotonic()

    def _store_if_old(self) -> None:
        """Store what a stream gave before it fell silent."""
        with self._lock:
            if self._since is not None and time.monotonic() - self._since >= self._steps.seconds:
                self._store_gathered()

    def _store_if_due(self) -> None:
        now = time.monotonic()
        if self._since is None:
            self._since = now
            self._timer.wake()
            self._upkeep.wake()
        if self._count >= self._steps.windows or now - self._since >= self._steps.seconds:
            self._store_gathered()

    def _store_gathered(self) -> None:
        if contents := self._waiting.contents():
            try:
                self._store.append(contents)
            except LogError as error:  # it waits for the next step
                self._since, self._count = time.monotonic(), 0
                self._trouble = LogError(f"{error}; {self._lost()}") if self.dropped else error
                raise self._trouble from error
        self._trouble = None
        self._waiting.clear()
        self._since, self._count = None, 0
