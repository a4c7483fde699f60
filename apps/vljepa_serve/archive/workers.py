"""Reading the past beside cameras that run: a few at a time, the others wait, and too many are told to come later."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from vljepa_runtime.closing import Closing
from vljepa_serve.errors import ServeError

__all__ = ["Workers"]

Result = TypeVar("Result")
NICENESS = 10


class Workers(Closing):
    """Threads for work that takes long, away from the event loop.

    Args:
        threads: How many work at the same time.
        waiting: How many may wait beside them.
        name: Of the threads, which let others have the processor first.

    Examples:
        >>> import asyncio
        >>> from vljepa_serve.archive import Workers
        >>> with Workers(1, waiting=8, name="reading") as workers:
        ...     asyncio.run(workers.run(sum, [1, 2]))
        3
    """

    def __init__(self, threads: int, *, waiting: int, name: str) -> None:
        self._most, self._count, self._lock = threads + waiting, 0, threading.Lock()
        self._pool = ThreadPoolExecutor(threads, name, initializer=_be_nice)

    async def run(self, work: Callable[..., Result], *values: object) -> Result:
        """Do it in one of the threads, when its turn has come.

        Raises:
            ServeError: too many wait already.
        """
        with self._lock:
            if self._count >= self._most:
                raise ServeError(
                    503,
                    f"{self._count} such requests are at work or waiting: try again.",
                    headers={"Retry-After": "5"},
                )
            self._count += 1
        try:
            future = self._pool.submit(work, *values)
            future.add_done_callback(lambda _: self._done())
        except BaseException:
            self._done()
            raise
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """End when what is at work is done; what waits is left."""
        self._pool.shutdown(cancel_futures=True)

    def _done(self) -> None:
        with self._lock:
            self._count -= 1


def _be_nice() -> None:
    with suppress(OSError, AttributeError):  # on Linux, of this thread alone
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
