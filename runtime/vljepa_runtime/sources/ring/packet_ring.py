"""Encoded packets of the last seconds of a stream, so that what came before a moment can still be had.

Knows times and bytes; no container, no codec, no file. One thread fills it, another one may cut.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vljepa_runtime.arguments import number, whole

if TYPE_CHECKING:
    from vljepa_runtime.sources.ring.track import Track

__all__ = ["Cut", "Encoded", "PacketRing"]

MAX_UNTIMED = 256  # packets whose pictures are in a decoder; it holds some ten, the rest was damaged
MAX_BYTES = 64 << 20  # two minutes at 4 Mbit/s


@dataclass(slots=True, kw_only=True, eq=False)
class Encoded:
    """One packet of a video stream.

    Attributes:
        data: As its encoder wrote it.
        is_key: Whether decoding can begin with it.
        pts: When its picture is shown, in ticks of its track.
        dts: When it is decoded, in the same; None where the container does not say.
        duration: In the same.
        time_s: When its picture is shown, in stream time; None until that is known.
    """

    data: bytes
    is_key: bool
    pts: int
    dts: int | None = None
    duration: int | None = None
    time_s: float | None = None


@dataclass(slots=True, eq=False)
class _Group:
    """A key frame and what is decoded after it."""

    track: Track
    packets: list[Encoded] = field(default_factory=list)
    bytes: int = 0

    def begins_by(self, time_s: float) -> bool:
        """Whether its key frame is known to be shown at a time or before."""
        begin_s = self.packets[0].time_s
        return begin_s is not None and begin_s <= time_s


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cut:
    """Packets of one track that follow each other, the first one a key frame.

    Attributes:
        track: What they belong to.
        packets: In the order of decoding.
        start_s: When the first picture is shown, in stream time.
        end_s: Up to when pictures were asked for; a few packets shown later may be among them, which others need.
    """

    track: Track
    packets: tuple[Encoded, ...]
    start_s: float
    end_s: float

    @property
    def bytes(self) -> int:
        """Of all packets."""
        return sum(len(packet.data) for packet in self.packets)


class PacketRing:
    """The last seconds of a stream, never more than so many bytes; groups of pictures leave it whole.

    A source fills it (`Source.keep_packets`). It reaches back from where its consumer is (`advance`), else from the
    newest packet. Packets after a key frame that alone have more bytes than the ring may hold are let go, and it begins
    anew with the next key frame.

    Args:
        seconds: How far it reaches back at least, bytes permitting; up to one group of pictures more is kept.
        max_bytes: The most that it holds of packets.

    Examples:
        >>> import vljepa_runtime as vj
        >>> from vljepa_runtime.sources import PacketRing, frames_of
        >>> ring = PacketRing(seconds=60)
        >>> with vj.open_source("clip.mp4") as source:
        ...     source.keep_packets(ring)
        ...     for frame in source:
        ...         ring.advance(frame.time_s)
        >>> cut = ring.cut(4, 5)  # from the key frame before 4 s
        >>> cut.track.codec, cut.start_s <= 4, ring.bytes < 1e6
        ('h264', True, True)
        >>> [frame.time_s for frame in frames_of(cut) if frame.time_s >= 4.5]
        [4.5, 4.625, 4.75, 4.875]
    """

    def __init__(self, *, seconds: float, max_bytes: int = MAX_BYTES) -> None:
        self.seconds = number(seconds, "seconds", above=0)
        self.max_bytes = whole(max_bytes, "max_bytes", least=1)
        self._lock = threading.Lock()
        self._groups: deque[_Group] = deque()
        self._track: Track | None = None
        self._untimed: dict[int, Encoded] = {}
        self._bytes = 0
        self._newest_s = self._consumer_s = float("-inf")

    @property
    def bytes(self) -> int:
        """What it holds."""
        return self._bytes

    @property
    def track(self) -> Track | None:
        """That of the next packets; None before a source has given any, and where they cannot be kept."""
        return self._track

    def begin(self, track: Track | None) -> None:
        """Go on with packets of another container or connection; the next one that counts is a key frame.

        Those of None are not kept.
        """
        with self._lock:
            self._settle(0)
            self._track = track

    def add(self, packet: Encoded) -> None:
        """Take the next packet in the order of decoding; what comes before the first key frame is left out."""
        with self._lock:
            if (track := self._track) is None:
                return
            if packet.is_key:
                self._groups.append(_Group(track))
            elif not self._groups or self._groups[-1].track is not track:
                return
            group = self._groups[-1]
            group.packets.append(packet)
            group.bytes += len(packet.data)
            self._bytes += len(packet.data)
            if packet.time_s is None:
                self._untimed[packet.pts] = packet
                self._settle(MAX_UNTIMED)
            else:
                self._newest_s = packet.time_s
            self._let_go()

    def shown(self, pts: int | None, time_s: float) -> None:
        """Say when the picture of a packet is shown, where that was not known when it was added."""
        with self._lock:
            if pts is not None and (packet := self._untimed.pop(pts, None)) is not None:
                packet.time_s = time_s
            self._newest_s = time_s

    def advance(self, time_s: float) -> None:
        """Say where its consumer is in stream time; a file may be read some seconds ahead of that."""
        with self._lock:
            self._consumer_s = time_s
            self._let_go()

    def cut(self, start_s: float, end_s: float) -> Cut | None:
        """What is shown from `start_s` to `end_s`, from the key frame before on.

        Of several tracks (a connection was renewed) it is the last one before `end_s`; where the ring no longer reaches
        back to `start_s`, it begins with the oldest key frame. None where the ring holds nothing of that time.
        """
        with self._lock:
            found = [group for group in self._groups if group.begins_by(end_s)]
            found = [group for group in found if group.track is found[-1].track]
            first = max((i for i, group in enumerate(found) if group.begins_by(start_s)), default=0)
            packets = [packet for group in found[first:] for packet in group.packets]
            count = max((i + 1 for i, packet in enumerate(packets) if _before(packet, end_s)), default=0)
            if not count or start_s > self._newest_s:
                return None
            begin = packets[0]
            kept = [
                packet for packet in packets[:count] if packet.pts >= begin.pts
            ]  # the others need what is gone
            start_s = begin.time_s or 0.0
            return Cut(track=found[-1].track, packets=tuple(kept), start_s=start_s, end_s=end_s)

    def _settle(self, count: int) -> None:
        """Leave at most so many packets without a time: the others were damaged, and never shown."""
        while len(self._untimed) > count:
            self._untimed.pop(next(iter(self._untimed))).time_s = max(0.0, self._newest_s)

    def _let_go(self) -> None:
        since_s = self._newest_s if self._consumer_s == float("-inf") else self._consumer_s
        while len(self._groups) > 1 and self._groups[1].begins_by(since_s - self.seconds):
            self._drop()
        while self._bytes > self.max_bytes:
            self._drop()

    def _drop(self) -> None:
        group = self._groups.popleft()
        self._bytes -= group.bytes
        for packet in group.packets:
            if self._untimed.get(packet.pts) is packet:
                del self._untimed[packet.pts]


def _before(packet: Encoded, end_s: float) -> bool:
    return packet.time_s is not None and packet.time_s < end_s
