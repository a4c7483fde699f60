"""Packets of a container as its demuxer gives them, in one place because of what PyAV does with late tracks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import av
from av.container import InputContainer
from av.video.stream import VideoStream

__all__ = ["decode_packet", "read_packets"]


def read_packets(container: InputContainer, *tracks: Any) -> Iterator[av.Packet[Any]]:
    """Every packet with data, of some of the tracks that were known when the container was opened.

    Others may begin later, as the sound of an FLV or MPEG stream does; PyAV 18 fails over them, but only once it has
    given all packets and begins to empty the decoders, which is left to the caller.

    Raises:
        av.FFmpegError, OSError: reading broke off.
    """
    try:
        for packet in container.demux(*tracks):
            if packet.size:
                yield packet
    except IndexError:
        return


def decode_packet(stream: VideoStream, packet: av.Packet[Any] | None) -> Iterator[av.VideoFrame]:
    """Pictures that a packet completes; with None those that still wait in the decoder."""
    for frame in stream.decode(packet):
        if not frame.time_base and stream.time_base:  # PyAV 17 leaves it out after the last packet
            frame.time_base = stream.time_base
        yield frame
