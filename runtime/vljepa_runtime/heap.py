"""Free memory of the C heap goes back to the system, also where a stream lasts for days.

What a window frees lies between what lives on, so glibc keeps it, and after hours of streams it keeps more than is in
use. malloc_trim(3) hands every whole free page back, in milliseconds. Other C libraries have nothing like it.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from functools import cache

__all__ = ["EVERY", "HeapTrimmer", "trimmer"]

EVERY = 64
"""Windows between two trims, of all sessions together: a minute of one stream; a trim takes 2 to 11 ms with `tiny`."""


class HeapTrimmer:
    """Trims the heap once in `EVERY` windows, whoever tells of them; safe from several threads.

    Args:
        trim: Does it; None takes the C library's, and does nothing where that has none.
    """

    def __init__(self, trim: Callable[[], object] | None = None) -> None:
        self._trim, self._windows, self._turn = trim or _trim, 0, threading.Lock()

    def told_window(self) -> None:
        """Count a window, and trim where it is time and nobody is at it."""
        if not self._turn.acquire(blocking=False):
            return
        try:
            self._windows += 1
            if self._windows % EVERY == 0:
                self._trim()
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
