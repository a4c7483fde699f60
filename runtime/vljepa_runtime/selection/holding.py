"""What a stream shows changes when something else has held for a while: hold time, once for labels and for alerts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from vljepa_runtime.selection.protocol import Observation

__all__ = ["Holding"]

T = TypeVar("T")
ROUNDING_S = 1e-6  # keeps five windows of 0.1 s at half a second


@dataclass(slots=True)
class Holding(Generic[T]):
    """The present one of several things, which another one replaces once it was the best in every window over a time.

    Attributes:
        hold_s: For how long; a window that shows one held picture counts as long as that was on show.
        present: What holds.
        rival: The best one of the last window.
        start_s: Where the rival begins.
    """

    hold_s: float
    present: T
    rival: T
    start_s: float = 0.0
    _since_s: float = 0.0

    def push(self, best: T, seen: Observation) -> bool:
        """Take the best one of the next window; True when it has become the present one, from `start_s` on."""
        if best != self.rival:
            # A window that first shows something new shows it in its later half.
            self.start_s = seen.start_s if seen.held else seen.time_s
            self.rival, self._since_s = best, seen.start_s if seen.held else seen.end_s
        if best == self.present or seen.end_s - self._since_s < self.hold_s - ROUNDING_S:
            return False
        self.present = best
        return True

    def begin_anew(self) -> None:
        """What the last windows said counts no longer towards the time, for nothing was seen since."""
        self.rival = self.present
