"""Calls into a library that Ctrl-C and a time limit can reach. Knows no library.

Python handles a signal between two of its own instructions; a library that computes or waits for minutes is one of
them. So what may take long runs on a thread of its own while the caller waits, and is told to stop when the caller is
interrupted.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["interruptible"]

T = TypeVar("T")

POLL_S = 0.1  # on Windows a wait cannot be interrupted, so it is a row of short ones
GRACE_S = 0.5  # what a library gets to stop, which it does between two operations


def interruptible(
    work: Callable[[], T],
    stop: Callable[[], object],
    *,
    limit_s: float = float("inf"),
    late: Callable[[float], Exception] = TimeoutError,
    name: str = "",
) -> T:
    """Do `work` on another thread, so that signals are handled meanwhile.

    Args:
        work: What may take long. Its result or error becomes this function's.
        stop: Asks it to end early.
        limit_s: Longest time.
        late: Makes the error for work that took longer.
        name: Of the thread.
    """
    outcome: list[Any] = []
    done = threading.Event()

    def target() -> None:
        try:
            outcome.extend((work(), None))
        except BaseException as error:  # handed to whoever waits
            outcome.extend((None, error))
        finally:
            done.set()

    thread = threading.Thread(target=target, name=f"vljepa {name}", daemon=True)
    ends = time.monotonic() + limit_s
    try:
        thread.start()  # waits, too
        while not done.wait(POLL_S):
            if time.monotonic() > ends:
                raise late(limit_s)
    except BaseException:
        stop()
        done.wait(GRACE_S)
        raise
    result, error = outcome
    if error is not None:
        raise error
    return result  # type: ignore[no-any-return]
