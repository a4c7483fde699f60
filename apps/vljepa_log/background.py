"""Work that nobody waits for, in a thread of low priority."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress

from vljepa_log.errors import LogError
from vljepa_runtime.closing import Closing

__all__ = ["Background"]

NICENESS = 10


class Background(Closing):
    """Calls a job in a thread of its own, from the first `wake` on.

    Args:
        job: What is to be done; a `LogError` of it is kept in `error`, and it is called again at the next turn.
        every_s: Seconds between calls; where it is not `steady`, at least so many.
        steady: Call it again and again, also when nobody wakes it.
        nice: Let others have the processor first.
    """

    def __init__(
        self, job: Callable[[], object], *, every_s: float, steady: bool = False, nice: bool = True
    ) -> None:
        self.error: LogError | None = None
        self._job, self._every_s, self._steady, self._nice = job, every_s, steady, nice
        self._wanted, self._ended = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def ended(self) -> bool:
        """Whether it is being closed: a long job asks, and returns."""
        return self._ended.is_set()

    def wake(self) -> None:
        """Have the job done soon."""
        self._wanted.set()
        with self._lock:
            if self._thread is None and not self.ended:
                self._thread = threading.Thread(target=self._run, name="vljepa-log", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """End it, and wait until it has ended."""
        self._ended.set()
        self._wanted.set()
        with self._lock:
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self) -> None:
        if self._nice:
            with suppress(OSError, AttributeError):  # on Linux, of this thread alone
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        while not self.ended:
            if not self._steady:
                self._wanted.wait()
                self._wanted.clear()
            if self.ended:
                return
            try:
                self._job()
            except LogError as error:
                self.error = error
            self._ended.wait(self._every_s)
