"""A deadline by the clock: shared by all who wait for one server, renewed by what was waited for."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import TypeVar

__all__ = ["SLICE_S", "ConnectionLostError", "Deadline", "in_background"]

T = TypeVar("T")
SLICE_S = 0.2  # every wait looks up this often
JOIN_S = 0.5


class ConnectionLostError(OSError):
    """The connection failed or ended; trying again may help. Stays inside `sources`."""


class Deadline:
    """A deadline that moves on when something came, and ends at once when the consumer has left.

    Args:
        limit_s: Seconds until it is over.
        wanted: What is waited for, as in "no picture for 15 s".
        stopped: Set when the consumer has left.
    """

    def __init__(
        self, limit_s: float, *, wanted: str = "answer", stopped: threading.Event | None = None
    ) -> None:
        self.stopped = stopped or threading.Event()
        self.expect(wanted, limit_s)

    def expect(self, wanted: str, limit_s: float, *, silence_s: float = math.inf) -> None:
        """From now on `wanted` is waited for, `limit_s` seconds at most, and `silence_s` without a byte."""
        self._wanted, self._limit_s, self.silence_s = wanted, limit_s, silence_s
        self.renew()

    def renew(self) -> None:
        """What was waited for came: the time begins anew."""
        self._end_s = time.monotonic() + self._limit_s

    @property
    def is_over(self) -> bool:
        """Whether the consumer has left or the time has passed."""
        return self.stopped.is_set() or time.monotonic() >= self._end_s

    def check(self) -> None:
        """Go on only while there is reason to.

        Raises:
            ConnectionLostError: the time is over or the consumer has left.
        """
        if self.stopped.is_set():
            raise ConnectionLostError("the source was closed")
        if time.monotonic() >= self._end_s:
            raise ConnectionLostError(f"no {self._wanted} for {self._limit_s:g} s")

    def sleep(self, seconds: float) -> None:
        """Wait on purpose; the consumer's leaving ends it."""
        self.stopped.wait(max(0.0, seconds))


def in_background(work: Callable[[], T], stopped: threading.Event, limit_s: float = math.inf) -> T:
    """Do what may block inside a library in a thread, so that Ctrl-C is answered meanwhile.

    Args:
        work: Its result or error becomes this function's.
        stopped: Set when this function gives up or is interrupted, so that `work` ends.
        limit_s: Seconds until it gives up.

    Raises:
        ConnectionLostError: `work` took longer than `limit_s`.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def body() -> None:
        try:
            results.append(work())
        except BaseException as error:  # the caller's to handle
            errors.append(error)

    thread = threading.Thread(target=body, name="opening a source", daemon=True)
    begun = time.monotonic()
    try:
        thread.start()  # waits, too
        while thread.is_alive():
            thread.join(SLICE_S)
            if time.monotonic() - begun >= limit_s and thread.is_alive():
                raise ConnectionLostError(f"no answer for {limit_s:g} s")
    except BaseException:
        stopped.set()
        if thread.ident is not None:
            thread.join(JOIN_S)
        raise
    if errors:
        raise errors[0]
    return results[0]
