"""Ids that rise over restarts, by which receivers tell repeats."""

from __future__ import annotations

import threading
import time

__all__ = ["RisingIds"]


class RisingIds:
    """Numbers that rise, also over restarts: microseconds since 1970, or one more than the last where that is more.

    So they need no file, but for a clock that is set back. JSON readers that hold numbers as doubles have them exactly.

    Args:
        last: The highest that is known to have been given.

    Examples:
        >>> from vljepa_runtime.sinks import RisingIds
        >>> ids = RisingIds(last=1 << 52)
        >>> ids.next() - (1 << 52), ids.next() - (1 << 52)
        (1, 2)
    """

    def __init__(self, last: int = 0) -> None:
        self._last = last
        self._lock = threading.Lock()

    def next(self) -> int:
        """The next one; may be called on any thread."""
        with self._lock:
            self._last = max(self._last + 1, time.time_ns() // 1000)
            return self._last

    def follow(self, last: int) -> None:
        """Give none from now on that is not higher than this."""
        with self._lock:
            self._last = max(self._last, last)
