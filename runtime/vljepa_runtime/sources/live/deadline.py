"""A deadline by the clock: shared by all who wait for one server, renewed by what was waited for."""

from __future__ import annotations

import math
import threading
import time

__all__ = ["SLICE_S", "ConnectionLostError", "Deadline"]

SLICE_S = 0.2  # every wait looks up this often


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
