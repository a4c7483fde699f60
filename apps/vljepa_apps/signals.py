"""Signals that end a command: Ctrl-C, SIGTERM and a closed terminal do the same, and files are finished first."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["ENDING", "Ending", "deferred", "ending_as_interrupt"]

ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
AGAIN_S = 0.05
SAME_S = 0.5  # a service manager or a closing terminal sends several in a row; a person who means it waits


class Ending:
    """Handles the signals of one process: the first raises KeyboardInterrupt, a later one ends it at once."""

    def __init__(self) -> None:
        self._owner = os.getpid()
        self._first_s: float | None = None
        self._came = False
        self.held = 0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        late = self._first_s is not None and now - self._first_s > SAME_S
        if late or os.getpid() != self._owner:  # somebody who will not wait; a forked worker
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        elif self._first_s is None:
            self._first_s, self._came = now, True
            self._try(frame)

    def _try(self, frame: FrameType | None) -> None:
        """Let the signal through, unless what is raised here would be lost; then look again soon."""
        if self.held:
            return
        if hasattr(signal, "setitimer") and _loses_exceptions(frame):
            signal.signal(signal.SIGALRM, lambda _, later: self._try(later))
            signal.setitimer(signal.ITIMER_REAL, AGAIN_S)
        else:
            self.raise_if_came()

    @property
    def came(self) -> bool:
        """Whether a signal came that has not been let through."""
        return self._came

    def raise_if_came(self) -> None:
        """Let the signal through, once."""
        if self._came:
            self._came = False
            raise KeyboardInterrupt


def _loses_exceptions(frame: FrameType | None) -> bool:
    """Whether it is an import, in which libraries take an interrupt for a missing module, or a finaliser."""
    while frame is not None:
        code = frame.f_code
        if code.co_filename.startswith("<frozen importlib") or code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False


@contextmanager
def ending_as_interrupt() -> Iterator[None]:
    """While inside, see `Ending`. Ignored signals (`nohup`) stay so; nothing changes outside of the main thread."""
    ending, before = Ending(), {}
    try:
        for number in ENDING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, ending)
    except ValueError:  # not the main thread: signals are someone else's business
        before.clear()
    try:
        yield
    finally:
        if before and hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, former in before.items():
            signal.signal(number, former)


@contextmanager
def deferred() -> Iterator[Ending]:
    """While inside, a signal waits, so that a picture or a line is written whole; ask afterwards whether one came."""
    found = next((h for h in map(signal.getsignal, ENDING) if isinstance(h, Ending)), None) or Ending()
    found.held += 1
    try:
        yield found
    finally:
        found.held -= 1
