"""Packets as they are into a file that plays: nothing is decoded, nothing encoded."""

from __future__ import annotations

from typing import BinaryIO

import av

from vljepa_runtime.errors import OutputError
from vljepa_runtime.printable import plain_reason
from vljepa_runtime.sources.ring.packet_ring import Cut
from vljepa_runtime.sources.ring.track import add_stream

__all__ = ["write_cut"]

FORMATS = {".mp4": "mp4", ".mkv": "matroska"}


def write_cut(cut: Cut, file: BinaryIO) -> None:
    """Write a cut as MP4 or Matroska, whatever its codec suits (`Track.suffix`); the clip begins at 0 s.

    Args:
        cut: Of a `PacketRing`.
        file: Open for writing bytes, and at its beginning.

    Raises:
        OutputError: the container refuses the packets, or the file cannot be written.

    Examples:
        >>> import vljepa_runtime as vj
        >>> from vljepa_runtime.sources import Cut, PacketRing, write_cut
        >>> ring = PacketRing(seconds=60)
        >>> with vj.open_source("clip.mp4") as source:
        ...     source.keep_packets(ring)
        ...     frames = list(source)
        >>> cut: Cut = ring.cut(3, 5)
        >>> with open(f"part{cut.track.suffix}", "w+b") as file:
        ...     write_cut(cut, file)
        >>> with vj.open_source("part.mp4") as part:
        ...     print(len(list(part)) <= len(frames))
        True
    """
    begin = cut.packets[0].pts
    try:
        with av.open(file, "w", format=FORMATS[cut.track.suffix]) as container:
            stream = add_stream(container, cut.track.parameters.streams[0])
            for kept in cut.packets:
                packet = av.Packet(kept.data)
                packet.stream, packet.time_base = stream, cut.track.time_base
                packet.is_keyframe = kept.is_key
                packet.pts = kept.pts - begin
                packet.dts = None if kept.dts is None else kept.dts - begin
                packet.duration = kept.duration or 0
                container.mux(packet)
    except (av.FFmpegError, ValueError) as error:
        raise OutputError(
            f"cannot write {cut.track.codec} packets as {cut.track.suffix[1:]}: {plain_reason(error)}"
        ) from error
