"""A stream as one picture: what it showed, what was true, what was said, and when words were written.

Draws with OpenCV alone, so that the light install can; knows nothing about models or metrics.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from vljepa_apps.demo.lettering import Colour, text_width, wrapped, write
from vljepa_runtime.errors import InputError
from vljepa_runtime.files.atomic import replace_file

__all__ = ["Bar", "Mark", "Thumbnails", "Timeline", "draw_timeline", "save_png"]

UInt8 = npt.NDArray[np.uint8]

WIDTH = 1600
MARGIN = 28
GUTTER = 92  # names of the tracks, left of them
TRACK = 56
THUMB = 72
MAX_ROWS = 6
SPANS_S = (30, 60, 120, 300, 600, 1200, 3600, 7200, 4 * 3600, 12 * 3600, 48 * 3600)

INK: Colour = (34, 34, 34)
SOFT: Colour = (102, 119, 119)
FAINT: Colour = (187, 187, 187)
GREY_FILL: Colour = (238, 238, 238)
GREY_EDGE: Colour = (136, 136, 153)


class Mark(str, Enum):
    """How well a decoded text agrees with the truth; `NONE` where there is no truth."""

    EXACT = "exactly"
    PARTLY = "partly"
    MISSED = "no"
    NONE = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Colours of a bar (RGB)."""

    fill: Colour
    edge: Colour


