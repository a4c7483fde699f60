"""The watched video with the current words on a banner, as an H.264 MP4."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

from vljepa_runtime.errors import InputError
from vljepa_runtime.events import Event
from vljepa_runtime.files.atomic import OutputFile
from vljepa_runtime.sinks.mp4_file import Mp4File
from vljepa_runtime.sinks.protocol import Sink
from vljepa_runtime.sources.protocol import Frame

__all__ = ["VideoSink", "draw_banner", "wrap_text"]

UInt8 = npt.NDArray[np.uint8]

MAX_LINES = 3
SHOWN = ("segment", "answer", "alert")
FONT = cv2.FONT_HERSHEY_SIMPLEX


class VideoSink(Sink):
    """Draws the newest text on every frame; see `Sink`.

    Frames and events may come in any interleaving; a frame shows what was known when it came, as on a live
    screen. The first frame sets the size, later ones of another size are fitted into it. Without any frame
    no file is written.

    Args:
        path: The `.mp4` file; it appears with the first frame and plays at any moment from then on (`Mp4File`).
        overwrite: Replace an existing file.
        crf: x264's quality, 0 (best) to 51.

    Raises:
        InputError: the file exists, its place cannot be written, or this PyAV has no x264.

    Examples:
        >>> from vljepa_runtime import Event, open_source
        >>> from vljepa_runtime.sinks import VideoSink
        >>> with open_source("clip.mp4") as source, VideoSink("told.mp4") as sink:
        ...     sink.write(Event(stream="clip.mp4", kind="segment", text="a white box bounces"))
        ...     for frame in source:
        ...         sink.write_frame(frame)
        >>> with open_source("told.mp4") as source:
        ...     sum(1 for frame in source)
        48
    """

    def __init__(self, path: str | Path, *, overwrite: bool = False, crf: int = 23) -> None:
        if not 0 <= crf <= 51:
            raise InputError(f"crf must be 0 to 51, got {crf}")
        if "libx264" not in av.codecs_available:
            raise InputError("this PyAV was built without libx264: pip install av")
        self._file = OutputFile(path, overwrite=overwrite)
        self._crf = crf
        self._video: Mp4File | None = None
        self._texts: dict[str | None, str] = {}

    @property
    def takes_frames(self) -> bool:
        """See `Sink.takes_frames`."""
        return True

    def write(self, event: Event) -> None:
        """Show this event's text from the next frame on; one line of text per query."""
        if event.kind in SHOWN and (event.shown or event.kind == "answer"):  # an answer may be "none"
            self._texts[event.query] = event.shown

    def write_frame(self, frame: Frame) -> None:
        """Draw and encode one frame at its time.

        Raises:
            OutputError: the disk is full; the file plays until there.
        """
        if self._file.fileno() < 0:
            raise InputError("this video sink is closed")
        if self._video is None:
            size = frame.image.shape[:2]
            self._video = Mp4File(self._file, size, crf=self._crf, step_s=frame.duration_s)
        canvas = _fitted(frame.image, self._video.width, self._video.height)
        draw_banner(canvas, "\n".join(self._texts.values()))
        self._video.add(canvas, frame.time_s, frame.duration_s)

    def close(self) -> None:
        """Finish the file."""
        video, self._video = self._video, None
        try:
            if video is not None:
                video.close()
                self._file.close()
        finally:
            self._file.discard()


def draw_banner(image: UInt8, text: str) -> None:
    """Darken the lower edge of an image and write on it, in place.

    Args:
        image: (H, W, 3) uint8 RGB.
        text: Wrapped to the width; at most three lines. OpenCV's built-in font knows ASCII only, so accents
            are dropped and other characters become `?`.
    """
    height, width = image.shape[:2]
    scale = max(0.35, min(height, width) / 700)
    thickness = max(1, round(scale * 1.6))
    line_height = round(34 * scale) + 2
    margin = round(10 * scale) + 2
    room = max(1, (height - margin) // line_height)
    lines = wrap_text(text, width - 2 * margin, scale, thickness)[: min(MAX_LINES, room)]
    if not lines:
        return
    top = max(0, height - line_height * len(lines) - margin)
    image[top:] = image[top:] // 3
    for number, line in enumerate(lines):
        base = (margin, top + line_height * (number + 1) - round(8 * scale))
        cv2.putText(image, line, base, FONT, scale, (255, 255, 255), thickness, cv2.LINE_AA)


def wrap_text(text: str, width: int, scale: float, thickness: int) -> list[str]:
    """Break text into lines that OpenCV's font draws within `width` pixels; overlong words are cut.

    More than three lines end in `...` on the third.
    """
    lines: list[str] = []
    for paragraph in _ascii(text).split("\n"):
        line = ""
        for word in paragraph.split():
            longer = f"{line} {word}".strip()
            if line and not _fits(longer, width, scale, thickness):
                lines.append(line)
                longer = word
            while len(longer) > 1 and not _fits(longer, width, scale, thickness):
                cut = len(longer) - 1
                while cut > 1 and not _fits(longer[:cut], width, scale, thickness):
                    cut -= 1
                lines.append(longer[:cut])
                longer = longer[cut:]
            line = longer
        if line:
            lines.append(line)
    if len(lines) <= MAX_LINES:
        return lines
    last = lines[MAX_LINES - 1]
    while last and not _fits(last + "...", width, scale, thickness):
        last = last[:-1]
    return [*lines[: MAX_LINES - 1], last + "..."]


def _fits(text: str, width: int, scale: float, thickness: int) -> bool:
    return bool(cv2.getTextSize(text, FONT, scale, thickness)[0][0] <= width)


def _ascii(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text)
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    return "".join(c if c == "\n" or " " <= c <= "~" else "?" for c in plain.replace("\t", " "))


def _fitted(image: UInt8, width: int, height: int) -> UInt8:
    """A writable copy of exactly this size; other sizes are scaled into it with black bars."""
    canvas = np.zeros((height, width, 3), np.uint8)
    rows, columns = image.shape[:2]
    if rows - height in (0, 1) and columns - width in (0, 1):  # the odd last row or column
        canvas[:] = image[:height, :width]
        return canvas
    scale = min(width / columns, height / rows)
    size = max(1, min(width, round(columns * scale))), max(1, min(height, round(rows * scale)))
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    canvas[top : top + size[1], left : left + size[0]] = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return canvas
