"""A timeline drawn: its title and legend, and a row for so many seconds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from vljepa_apps.demo.lettering import text_width, write
from vljepa_apps.demo.timeline.content import Match, Timeline
from vljepa_apps.demo.timeline.row import MARGIN, WIDTH, Row
from vljepa_apps.demo.timeline.signs import INK, SOFT, decoding_sign, match_sign, window_sign
from vljepa_runtime.errors import InputError
from vljepa_runtime.files import replace_file

__all__ = ["MAX_ROWS", "draw_timeline", "save_png"]

UInt8 = npt.NDArray[np.uint8]

MAX_ROWS = 6
SPANS_S = (30, 60, 120, 300, 600, 1200, 3600, 7200, 4 * 3600, 12 * 3600, 48 * 3600)


def draw_timeline(timeline: Timeline) -> UInt8:
    """Draw a timeline.

    Returns:
        (H, WIDTH, 3) uint8 RGB; H grows with the number of rows, at most MAX_ROWS of them.
    """
    rows, span = _rows(timeline.seconds)
    head = 70 + 22 * len(timeline.notes)
    height = Row.height(timeline)
    image = np.full((head + rows * height + 12, WIDTH, 3), 255, np.uint8)
    _draw_head(image, timeline)
    drawn = []
    for number in range(rows):
        start = number * span
        end = min(start + span, timeline.seconds)
        drawn.append(Row(image, timeline, head + number * height, start, end, span))
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
    entries = [(Match.MISSED, "wrong"), (Match.PARTLY, "partly"), (Match.EXACT, "exactly as the truth")]
    _legend(
        image, 39, [(partial(match_sign, match=match), name) for match, name in entries if timeline.truth]
    )
    if timeline.decodings_s:
        _legend(image, 65, [(window_sign, "a window that needed none"), (decoding_sign, "a decoding")])


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