LOOKS = {
    Mark.EXACT: Look(fill=(221, 238, 221), edge=(34, 136, 68)),
    Mark.PARTLY: Look(fill=(255, 238, 204), edge=(204, 136, 0)),
    Mark.MISSED: Look(fill=(255, 221, 221), edge=(204, 51, 34)),
    Mark.NONE: Look(fill=(221, 238, 255), edge=(51, 102, 187)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A text that holds from `start_s` to `end_s`."""

    start_s: float
    end_s: float
    text: str
    mark: Mark = Mark.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Everything that is drawn.

    Attributes:
        title: The first line.
        notes: Lines below it.
        seconds: Length of the stream.
        truth: What really happened; empty when unknown.
        decoded: What was said, with marks.
        decodings_s: When the Y-decoder ran.
        windows_s: When a window was complete: what decoding each of them would cost.
        picture: Gives the small picture nearest to a time, None without one.
    """

    title: str
    notes: Sequence[str] = ()
    seconds: float
    truth: Sequence[Bar] = ()
    decoded: Sequence[Bar] = ()
    decodings_s: Sequence[float] = ()
    windows_s: Sequence[float] = ()
    picture: Callable[[float], UInt8 | None] = field(default=lambda time_s: None)


class Thumbnails:
    """Small pictures of a stream at regular times, in bounded memory: when full, every second one goes."""

    def __init__(self, *, interval_s: float = 0.5, limit: int = 720) -> None:
        self._interval_s = interval_s
        self._limit = limit
        self._kept: list[tuple[float, UInt8]] = []

    def offer(self, image: UInt8, time_s: float) -> None:
        """Keep a frame (H, W, 3) uint8 RGB if it is time for one."""
        if self._kept and time_s < self._kept[-1][0] + self._interval_s:
            return
        self._kept.append((time_s, _thumb(image)))
        if len(self._kept) > self._limit:
            self._kept, self._interval_s = self._kept[::2], self._interval_s * 2

    def nearest(self, time_s: float) -> UInt8 | None:
        """The picture (THUMB, w, 3) closest to a time."""
        return min(self._kept, key=lambda kept: abs(kept[0] - time_s))[1] if self._kept else None


def draw_timeline(timeline: Timeline) -> UInt8:
    """Draw a timeline.

    Returns:
        (H, WIDTH, 3) uint8 RGB; H grows with the number of rows, at most MAX_ROWS of them.
    """
    rows, span = _rows(timeline.seconds)
    head = 70 + 22 * len(timeline.notes)
    height = _Row.height(timeline)
    image = np.full((head + rows * height + 12, WIDTH, 3), 255, np.uint8)
    _draw_head(image, timeline)
    drawn = []
    for number in range(rows):
        start = number * span
        end = min(start + span, timeline.seconds)
        drawn.append(_Row(image, timeline, head + number * height, start, end, span))
        drawn[-1].draw()
    # 16 levels per channel are enough for flat colours and smooth letters, and halve the file.
    image[:] = (image.astype(np.uint16) + 8) // 17 * 17
    for row in drawn:
        row.draw_pictures()
    return image


def save_png(image: UInt8, path: Path) -> None:
    """Write an image (H, W, 3) uint8 RGB; the file appears when it is complete."""
    options = [cv2.IMWRITE_PNG_COMPRESSION, 9]
    if hasattr(cv2, "IMWRITE_PNG_FILTER"):  # unfiltered rows suit flat colours: 10 % smaller
        options += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE]
    done, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    if not done:
        raise InputError(f"OpenCV could not write {path}")
    replace_file(path, data.tobytes())


def _rows(seconds: float) -> tuple[int, float]:
    """How many rows, and how many seconds each holds."""
    if seconds <= 1.2 * SPANS_S[0]:
        return 1, max(seconds, 1.0)
    span = next((s for s in SPANS_S if seconds <= s * MAX_ROWS), seconds / MAX_ROWS)
    rows = int(np.ceil(seconds / span - 1e-3))
    step = 5 if span <= 60 else span / 12
    return rows, float(min(span, np.ceil(seconds / rows / step) * step))


def _draw_head(image: UInt8, timeline: Timeline) -> None:
    write(image, timeline.title, MARGIN, 40, size=24, colour=INK, bold=True)
    for number, note in enumerate(timeline.notes):
        write(image, note, MARGIN, 66 + 22 * number, size=16, colour=SOFT)
    entries = [(Mark.MISSED, "wrong"), (Mark.PARTLY, "partly"), (Mark.EXACT, "exactly as the truth")]
    _legend(image, 39, [(partial(_chip, mark=mark), name) for mark, name in entries if timeline.truth])
    if timeline.decodings_s:
        _legend(image, 65, [(_window_sign, "a window that needed none"), (_decoding_sign, "a decoding")])


def _legend(
    image: UInt8, baseline: int, entries: Sequence[tuple[Callable[[UInt8, int, int], None], str]]
) -> None:
    """Signs with their names, set from the right edge leftwards."""
    x = WIDTH - MARGIN
    for sign, name in entries:
        x -= text_width(name, size=14)
        write(image, name, x, baseline, size=14, colour=INK)
        x -= 26
        sign(image, x + 9, baseline - 5)
        x -= 18


def _window_sign(image: UInt8, x: int, y: int) -> None:
    cv2.circle(image, (x, y), 2, FAINT, -1, cv2.LINE_AA)


def _decoding_sign(image: UInt8, x: int, y: int) -> None:
    cv2.rectangle(image, (x - 2, y - 8), (x + 1, y + 7), INK, -1)


def _chip(image: UInt8, x: int, y: int, mark: Mark) -> None:
    cv2.rectangle(image, (x - 9, y - 8), (x + 9, y + 8), LOOKS[mark].fill, -1)
    cv2.rectangle(image, (x - 9, y - 8), (x + 9, y + 8), LOOKS[mark].edge, 1)
    _glyph(image, x, y, mark)


def _glyph(image: UInt8, x: int, y: int, mark: Mark) -> None:
    """A sign besides the colour, for readers who do not see red and green apart."""
    strokes = {
        Mark.EXACT: [[(-4, 0), (-1, 3), (4, -4)]],
        Mark.PARTLY: [[(-4, 1), (-2, -1), (2, 1), (4, -1)]],
        Mark.MISSED: [[(-3, -3), (3, 3)], [(-3, 3), (3, -3)]],
        Mark.NONE: [],
    }[mark]
    lines = [np.array(line, np.int32) + (x, y) for line in strokes]
    cv2.polylines(image, lines, False, LOOKS[mark].edge, 2, cv2.LINE_AA)


@dataclass(slots=True)
class _Row:
    """One row: axis, pictures, truth, decoded, decodings; from top to bottom."""

    image: UInt8
    timeline: Timeline
    top: int
    start_s: float
    end_s: float
    span_s: float

    @staticmethod
    def height(timeline: Timeline) -> int:
        """Pixels of one row."""
        return 20 + THUMB + 6 + (TRACK + 5 if timeline.truth else 0) + TRACK + 5 + 16 + 24

    def x(self, time_s: float) -> float:
        """Column of a time."""
        left, right = MARGIN + GUTTER, WIDTH - MARGIN
        return left + (time_s - self.start_s) / self.span_s * (right - left)

    def draw(self) -> None:
        """Draw everything of this row."""
        y = self.top
        self._axis(y)
        y += 20 + THUMB + 6
        if self.timeline.truth:
            self._label("truth", y + TRACK / 2 + 5)
            self._track(self.timeline.truth, y, Look(fill=GREY_FILL, edge=GREY_EDGE))
            y += TRACK + 5
        self._label("decoded", y + TRACK / 2 + 5)
        self._track(self.timeline.decoded, y, None)
        self._decodings(y + TRACK + 5)

    def draw_pictures(self) -> None:
        """Put the small pictures in."""
        self._pictures(self.top + 20)

    def _label(self, text: str, baseline: float, *, size: int = 15) -> None:
        x = MARGIN + GUTTER - 12 - text_width(text, size=size)
        write(self.image, text, x, baseline, size=size, colour=SOFT)

    def _axis(self, y: int) -> None:
        step = next((s for s in (1, 5, 10, 30, 60, 300, 600, 3600) if self.span_s / s <= 16), 4 * 3600)
        for time_s in np.arange(np.ceil(self.start_s / step) * step, self.end_s + 1e-6, step):
            x = self.x(float(time_s))
            name = f"{int(time_s) // 60}:{int(time_s) % 60:02d}"
            right = min(x - text_width(name, size=13) / 2, WIDTH - MARGIN - text_width(name, size=13))
            write(self.image, name, max(right, MARGIN + GUTTER), y + 12, size=13, colour=SOFT)

    def _pictures(self, y: int) -> None:
        free = self.x(self.start_s)
        for time_s in self._picture_times():
            thumb = self.timeline.picture(time_s)
            if thumb is None:
                continue
            wide = thumb.shape[1]
            left = round(min(max(self.x(time_s) - wide / 2, self.x(self.start_s)), self.x(self.end_s) - wide))
            if left >= free - 1 and left + wide <= WIDTH - MARGIN:
                self.image[y : y + THUMB, left : left + wide] = thumb
                free = left + wide + 3

    def _picture_times(self) -> list[float]:
        """The middle of each true event, or of each segment: that is where something is to be seen."""
        bars = self.timeline.truth or self.timeline.decoded
        return [
            (bar.start_s + bar.end_s) / 2
            for bar in bars
            if self.start_s <= (bar.start_s + bar.end_s) / 2 < self.end_s
        ]

    def _track(self, bars: Sequence[Bar], y: int, look: Look | None) -> None:
        for bar in bars:
            if bar.end_s <= self.start_s or bar.start_s >= self.end_s:
                continue
            left = round(self.x(max(bar.start_s, self.start_s))) + 1
            right = round(self.x(min(bar.end_s, self.end_s))) - 1
            self._bar(bar, left, max(left + 2, right), y, look or LOOKS[bar.mark])

    def _bar(self, bar: Bar, left: int, right: int, y: int, look: Look) -> None:
        cv2.rectangle(self.image, (left, y), (right, y + TRACK - 1), look.fill, -1)
        cv2.rectangle(self.image, (left, y), (min(left + 3, right), y + TRACK - 1), look.edge, -1)
        room = right - left - 12
        if room < 36:
            return
        marked = look is LOOKS[bar.mark] and bar.mark is not Mark.NONE
        lines = wrapped(bar.text, room, size=14, lines=3, first=room - (14 if marked else 0))
        baseline = y + (TRACK - 17 * len(lines)) / 2 + 13
        for number, line in enumerate(lines):
            write(self.image, line, left + 9, baseline + 17 * number, size=14, colour=INK)
        if marked:
            _glyph(self.image, right - 9, y + 10, bar.mark)

    def _decodings(self, y: int) -> None:
        self._label("decodings", y + 13, size=13)
        middle = y + 8
        for time_s in self.timeline.windows_s:
            if self._holds(time_s):
                _window_sign(self.image, round(self.x(time_s)), middle)
        for time_s in self.timeline.decodings_s:
            if self._holds(time_s):
                _decoding_sign(self.image, round(self.x(time_s)), middle)

    def _holds(self, time_s: float) -> bool:
        last = self.end_s >= self.timeline.seconds
        return self.start_s <= time_s < self.end_s or (last and time_s >= self.end_s)


def _thumb(image: UInt8) -> UInt8:
    """Shrink to the strip's height; sensor noise goes and 32 levels stay, or the PNG would be mostly noise."""
    rows, columns = image.shape[:2]
    wide = int(np.clip(round(columns * THUMB / rows), 8, 2 * THUMB))
    small = cv2.resize(image, (wide, THUMB), interpolation=cv2.INTER_AREA)
    small = cv2.bilateralFilter(small, 5, 18, 3)
    return np.asarray(np.minimum(small.astype(np.uint16) + 4, 255) & 0xF8, np.uint8)
