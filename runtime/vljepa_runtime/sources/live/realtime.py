"""A recording played as a camera would give it: each picture at its time, those that nobody takes in time are lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

from vljepa_runtime.sources.protocol import EVERY_FRAME, Frame, Hints, Item, Source, SourceStatus
from vljepa_runtime.sources.ring.packet_ring import PacketRing

__all__ = ["RealtimeSource"]

MORE = 3
LATE_S = 1.0  # a consumer, or a decoder, that is later than this loses pictures


class RealtimeSource(Source):
    """Plays a source that has an end, or begins again at it, at the speed of the clock; see `Source`.

    Args:
        recording: What is played; closed with this.
    """

    live = True

    def __init__(self, recording: Source) -> None:
        self.name, self.loop = recording.name, recording.loop
        self._recording = recording
        self._stopped = threading.Event()

    def keep_packets(self, ring: PacketRing) -> None:
        """Put the packets of the recording into a ring."""
        self._recording.keep_packets(ring)

    def frames(self, hints: Hints = EVERY_FRAME) -> Iterator[Item]:
        """Give each picture when its time has come."""
        begun_s: float | None = None
        given_s = float("-inf")
        try:
            for item in self._recording.frames(_as_live(hints)):
                if not isinstance(item, Frame):
                    yield item
                    continue
                if begun_s is None:
                    begun_s = time.monotonic() - item.time_s
                    yield SourceStatus(
                        kind="connected", message=f"{self.name} plays at the speed of the clock"
                    )
                yield from self._until(begun_s + item.time_s, hints.wake_s)
                if self._stopped.is_set():
                    return
                now = time.monotonic()
                if now - begun_s - item.time_s < LATE_S or now - given_s >= LATE_S:
                    given_s = now
                    yield replace(item, duration_s=None)
        finally:
            self.close()

    def _until(self, due_s: float, wake_s: float | None) -> Iterator[SourceStatus]:
        """Wait for a time of the monotonic clock, and say so where the consumer wants to look up meanwhile."""
        while (left_s := due_s - time.monotonic()) > 0:
            if self._stopped.wait(left_s if wake_s is None else min(left_s, wake_s)):
                return
            if wake_s is not None and left_s > wake_s:
                yield SourceStatus(
                    kind="waiting", message=f"{self.name}: the next picture has its time later"
                )

    def close(self) -> None:
        """End it; a running iteration ends within a moment."""
        self._stopped.set()
        self._recording.close()


def _as_live(hints: Hints) -> Hints:
    """As other live sources it gives more pictures than are asked for: whoever watches sees them move."""
    interval_s = None if hints.min_interval_s is None else hints.min_interval_s / MORE
    return replace(hints, min_interval_s=interval_s, wake_s=None)
