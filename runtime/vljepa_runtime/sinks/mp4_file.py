"""Pictures at their times become an H.264 MP4 that plays at any moment while it grows. Draws nothing."""

from __future__ import annotations

import math
import os
from fractions import Fraction

import av
import numpy as np
import numpy.typing as npt
from av.container import OutputContainer
from av.video.stream import VideoStream

from vljepa_runtime.errors import InputError, OutputError
from vljepa_runtime.files.atomic import OutputFile
from vljepa_runtime.sources.pictures.pixels import one_thread

__all__ = ["Mp4File"]

UInt8 = npt.NDArray[np.uint8]

BT709, LIMITED = 1, 1  # FFmpeg's numbers of the colour matrix and range
TIME_BASE = Fraction(1, 90_000)
FRAME_S = 1 / 30  # what a picture lasts when nothing says how long
LAST_S = (
    10.0  # at most this for a last picture of unknown length, which else lasts as long as the one before it
)
FRAGMENT_S = 1.0  # what a kill may cost, beside the last picture
KEYFRAME_S = 5.0  # players can only jump to these
LEAD_S = 0.5  # before a later first picture the file is black; a shorter wait shows that picture at once
BACK_S = 1.0  # times that go back further are a new clock; less is jitter
HOLD_S = (
    6 * 3600.0
)  # a held picture is repeated after so long: one sample of an MP4 lasts at most 2**31 / 90000 s
LONGEST_HOLE_S = 366 * 86_400.0  # a longer one is a new clock too
SHORTEST, LONGEST = (
    64,
    3840,
)  # pixels of a side: below, x264's and players' edge; above, many decoders give up
MUXER = {
    "movflags": "+empty_moov+default_base_moof",  # fragments: each is complete without what follows
    "frag_duration": str(round(FRAGMENT_S * 1e6)),
    "flush_packets": "1",
}
ENCODER = {"preset": "veryfast", "forced-idr": "1", "bf": "0"}  # without B-frames, which fragments show late
AT_ONCE = {"tune": "zerolatency"}  # a picture is out before the next comes, for 1.2 to 2 times the bytes
STEADY_S = 0.1  # pictures that follow each other as fast may wait for a dozen others


