"""Free memory of the C heap goes back to the system, also where a stream lasts for days.

What a window frees lies between what lives on, so glibc keeps it, and after hours of streams it keeps more than is in
use. malloc_trim(3) hands every whole free page back, in milliseconds. Other C libraries have nothing like it.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable
from functools import cache

__all__ = ["EVERY_S", "HeapTrimmer", "trimmer"]

EVERY_S = 60.0
"""Seconds between two trims: one takes 2 to 11 ms of a session with `tiny`."""


class HeapTrimmer:
    """Trims the heap once in `EVERY_S` at most, whoever asks how often; safe from several threads.

    Args:
        trim: Does it; None takes the C library's, and does nothing where that has none.
        clock: Seconds, as `time.monotonic` counts them.
    """

    def __init__(
        self, trim: Callable[[], object] | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._trim, self._clock, self._due_s = trim or _trim, clock, clock() + EVERY_S
        self._turn = threading.Lock()

    def now_and_then(self) -> None:
        """Trim where it is time, and nobody is at it; for a place that work comes by often."""
        if self._clock() < self._due_s or not self._turn.acquire(blocking=False):
            return
        try:
            self._trim()
            self._due_s = self._clock() + EVERY_S
        finally:
            self._turn.release()


def _trim() -> None:
    malloc_trim = _malloc_trim()
    if malloc_trim is not None:
        malloc_trim(0)


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    """That of glibc, called without the interpreter's lock."""
    try:
        function = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # another C library; Windows, which opens no None
        return None
    function.argtypes, function.restype = [ctypes.c_size_t], ctypes.c_int
    return function


trimmer = HeapTrimmer()
"""A process has one heap, so its sessions share this."""
