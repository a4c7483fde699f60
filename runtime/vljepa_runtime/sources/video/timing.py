"""What a container says about the times of a stream: where it begins, its rate and length, which stamps to believe.

Knows how formats count; `clock.py` makes times of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from vljepa_runtime.sources.pictures.pixels import Converter, Picture
from vljepa_runtime.sources.protocol import DEFAULT_RATE
from vljepa_runtime.sources.video.clock import Stamped

__all__ = ["Timing", "length_of_all_s"]

MAX_RATE = 1000  # pictures a second; cameras write their clock of 90,000 into the place of the rate
LONGEST_STEP_S = 3600  # of a time lapse whose rate is believed
MPEG_COUNT_S = 2**33 / 90_000  # 33 bits; FFmpeg takes every step back for its end and adds 26 hours
NO_TIMESTAMPS = 0x80  # AVFMT_NOTIMESTAMPS
ONE_LENGTH = ("asf", "flv", "matroska")  # one length for all tracks in the header, counted from 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """What a container says about the times of a stream.

    Attributes:
        start_s: Where its count begins, over all tracks; None where it does not say.
        step_s: Time between pictures where their stamps do not tell.
        raw: It holds pictures alone: the stamps that FFmpeg gives are made up.
        of_decoding: It knows only when pictures are decoded; the stamps that FFmpeg makes of it are frames off.
        count_s: Where the container's count ends and begins anew; None where it does not.
        guessed: Neither stamps nor a rate that can be.
        announced_s: Length of the stream by the header of a file; None where it has none, or FFmpeg estimates it.
    """

    start_s: float | None
    step_s: float
    raw: bool
    of_decoding: bool
    count_s: float | None
    guessed: bool
    announced_s: float | None

    @classmethod
    def of(cls, container: InputContainer, stream: VideoStream, first: av.VideoFrame) -> Timing:
        """Look once the first frame is there, and with it the header inside the stream."""
        kind = container.format
        raw = bool(kind.flags & NO_TIMESTAMPS) or kind.name.endswith("_pipe")
        rates = [stream.codec_context.framerate] if raw else [stream.average_rate, stream.guessed_rate]
        rate = next((rate for rate in rates if rate and 1 / LONGEST_STEP_S <= rate <= MAX_RATE), None)
        start = getattr(container, "start_time", None)  # None where it does not say, whatever the stub says
        count_s = MPEG_COUNT_S if kind.name in ("mpeg", "mpegts") else None
        return cls(
            start_s=_counted_s(None if start is None else start / av.time_base, count_s),
            step_s=1 / float(rate or DEFAULT_RATE),
            raw=raw,
            of_decoding=kind.name == "avi",
            count_s=count_s,
            guessed=raw and not rate,
            announced_s=_announced_s(container, stream, first),
        )

    def stamped(self, frames: Iterable[av.VideoFrame], converter: Converter) -> Iterator[Stamped[Picture]]:
        """Frames as the clock takes them; raw ones by their number in the stream."""
        prepare = converter.prepare
        if self.raw:
            return (Stamped(prepare(frame), number * self.step_s) for number, frame in enumerate(frames))
        return (
            Stamped(prepare(frame), _counted_s(self._stamp_s(frame), self.count_s), _duration_s(frame))
            for frame in frames
        )

    def _stamp_s(self, frame: av.VideoFrame) -> float | None:
        if not self.of_decoding:
            return frame.time
        # that of the packet with which it came out of the decoder; the last ones come out after every packet
        return None if frame.dts is None else float(frame.dts * (frame.time_base or 0))


def _counted_s(stamp_s: float | None, count_s: float | None) -> float | None:
    return stamp_s if stamp_s is None or count_s is None else stamp_s % count_s


def _duration_s(frame: av.VideoFrame) -> float:
    return float(frame.duration * (frame.time_base or 0))


def _announced_s(container: InputContainer, stream: VideoStream, first: av.VideoFrame) -> float | None:
    kind = _kind(container)
    if kind in ONE_LENGTH and len(container.streams) == 1 and container.duration:
        return container.duration / av.time_base - (first.time or 0.0)
    if kind == "avi" and stream.frames and stream.average_rate:  # FFmpeg shortens what a cut file announces
        return float(stream.frames / stream.average_rate)
    if kind == "mov" and stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return None


def length_of_all_s(container: InputContainer) -> float:
    """Length of all tracks by the header, where it tells none of the video's own; 0 where it tells nothing."""
    several = _kind(container) in ONE_LENGTH and len(container.streams) > 1
    return (container.duration or 0) / av.time_base if several else 0.0


def _kind(container: InputContainer) -> str:
    return container.format.name.split(",")[0]
