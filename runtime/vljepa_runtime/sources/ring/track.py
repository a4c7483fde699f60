"""What packets belong to: the codec with its parameters, and how packets of a container reach a ring."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
from av.container import OutputContainer
from av.video.stream import VideoStream

from vljepa_runtime.sources.ring.packet_ring import Encoded, PacketRing

__all__ = ["PacketTap", "Track", "encoded"]

IN_MP4 = ("av1", "h264", "hevc", "mpeg4")  # what players expect there; anything else goes into Matroska


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Track:
    """A video stream that outlives its container.

    Attributes:
        codec: FFmpeg's name.
        time_base: Seconds of a tick.
        parameters: A container in memory that nothing is written to: its only stream has the codec's parameters.
    """

    codec: str
    time_base: Fraction
    parameters: OutputContainer

    @classmethod
    def of(cls, stream: VideoStream) -> Track | None:
        """That of an open container's stream; None where no container takes what it is, such as a GIF's pictures."""
        held = av.open(io.BytesIO(), "w", format="matroska")
        try:
            add_stream(held, stream)
        except ValueError:
            return None
        return cls(
            codec=stream.codec_context.name, time_base=stream.time_base or Fraction(1, 1000), parameters=held
        )

    @property
    def suffix(self) -> str:
        """Of a file that holds it."""
        return ".mp4" if self.codec in IN_MP4 else ".mkv"


def add_stream(container: OutputContainer, like: Any) -> Any:
    """A stream for packets that are encoded already, with the parameters of another one."""
    return container.add_stream_from_template(like, opaque=True)  # else an encoder of that codec is asked for


def encoded(packet: av.Packet[Any], time_s: float | None = None) -> Encoded | None:
    """A packet as a ring keeps it; None without a time, as in raw streams: no container could hold it."""
    pts = packet.dts if packet.pts is None else packet.pts
    if pts is None or packet.is_corrupt:
        return None
    return Encoded(
        data=bytes(packet),
        is_key=packet.is_keyframe,
        pts=pts,
        dts=packet.dts,
        duration=packet.duration or None,
        time_s=time_s,
    )


class PacketTap:
    """What one pass over a file leaves in a ring: packets as they are read, times as their pictures are shown."""

    def __init__(self, ring: PacketRing, stream: VideoStream) -> None:
        self._ring = ring
        self._decoded: deque[int | None] = deque()  # stamps of the pictures that are not shown yet
        ring.begin(Track.of(stream))

    def packets(self, packets: Iterable[av.Packet[Any]]) -> Iterator[av.Packet[Any]]:
        """The same packets."""
        for packet in packets:
            if (kept := encoded(packet)) is not None:
                self._ring.add(kept)
            yield packet

    def frames(self, frames: Iterable[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        """The same frames, in the order in which they are shown."""
        for frame in frames:
            self._decoded.append(frame.pts)
            yield frame

    def shown(self, time_s: float) -> None:
        """Tell the time of the next picture."""
        self._ring.shown(self._decoded.popleft(), time_s)
