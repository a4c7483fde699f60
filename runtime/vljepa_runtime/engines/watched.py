"""Calls into an engine's library that Ctrl-C and a time limit can reach. Knows no engine.

Python handles a signal between two of its own instructions; a library that computes for minutes is one of them. So what
may take long runs on a thread of its own while the caller waits, and is told to stop when the caller is interrupted.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from vljepa_runtime.errors import RunError

__all__ = ["Watch", "interruptible"]

T = TypeVar("T")

# Longer than any run here that came to an end: the largest X-encoder that was exported takes 20 s a window on one core.
RUN_LIMIT_S = 600.0
# What takes less is called directly from the second time on: a thread costs 0.05-0.1 ms, a decoder step 0.5 ms.
SLOW_S = 0.2
POLL_S = 0.1  # on Windows a wait cannot be interrupted, so it is a row of short ones
GRACE_S = 0.5  # what a library gets to stop, which it does between two operations


class Watch:
    """The runs of one graph: those of a graph that was quick last time are called directly.

    Args:
        what: Graph and engine, for the message.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._quick = False

    def run(self, work: Callable[[], T], stop: Callable[[], object]) -> T:
        """Do `work`, and call `stop` from another thread when it is not wanted any more.

        Raises:
            RunError: it did not return within `RUN_LIMIT_S`.
        """
        started = time.monotonic()
        result = work() if self._quick else interruptible(work, stop, limit_s=RUN_LIMIT_S, what=self._what)
        self._quick = time.monotonic() - started < SLOW_S
        return result


def interruptible(
    work: Callable[[], T], stop: Callable[[], object], *, limit_s: float = float("inf"), what: str = ""
) -> T:
    """Do `work` on another thread, so that signals are handled meanwhile.

    Args:
        work: What may take long.
        stop: Asks it to end early.
        limit_s: Longest time.
        what: Names it in the message.

    Raises:
        RunError: it took longer.
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

    thread = threading.Thread(target=target, name=f"vljepa {what}", daemon=True)
    ends = time.monotonic() + limit_s
    try:
        thread.start()  # waits, too
        while not done.wait(POLL_S):
            if time.monotonic() > ends:
                raise RunError(
                    f"{what} did not return within {limit_s:g} s: use a smaller model or window, or another --engine"
                )
    except BaseException:
        stop()
        done.wait(GRACE_S)
        raise
    result, error = outcome
    if error is not None:
        raise error
    return result  # type: ignore[no-any-return]
