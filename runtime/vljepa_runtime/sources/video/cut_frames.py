"""Pictures of what a packet ring still holds, decoded when somebody asks for them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace

import av

from vljepa_runtime.sources.protocol import EVERY_FRAME, Frame, Hints
from vljepa_runtime.sources.ring.packet_ring import Cut
from vljepa_runtime.sources.ring.writing import write_cut
from vljepa_runtime.sources.video.clock import StreamClock
from vljepa_runtime.sources.video.decoding import decode_stream

__all__ = ["frames_of"]


def frames_of(cut: Cut, hints: Hints = EVERY_FRAME) -> Iterator[Frame]:
    """The frames of a cut, at their times in its stream; see `PacketRing`.

    Args:
        cut: Of a `PacketRing`.
        hints: What the consumer will use, as for `Source.frames`; its times count from the cut's first picture.

    Raises:
        SourceError: no frame could be decoded.
    """
    file = io.BytesIO()
    write_cut(cut, file)
    file.seek(0)
    with av.open(file, "r") as container:
        for item in decode_stream(container, "a part of a stream", hints, StreamClock()):
            if isinstance(item, Frame) and (time_s := round(item.time_s + cut.start_s, 9)) < cut.end_s:
                yield replace(item, time_s=time_s)