class Mp4File:
    """An MP4 that is being written. Its times are the stream's, from 0: what begins late begins in black, over a
    hole the last picture is held.

    Attributes:
        width: Of the coded picture, even.
        height: Of the coded picture, even.

    Args:
        file: Where to; appears under its name at once.
        size: Height and width of the first picture. Very small ones get a border, larger ones than 4K are shrunk.
        crf: x264's quality, 0 (best) to 51.
        step_s: From one picture to the next, where that is known; live or slow ones are encoded without delay.
    """

    def __init__(
        self, file: OutputFile, size: tuple[int, int], *, crf: int, step_s: float | None = None
    ) -> None:
        self.height, self.width = _coded_size(*size)
        self._file = file
        self._tape = _Pipe(file) if file.in_place else _SeekableFile(file)
        self._container: OutputContainer = av.open(self._tape, "w", format="mp4", options=MUXER)
        delay = {} if step_s is not None and 0 < step_s <= STEADY_S else AT_ONCE
        self._stream: VideoStream = self._container.add_stream(
            "libx264", rate=30, options=ENCODER | delay | {"crf": str(crf)}
        )
        self._stream.width, self._stream.height = self.width, self.height
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.colorspace = BT709  # untagged, players go by its size
        self._stream.codec_context.color_range = LIMITED
        self._stream.codec_context.time_base = TIME_BASE
        self._picture: av.VideoFrame | None = None
        self._shift_s = self._now_s = 0.0
        self._durations: dict[int | None, int] = {}  # of pictures in the encoder, by their times
        self._pts, self._key_pts = -1, -(2**62)

    def add(self, image: UInt8, time_s: float, duration_s: float | None = None) -> None:
        """Append a picture.

        Args:
            image: (height, width, 3) uint8 RGB.
            time_s: When it comes on show, in seconds of the stream.
            duration_s: For how long, should it be the last; None takes the time of the one before it.

        Raises:
            OutputError: the disk is full; the file keeps the fragments that it has.
        """
        if not math.isfinite(time_s):
            raise InputError(f"expected a picture with a finite time, got {time_s}")
        picture = _coded(image)
        if self._picture is None:
            time_s = self._begin(time_s)
        self._go_to(time_s)
        self._encode(picture, duration_s)

    def close(self) -> None:
        """Write what is left; the file itself stays open."""
        self._mux(None)
        try:
            self._container.close()
        except (av.FFmpegError, OSError) as error:
            raise self._failure(error) from error

    def _begin(self, time_s: float) -> float:
        """Show black until a stream that begins late; gives the time of its first picture."""
        self._file.publish()
        if not LEAD_S < time_s <= LONGEST_HOLE_S:
            self._shift_s = 0.0 if 0 <= time_s <= LEAD_S else time_s
            return self._shift_s
        black = np.zeros((self.height, self.width, 3), np.uint8)
        self._encode(_coded(black))
        return time_s

    def _go_to(self, time_s: float) -> None:
        """Set the clock to a time of the stream, over holes and jumps."""
        step_s = time_s - self._shift_s - self._now_s
        if self._picture is not None and not -BACK_S <= step_s <= LONGEST_HOLE_S:
            self._shift_s, step_s = time_s - self._now_s - FRAME_S, FRAME_S
        end_s = self._now_s + max(0.0, step_s)
        while end_s - self._now_s > HOLD_S and self._picture is not None:
            self._now_s += HOLD_S
            self._encode(self._picture)
        self._now_s = end_s

    def _encode(self, picture: av.VideoFrame, duration_s: float | None = None) -> None:
        """Encode a picture for now."""
        before, self._pts = self._pts, max(self._pts + 1, round(self._now_s / TIME_BASE))
        if duration_s is None:
            duration_s = min(LAST_S, float((self._pts - before) * TIME_BASE)) if before >= 0 else FRAME_S
        self._durations[self._pts] = max(1, round(min(duration_s, HOLD_S) / TIME_BASE))
        is_key = (self._pts - self._key_pts) * TIME_BASE >= KEYFRAME_S
        if is_key:
            self._key_pts = self._pts
        picture.pict_type = av.video.frame.PictureType.I if is_key else av.video.frame.PictureType.NONE
        picture.pts, picture.time_base = self._pts, TIME_BASE
        self._picture = picture
        self._mux(picture)

    def _mux(self, picture: av.VideoFrame | None) -> None:
        """Encode a picture, or with None what the encoder still holds, and write what comes out."""
        try:
            for packet in self._stream.encode(picture):
                # Counts for the last picture alone; for others the next one's time does.
                packet.duration = self._durations.pop(packet.pts, 1)
                self._container.mux(packet)
        except (av.FFmpegError, OSError) as error:
            raise self._failure(error) from error
        self._tape.mark()

    def _failure(self, error: Exception) -> OutputError:
        self._tape.cut()
        if isinstance(error, OutputError):
            return error
        return OutputError(f"cannot write {self._file.path}: {error}")


class _Pipe:
    """What FFmpeg writes to: an output in which there is no going back."""

    def __init__(self, file: OutputFile) -> None:
        self._file = file
        self._broken: OutputError | None = None

    def write(self, data: bytes) -> int:
        """Write through; after a failure nothing more, or the file would have a gap."""
        if self._broken is not None:
            raise self._broken
        try:
            return self._file.write(data)
        except OutputError as error:
            self._broken = error
            raise

    def mark(self) -> None:
        """All that is written until now is complete."""

    def cut(self) -> None:
        """Take back what was written since the mark, and write nothing more."""
        self._broken = self._broken or OutputError(f"cannot write {self._file.path}: it failed before")


class _SeekableFile(_Pipe):
    """The same for a file."""

    def __init__(self, file: OutputFile) -> None:
        super().__init__(file)
        self._whole = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As of any file."""
        return os.lseek(self._file.fileno(), offset, whence)

    def tell(self) -> int:
        """As of any file."""
        return os.lseek(self._file.fileno(), 0, os.SEEK_CUR)

    def mark(self) -> None:
        self._whole = os.fstat(self._file.fileno()).st_size

    def cut(self) -> None:
        super().cut()
        os.ftruncate(self._file.fileno(), self._whole)


def _coded(image: UInt8) -> av.VideoFrame:
    picture = av.VideoFrame.from_ndarray(image, format="rgb24")
    return picture.reformat(format="yuv420p", dst_colorspace=BT709, dst_color_range=LIMITED, **one_thread())


def _coded_size(rows: int, columns: int) -> tuple[int, int]:
    """Even height and width for a picture; see `Mp4File`."""
    scale = min(1.0, LONGEST / max(rows, columns))
    height, width = (max(SHORTEST, round(side * scale) // 2 * 2) for side in (rows, columns))
    return height, width
