"""One camera's encoded packets on their way to the disk: a ring in memory that another thread empties."""

from __future__ import annotations

import io
import math
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from vljepa_runtime.sources import Cut, PacketRing, write_cut
from vljepa_serve.video.kept import KeptVideo, Piece, Rest

__all__ = ["VideoKeeper"]

RING_S = 60.0
PIECE_S = 8.0  # a file has so much at least, and ends before a key frame
LONGEST_S = 45.0  # without a key frame it is cut all the same
LEAST_S = 0.5


class _Ring(PacketRing):
    """Says when another container or connection begins, while what came before can still be had."""

    def __init__(self, before: Callable[[], object]) -> None:
        super().__init__(seconds=RING_S)
        self._before = before

    def begin(self, track: Any) -> None:
        """See `PacketRing.begin`."""
        self._before()
        super().begin(track)


class VideoKeeper:
    """Fills the kept video of one connection of one camera.

    Args:
        camera: Its id.
        kept: Where pieces go.

    Attributes:
        ring: What the source puts its packets into.
    """

    def __init__(self, camera: str, kept: KeptVideo) -> None:
        self.camera, self.ring = camera, _Ring(self._take_rest)
        self._kept = kept
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self._taken: list[Cut] = []
        self._stored_s = -math.inf  # in stream time
        self._now_s = 0.0
        self._began = 0.0

    def advance(self, end_s: float, *, began: float) -> None:
        """Say how far the stream was seen, and when it began by the wall clock."""
        self._now_s, self._began = end_s, began
        self.ring.advance(end_s)

    def store(self, *, everything: bool = False) -> None:
        """Put what has come into pieces; on a thread that may wait for a disk.

        Args:
            everything: Also what has not come to its next key frame: the stream has ended. While it goes on, what
                comes before that key frame needs what is before it.

        Raises:
            OutputError: the disk is full; what does not fit is lost.
        """
        with self._writing:
            if self._began <= 0:  # nothing was seen yet
                return
            with self._lock:
                while (cut := self._next(everything=everything)) is not None:
                    self._take(cut)
                taken, self._taken = self._taken, []
            for cut in taken:
                self._kept.add(self.camera, cut, start=self._began + cut.start_s, end=self._began + cut.end_s)

    def rest(self) -> Rest | None:
        """What has come and is in no piece yet; None where there is nothing.

        Raises:
            OutputError: its packets are damaged.
        """
        with self._lock:
            cut = None if self._began <= 0 else self.ring.cut(max(0.0, self._stored_s), self._now_s)
            found = None if cut is None else self._fresh(cut)
        if found is None:
            return None
        file = io.BytesIO()
        write_cut(found, file)
        file.seek(0)
        start, end = (round(self._began + time_s, 3) for time_s in (found.start_s, found.end_s))
        return Rest(file, Piece(start, end, found.track.suffix))

    def _take(self, cut: Cut) -> None:
        self._stored_s = cut.end_s
        self._taken.append(cut)

    def _take_rest(self) -> None:
        """All that there is of a container or connection that has ended; on the thread that reads."""
        with self._lock:
            cut = self.ring.cut(max(0.0, self._stored_s), math.inf)
            if cut is not None and (found := self._fresh(cut)) is not None:
                self._take(found)

    def _next(self, *, everything: bool) -> Cut | None:
        """The next piece, in whole groups of pictures."""
        cut = self.ring.cut(max(0.0, self._stored_s), self._now_s)
        found = None if cut is None else self._fresh(cut)
        if found is None or found.end_s - found.start_s < (LEAST_S if everything else PIECE_S):
            return None
        times = [
            (i, each.time_s)
            for i, each in enumerate(found.packets)
            if each.is_key and each.time_s is not None
        ]
        later = next((i for i, time_s in times if time_s - found.start_s >= PIECE_S), None)
        if later is not None:
            end_s = found.packets[later].time_s or 0.0
            return replace(found, packets=found.packets[:later], end_s=end_s)
        return found if everything or found.end_s - found.start_s > LONGEST_S else None

    def _fresh(self, cut: Cut) -> Cut | None:
        """The part of a cut that is not stored, from its first key frame on; all of it where none has come since."""
        shown = [each.time_s for each in cut.packets if each.time_s is not None]
        end_s = min(cut.end_s, max(shown, default=0.0) + _step_s(shown))
        if end_s <= self._stored_s + 1e-3:
            return None
        for index, packet in enumerate(cut.packets):
            time_s = packet.time_s
            if packet.is_key and time_s is not None and time_s >= self._stored_s - 1e-3:
                return replace(cut, packets=cut.packets[index:], start_s=time_s, end_s=end_s)
        return replace(cut, end_s=end_s)


def _step_s(times_s: list[float]) -> float:
    """How long one picture is on show, about."""
    return (max(times_s) - min(times_s)) / (len(times_s) - 1) if len(times_s) > 1 else 0.0
