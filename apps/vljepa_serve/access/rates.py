"""How often somebody may do something: a bucket for each, that fills by the clock."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

__all__ = ["Rate"]

MOST_KNOWN = 4096  # addresses; the longest silent are forgotten, whose buckets are full again anyway


class Rate:
    """Lets each do something so often.

    Args:
        most: At once.
        per_s: Seconds until so many are free again.
    """

    def __init__(self, *, most: int, per_s: float) -> None:
        self._most, self._step_s = most, per_s / most
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, who: str, *, now: float | None = None) -> float:
        """Take one; 0, or the seconds after which there is one again."""
        now = time.monotonic() if now is None else now
        with self._lock:
            left, at = self._known.pop(who, (float(self._most), now))
            left = min(float(self._most), left + (now - at) / self._step_s)
            waits = 0.0 if left >= 1 else (1 - left) * self._step_s
            self._known[who] = (left - 1 if left >= 1 else left), now
            while len(self._known) > MOST_KNOWN:
                self._known.popitem(last=False)
        return waits

    def forgive(self, who: str) -> None:
        """Forget what somebody did."""
        with self._lock:
            self._known.pop(who, None)
