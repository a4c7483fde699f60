"""The process that reads the past: cameras share the interpreter of this one with nobody who searches a day of them.

One process of low priority, begun with the first that is asked of it, and begun anew where it has died. It has a
reader of the log and no model; what it is asked, and what it answers, is pickled.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from vljepa_log import LogReader, SegmentCache
from vljepa_runtime.closing import Closing
from vljepa_serve.errors import ServeError

if TYPE_CHECKING:
    from vljepa_runtime import Manifest
    from vljepa_runtime.selection import Boundaries

__all__ = ["OpenLog", "ReadingProcess"]

Result = TypeVar("Result")
NICENESS = 10


@dataclass(frozen=True, slots=True)
class OpenLog:
    """A log that is read.

    Attributes:
        log: Its reader.
        segments: What was cut of it.
    """

    log: LogReader
    segments: SegmentCache

    @classmethod
    def of(cls, log: LogReader) -> OpenLog:
        """Of which nothing was cut yet."""
        return cls(log, SegmentCache(log))


class ReadingProcess(Closing):
    """Does work on a log in a process of its own; from any thread.

    Args:
        place: Of the log.
        manifest: Of the model whose log it is.
        boundaries: See `LogReader`.

    Examples:
        >>> from vljepa_log import LogWriter
        >>> from vljepa_runtime import Bundle
        >>> from vljepa_serve.archive import ReadingProcess
        >>> manifest = Bundle.open("tiny").manifest
        >>> LogWriter("READ", manifest).close()
        >>> with ReadingProcess("READ", manifest) as process:
        ...     process.is_begun  # it begins with the first work
        False
    """

    def __init__(
        self, place: str | Path, manifest: Manifest, *, boundaries: Boundaries | None = None
    ) -> None:
        self._place, self._manifest, self._boundaries = place, manifest, boundaries
        self._lock = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None
        self._closed = False
        # A process begins with the priority of the thread that begins it, and those that ask are of low priority: on
        # a busy machine it would take longer to begin than anybody waits. The thread is as this one from now on.
        self._beginner = ThreadPoolExecutor(1, "reading process")
        self._beginner.submit(int)

    @property
    def is_begun(self) -> bool:
        """Whether there is such a process."""
        return self._pool is not None

    def run(self, work: Callable[..., Result], *values: object) -> Result:
        """Have `work(OpenLog, *values)` done; a process that dies over it is begun anew once.

        Args:
            work: A function of a module.
            values: Can be pickled.

        Raises:
            ServeError: it died twice.
        """
        for _ in range(2):
            pool = self._begun()
            try:
                return self._beginner.submit(pool.submit, _work, work, *values).result().result()
            except BrokenProcessPool:
                self._end(pool)
        raise ServeError(503, "The process that reads the past has died over this: ask for less.")

    def close(self) -> None:
        """End it; what waits is left."""
        with self._lock:
            self._closed = True
            pool, self._pool = self._pool, None
        self._beginner.shutdown()
        if pool is not None:
            pool.shutdown(cancel_futures=True)

    def _begun(self) -> ProcessPoolExecutor:
        with self._lock:
            if self._closed:
                raise ServeError(503, "The server is ending.")
            if self._pool is None:
                self._pool = ProcessPoolExecutor(
                    1,
                    get_context("spawn"),
                    initializer=_begin,
                    initargs=(self._place, self._manifest, self._boundaries),
                )
            return self._pool

    def _end(self, pool: ProcessPoolExecutor) -> None:
        with self._lock:
            if self._pool is pool:
                self._pool = None
        pool.shutdown(wait=False, cancel_futures=True)


class _Here:
    """What the process itself knows: a pool gives its workers no other place for that."""

    place: str | Path
    manifest: Manifest
    boundaries: Boundaries | None
    opened: OpenLog | None = None


def _begin(place: str | Path, manifest: Manifest, boundaries: Boundaries | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which then ends this
    with suppress(OSError, AttributeError):
        os.nice(NICENESS)
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    _Here.place, _Here.manifest, _Here.boundaries = place, manifest, boundaries


def _end_with_parent() -> None:
    """A server that is killed leaves nothing behind."""
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(0)


def _work(work: Callable[..., Result], *values: object) -> Result:
    if _Here.opened is None:
        _Here.opened = OpenLog.of(LogReader(_Here.place, _Here.manifest, boundaries=_Here.boundaries))
    return work(_Here.opened, *values)
