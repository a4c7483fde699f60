"""One row of a timeline: so many seconds of the stream, from its axis down to its decodings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from vljepa_apps.demo.lettering import text_width, wrapped, write
from vljepa_apps.demo.timeline.content import Bar, Match, Timeline
from vljepa_apps.demo.timeline.signs import GREY, INK, LOOKS, SOFT, Look, decoding_sign, glyph, window_sign
from vljepa_apps.demo.timeline.thumbnails import THUMB

__all__ = ["GUTTER", "MARGIN", "WIDTH", "Row"]

UInt8 = npt.NDArray[np.uint8]

WIDTH = 1600
MARGIN = 28
GUTTER = 92  # names of the tracks, left of them
TRACK = 56


@dataclass(slots=True)
class Row:
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
            self._track(self.timeline.truth, y, GREY)
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
            self._bar(bar, left, max(left + 2, right), y, look or (GREY if bar.unknown else LOOKS[bar.match]))

    def _bar(self, bar: Bar, left: int, right: int, y: int, look: Look) -> None:
        cv2.rectangle(self.image, (left, y), (right, y + TRACK - 1), look.fill, -1)
        cv2.rectangle(self.image, (left, y), (min(left + 3, right), y + TRACK - 1), look.edge, -1)
        room = right - left - 12
        if room < 36:
            return
        marked = look is LOOKS[bar.match] and bar.match is not Match.NONE
        lines = wrapped(bar.text, room, size=14, lines=3, first=room - (14 if marked else 0))
        baseline = y + (TRACK - 17 * len(lines)) / 2 + 13
        for number, line in enumerate(lines):
            write(self.image, line, left + 9, baseline + 17 * number, size=14, colour=INK)
        if marked:
            glyph(self.image, right - 9, y + 10, bar.match)

    def _decodings(self, y: int) -> None:
        self._label("decodings", y + 13, size=13)
        middle = y + 8
        for time_s in self.timeline.windows_s:
            if self._holds(time_s):
                window_sign(self.image, round(self.x(time_s)), middle)
        for time_s in self.timeline.decodings_s:
            if self._holds(time_s):
                decoding_sign(self.image, round(self.x(time_s)), middle)

    def _holds(self, time_s: float) -> bool:
        last = self.end_s >= self.timeline.seconds
        return self.start_s <= time_s < self.end_s or (last and time_s >= self.end_s)
