"""One pass over a container: its frames in order, none lost, with times as a player counts them (`clock.py`).

Damage in the middle costs the damaged frames and a warning. Knows neither where the bytes come from nor who wants them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain
from typing import Any

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from vljepa_runtime.errors import SourceError
from vljepa_runtime.printable import plain_reason
from vljepa_runtime.sources.pictures.pixels import DECODER_LIMITS, MAX_PIXELS, Converter, Picture, check_size
from vljepa_runtime.sources.protocol import (
    DEFAULT_RATE,
    Announced,
    Frame,
    Hints,
    Item,
    SourceStatus,
    due_index,
)
from vljepa_runtime.sources.ring.packet_ring import PacketRing
from vljepa_runtime.sources.ring.track import PacketTap
from vljepa_runtime.sources.video.clock import Shown, StreamClock
from vljepa_runtime.sources.video.hardware import SOFTWARE, Decoding
from vljepa_runtime.sources.video.packets import decode_packet, read_packets
from vljepa_runtime.sources.video.timing import Timing, length_of_all_s

__all__ = ["announced_pictures", "choose_stream", "decode_stream"]

TEXT_ART = ("ansi", "bintext", "idf", "xbin")  # FFmpeg would draw any text file as a terminal
MAX_THREADS = 4  # each frame thread holds pictures of its own, and the model wants cores too
LOST_SHARE = 0.1  # a file that gives this much less than it announces was cut off
ALLOWED_S = 0.1  # of a very short one


def choose_stream(container: InputContainer, name: str) -> VideoStream:
    """The video stream to show: FFmpeg's pick by disposition, size and bit rate; cover pictures do not count.

    Raises:
        SourceError: there is no video stream with a known decoder.
    """
    best = container.streams.best("video")
    if not isinstance(best, VideoStream) or Disposition.attached_pic in best.disposition:
        raise SourceError(f"{name} holds no video stream")
    decoder = getattr(best, "codec_context", None)  # None where FFmpeg knows none, whatever the stub says
    if decoder is None:
        raise SourceError(f"{name} holds video that this FFmpeg cannot decode")
    if decoder.name in TEXT_ART:
        raise SourceError(f"{name} is a text file, not a video")
    check_size(best.width, best.height, name)
    decoder.options = dict(DECODER_LIMITS)
    return best


def announced_pictures(container: InputContainer, name: str) -> Announced | None:
    """How many pictures the header claims, at what rate; None where it does not say."""
    stream = choose_stream(container, name)
    rate = float(stream.average_rate or stream.guessed_rate or 0)
    length_s = (container.duration or 0) / av.time_base
    frames = stream.frames or round(length_s * rate)
    return Announced(frames=frames, step_s=1 / rate) if rate > 0 and frames > 0 else None


def decode_stream(
    container: InputContainer,
    name: str,
    hints: Hints,
    clock: StreamClock,
    *,
    stretch: bool = False,
    ring: PacketRing | None = None,
    decoding: Decoding = SOFTWARE,
) -> Iterator[Item]:
    """Decode one pass over a container, converting only the frames that the hints ask for.

    Args:
        container: At its beginning.
        name: For messages.
        hints: What the consumer needs.
        clock: One for all passes.
        stretch: Spread the values of grey pictures of more than 8 bits.
        ring: Gets the packets on their way.
        decoding: How the container was opened.

    Raises:
        SourceError: no frame at all could be decoded, or not by the device that was named.
    """
    stream = choose_stream(container, name)
    stream.thread_type = "AUTO"
    stream.codec_context.thread_count = min(MAX_THREADS, os.cpu_count() or 1)
    damage = _Damage(container)
    tap = None if ring is None else PacketTap(ring, stream)
    frames = _frames(container, stream, damage, tap)
    if (first := next(frames, None)) is None:
        raise SourceError(f"no frame of {name} could be decoded: {damage.reason or 'it is empty'}")
    if reason := decoding.left_to_processor(stream):
        yield SourceStatus(kind="warning", message=f"{name} is decoded on the processor ({reason})")
    timing = Timing.of(container, stream, first)
    converter = Converter(stream, stretch=stretch)
    stamped = timing.stamped(chain([first], frames), converter)
    held: Shown[Picture] | None = None
    count = 0
    for shown in clock.follow(
        stamped, start_s=timing.start_s, step_s=timing.step_s, length_s=timing.announced_s
    ):
        count += 1
        if tap is not None:
            tap.shown(shown.time_s)
        if count == 1 and converter.note:
            yield SourceStatus(kind="warning", message=f"{name} holds {converter.note}")
        if count == 2 and timing.guessed:
            message = (
                f"{name} holds no times and no rate: times are guessed at {DEFAULT_RATE:g} pictures a second"
            )
            yield SourceStatus(kind="warning", message=message)
        if held is not None and _wanted(held, hints, clock.first_s):
            yield _converted(held, hints)
        held = shown
    if held is not None and (hints.wanted is None or _wanted(held, hints, clock.first_s)):
        # without `wanted`, the last one always: it tells where the stream ends
        yield _converted(held, hints)
    if message := damage.summary(count, clock.pass_s, timing):
        yield SourceStatus(kind="warning", message=f"{name}: {message}")


class _Damage:
    """What went wrong on the way.

    Attributes:
        packets: How many could not be decoded.
        reason: The last thing that went wrong.
        broke_off: Reading stopped before the end.
        reached_s: The latest stamp of any track that was read.
        whole_s: See `length_of_all_s`.
    """

    def __init__(self, container: InputContainer) -> None:
        self.whole_s = length_of_all_s(container)
        self.reached_s = 0.0
        self.packets = 0
        self.reason = ""
        self.broke_off = False

    def summary(self, frames: int, seconds: float, timing: Timing) -> str:
        """One sentence, empty when all is well.

        Args:
            frames: Decoded.
            seconds: Their time on show.
            timing: What the file says about it.
        """
        if self.broke_off:
            return f"reading stopped after {seconds:.1f} s ({frames} frames): {self.reason}"
        if self.packets:
            return f"{self.packets} damaged packets were skipped, {frames} frames decoded: {self.reason}"
        told_s, given_s = self.whole_s, self.reached_s
        if timing.announced_s is not None:  # a stray stamp counts in both lengths
            told_s, given_s = timing.announced_s, max(seconds, self.reached_s - (timing.start_s or 0.0))
        if given_s < told_s * (1 - LOST_SHARE) - ALLOWED_S:
            return f"only {given_s:.1f} of {told_s:.1f} announced seconds are there; the file seems cut off"
        return ""


def _frames(
    container: InputContainer, stream: VideoStream, damage: _Damage, tap: PacketTap | None
) -> Iterator[av.VideoFrame]:
    packets = _packets(container, stream, damage)
    decoded = _decoded(packets if tap is None else tap.packets(packets), stream, damage)
    return decoded if tap is None else tap.frames(decoded)


def _decoded(
    packets: Iterator[av.Packet[Any]], stream: VideoStream, damage: _Damage
) -> Iterator[av.VideoFrame]:
    for packet in chain(packets, [None]):
        try:
            yield from decode_packet(stream, packet)
        except av.EOFError:
            return
        except (av.FFmpegError, ValueError) as error:
            damage.packets, damage.reason = damage.packets + 1, _refused(error)


def _packets(container: InputContainer, stream: VideoStream, damage: _Damage) -> Iterator[av.Packet[Any]]:
    """Packets of the stream. A last one that is cut off is left out: decoding threads would give its error when
    they are emptied, and PyAV then loses the whole pictures that still wait in them."""
    tracks: list[Any] = list(container.streams) if damage.whole_s else [stream]
    packets = read_packets(container, *tracks)
    ahead: av.Packet[Any] | None = None
    while True:
        try:
            packet = next(packets, None)
        except (av.FFmpegError, OSError) as error:
            damage.broke_off, damage.reason = True, plain_reason(error)
            break
        if packet is None:
            break
        if packet.pts is not None and packet.time_base is not None:
            damage.reached_s = max(damage.reached_s, float(packet.pts * packet.time_base))
        if packet.stream_index != stream.index:
            continue
        if ahead is not None:
            yield ahead
        ahead = packet
    if ahead is not None and ahead.is_corrupt:
        damage.packets, damage.reason = damage.packets + 1, "the last one is cut off"
    elif ahead is not None:
        yield ahead


def _wanted(shown: Shown[Picture], hints: Hints, first_s: float) -> bool:
    if hints.wanted is not None:
        return hints.wanted(shown.index, shown.time_s, shown.duration_s)
    if (interval_s := hints.min_interval_s) is None:
        return True
    begin_s, end_s = shown.time_s - first_s, shown.end_s - first_s
    return due_index(begin_s, interval_s) < due_index(end_s, interval_s)


def _converted(shown: Shown[Picture], hints: Hints) -> Frame:
    image = shown.picture(hints.short_side)
    return Frame(image=image, time_s=shown.time_s, index=shown.index, duration_s=shown.duration_s)


def _refused(error: Exception) -> str:
    """Why a decoder took no packet."""
    if isinstance(error, av.ArgumentError | av.PermissionError):  # what FFmpeg's limits give, by version
        return f"a frame is broken or has more than {MAX_PIXELS:,} pixels"
    return plain_reason(error)
