"""Frames of a local file in order, none lost, with times from their presentation timestamps.

A still picture is a file of one frame. Damage in the middle costs the damaged frames and a warning.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from vljepa_runtime.errors import SourceError
from vljepa_runtime.sources.pictures import IMAGE_SUFFIXES, Converter, check_size, read_image
from vljepa_runtime.sources.protocol import Frame, Hints, SourceStatus, due_index, redact
from vljepa_runtime.sources.read_ahead import read_ahead

__all__ = ["FileSource", "StreamClock", "choose_stream", "decode_stream"]

DEFAULT_RATE = 25.0
TEXT_ART = ("ansi", "bintext", "idf", "xbin")  # FFmpeg would draw any text file as a terminal
MAX_THREADS = 4  # each frame thread holds pictures of its own, and the model wants cores too
LOST_SHARE = 0.1  # a file that gives this much less than it announces was cut off


class FileSource:
    """A video or picture file; see `Source`.

    Args:
        path: The file.
        loop: Start again at the end, with times that go on rising.
        hints: What the consumer needs.

    Raises:
        SourceError: the file is missing or holds no video that can be decoded.
    """

    live = False

    def __init__(self, path: str | Path, *, loop: bool = False, hints: Hints | None = None) -> None:
        self.path = Path(path)
        self.name = str(path)
        self.loop = loop
        self.hints = hints or Hints()
        self._container: InputContainer | None = None
        if not self.path.exists():
            raise SourceError(f"no such file: {self.path}; give a file, a folder, a URL or a camera number")
        if not self.path.is_file():
            raise SourceError(f"{self.path} is neither a regular file nor a folder of pictures")
        if self.path.suffix.lower() not in IMAGE_SUFFIXES:
            self._container = self._open()

    def __iter__(self) -> Iterator[Frame | SourceStatus]:
        """Give every frame, or only those the hints ask for."""
        if self.path.suffix.lower() in IMAGE_SUFFIXES:
            return self._still()
        return read_ahead(self._looped())

    def _still(self) -> Iterator[Frame | SourceStatus]:
        image = read_image(self.path, self.hints.short_side)
        index = 0
        while index == 0 or self.loop:
            yield Frame(image=image, time_s=index / DEFAULT_RATE, index=index)
            index += 1

    def _looped(self) -> Iterator[Frame | SourceStatus]:
        clock = StreamClock()
        while True:
            container, self._container = self._container or self._open(), None
            with container:
                yield from decode_stream(container, self.name, self.hints, clock)
            if not self.loop:
                return
            clock.restart()

    def _open(self) -> InputContainer:
        # Playlists and scripts may name other files; a local video has no business on the network.
        options = {"protocol_whitelist": "file,crypto,data"}
        try:
            container = av.open(f"file:{self.path}", container_options=options)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise SourceError(f"cannot read {self.path} as video: {_reason(error)}") from error
        try:
            choose_stream(container, self.name)
        except SourceError:
            container.close()
            raise
        return container

    def close(self) -> None:
        """Free the file; a running iteration ends at its next step by itself."""
        self.loop = False
        if self._container is not None:
            self._container.close()
            self._container = None

    def __enter__(self) -> FileSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class StreamClock:
    """Turns timestamps into seconds that start at 0, never go back and fill in for missing ones."""

    def __init__(self) -> None:
        self.index = -1
        self.time_s = 0.0
        self.step_s = 1 / DEFAULT_RATE
        self._offset: float | None = None

    def tick(self, stamp_s: float | None) -> float:
        """Time of the next frame.

        Args:
            stamp_s: Its presentation time in the container's own count, None when it has none.
        """
        self.index += 1
        if self.index == 0:
            self._offset = stamp_s
            return self.time_s
        expected = self.time_s + self.step_s
        if stamp_s is None:
            self.time_s = expected
            return expected
        if self._offset is None or stamp_s - self._offset <= self.time_s:
            self._offset = stamp_s - expected  # the count starts late, or began anew: go on from here
        self.time_s = stamp_s - self._offset
        return self.time_s

    def restart(self) -> None:
        """The next frame begins the stream again and comes one step after the last."""
        self._offset = None


def choose_stream(container: InputContainer, name: str) -> VideoStream:
    """The video stream to show: FFmpeg's pick by disposition, size and bit rate; cover pictures do not count.

    Raises:
        SourceError: there is no video stream with a known decoder.
    """
    best = container.streams.best("video")
    if not isinstance(best, VideoStream) or Disposition.attached_pic in best.disposition:
        raise SourceError(f"{name} holds no video stream")
    decoder = getattr(
        best, "codec_context", None
    )  # None where FFmpeg knows no decoder, whatever the stub says
    if decoder is None:
        raise SourceError(f"{name} holds video that this FFmpeg cannot decode")
    if decoder.name in TEXT_ART:
        raise SourceError(f"{name} is a text file, not a video")
    check_size(best.width, best.height, name)
    return best


def decode_stream(
    container: InputContainer, name: str, hints: Hints, clock: StreamClock
) -> Iterator[Frame | SourceStatus]:
    """Decode one pass over a container, converting only the frames that the hints ask for.

    With `min_interval_s` a frame waits unconverted until the next one shows whether it is the last before a
    sampling instant.

    Raises:
        SourceError: no frame at all could be decoded.
    """
    stream = choose_stream(container, name)
    stream.thread_type = "AUTO"
    stream.codec_context.thread_count = min(MAX_THREADS, os.cpu_count() or 1)
    rate = stream.average_rate or stream.guessed_rate
    clock.step_s = 1 / float(rate) if rate else 1 / DEFAULT_RATE
    damage = _Damage()
    count = 0
    start_s = clock.time_s
    converter = Converter()
    waiting: tuple[av.VideoFrame, float, int] | None = None
    for frame in _frames(container, stream, damage):
        count += 1
        time_s = clock.tick(frame.time)
        if waiting is not None and _wanted(waiting[1], time_s, hints.min_interval_s):
            yield _converted(waiting, converter, hints)
        waiting = frame, time_s, clock.index
    if waiting is None:
        raise SourceError(f"no frame of {name} could be decoded: {damage.reason or 'it is empty'}")
    yield _converted(waiting, converter, hints)
    if message := damage.summary(stream, count, clock.time_s - start_s):
        yield SourceStatus(kind="warning", message=redact(f"{name}: {message}"))


class _Damage:
    """What went wrong on the way."""

    def __init__(self) -> None:
        self.packets = 0
        self.reason = ""
        self.broke_off = False

    def summary(self, stream: VideoStream, frames: int, seconds: float) -> str:
        """One sentence, empty when all is well."""
        if self.broke_off:
            return f"reading stopped after {seconds:.1f} s ({frames} frames): {self.reason}"
        if self.packets:
            return f"{self.packets} damaged packets were skipped, {frames} frames decoded: {self.reason}"
        if stream.frames and frames < stream.frames * (1 - LOST_SHARE) - 1:
            return f"only {frames} of {stream.frames} announced frames decoded; the file seems cut off"
        return ""


def _frames(container: InputContainer, stream: VideoStream, damage: _Damage) -> Iterator[av.VideoFrame]:
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except (av.FFmpegError, OSError) as error:
            damage.broke_off, damage.reason = True, _reason(error)
            packet = None
        try:
            yield from stream.decode(packet)
        except av.EOFError:
            return
        except (av.FFmpegError, ValueError) as error:
            damage.packets, damage.reason = damage.packets + 1, _reason(error)
        if packet is None:
            return


def _wanted(begin_s: float, end_s: float, interval_s: float | None) -> bool:
    return interval_s is None or due_index(begin_s, interval_s) < due_index(end_s, interval_s)


def _converted(item: tuple[av.VideoFrame, float, int], converter: Converter, hints: Hints) -> Frame:
    frame, time_s, index = item
    return Frame(image=converter.to_rgb(frame, hints.short_side), time_s=time_s, index=index)


def _reason(error: Exception) -> str:
    """FFmpeg's own words without the file name, which PyAV appends."""
    text = getattr(error, "strerror", None) or str(error)
    return str(text)[:1].lower() + str(text)[1:]
