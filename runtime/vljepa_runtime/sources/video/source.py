"""A video with an end, from a disk or a server: every frame in order, decoded a few frames ahead."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from av.container import InputContainer

from vljepa_runtime.sources.protocol import EVERY_FRAME, Announced, Frame, Hints, Item, Source, SourceStatus
from vljepa_runtime.sources.ring.packet_ring import PacketRing
from vljepa_runtime.sources.video.clock import StreamClock
from vljepa_runtime.sources.video.decoding import announced_pictures, decode_stream
from vljepa_runtime.sources.video.hardware import SOFTWARE, Decoding
from vljepa_runtime.sources.video.read_ahead import read_ahead

__all__ = ["OpenVideo", "VideoSource"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OpenVideo:
    """A container at its beginning, and what carries it.

    Attributes:
        container: PyAV's.
        close: Lets go of both.
        renew: Called after each frame: a server is not to blame for how long the consumer took.
        decoding: How it was opened.
    """

    container: InputContainer
    close: Callable[[], object]
    renew: Callable[[], object] = lambda: None
    decoding: Decoding = SOFTWARE


class VideoSource(Source):
    """Reads a video in order and without loss; see `Source`.

    Args:
        name: Shown to the user.
        open_video: Opens it for every pass but the first. Takes an event that is set when nobody wants the frames any
            more, so that waits end.
        first: Opened already.
        loop: Start again at the end, with times that go on rising.
        stretch: Spread the values of grey pictures of more than 8 bits over black to white.
        stopped: The event that `first` was opened with.
    """

    def __init__(
        self,
        name: str,
        open_video: Callable[[threading.Event], OpenVideo],
        first: OpenVideo,
        *,
        loop: bool = False,
        stretch: bool = False,
        stopped: threading.Event | None = None,
    ) -> None:
        self.name = name
        self.loop = loop
        self._open = open_video
        self._opened: OpenVideo | None = first
        self._stretch = stretch
        self._ring: PacketRing | None = None
        self._stopped = stopped or threading.Event()

    def announced(self) -> Announced | None:
        """What the header says."""
        return announced_pictures(self._opened.container, self.name) if self._opened else None

    def keep_packets(self, ring: PacketRing) -> None:
        """Put the packets of the video into a ring, too."""
        self._ring = ring

    def frames(self, hints: Hints = EVERY_FRAME) -> Iterator[Item]:
        """Every frame, or only those the hints ask for, as fast as the consumer takes them."""
        return read_ahead(_prepared(self._passes(hints), hints), leave=lambda: self._stopped.set())

    def _passes(self, hints: Hints) -> Iterator[Item]:
        clock, told = StreamClock(), set[SourceStatus]()
        while True:
            video, self._opened = self._opened or self._again(), None
            try:
                items = decode_stream(
                    video.container,
                    self.name,
                    hints,
                    clock,
                    stretch=self._stretch,
                    ring=self._ring,
                    decoding=video.decoding,
                )
                for item in _told_once(items, told):
                    yield item
                    video.renew()
            finally:
                video.close()
            if not self.loop:
                return

    def _again(self) -> OpenVideo:
        self._stopped = threading.Event()
        return self._open(self._stopped)

    def close(self) -> None:
        """Let the video go; a running iteration ends at its next step by itself."""
        self.loop = False
        self._stopped.set()  # whatever waits for a server ends at once
        if self._opened is not None:
            self._opened.close()
            self._opened = None


def _prepared(items: Iterator[Item], hints: Hints) -> Iterator[Item]:
    """With what the consumer makes of each picture."""
    for item in items:
        if hints.prepare is not None and isinstance(item, Frame):
            item.prepare(hints.prepare)
        yield item


def _told_once(items: Iterator[Item], told: set[SourceStatus]) -> Iterator[Item]:
    """Without the remarks that an earlier pass made."""
    for item in items:
        if not isinstance(item, SourceStatus):
            yield item
        elif item not in told:
            told.add(item)
            yield item
