"""Text on images, drawn by OpenCV alone: its own TrueType font from version 5 on, stroke letters before that."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["Colour", "text_width", "wrapped", "write"]

UInt8 = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

STROKES = cv2.FONT_HERSHEY_SIMPLEX
STROKE_SIZE = 30.0  # pixels of an em at scale 1, so that both fonts come out about equally wide
REGULAR, BOLD = 420, 640


def write(
    image: UInt8,
    text: str,
    x: float,
    baseline: float,
    *,
    size: int = 14,
    colour: Colour = (0, 0, 0),
    bold: bool = False,
) -> None:
    """Write one line on an image, in place.

    Args:
        image: (H, W, 3) uint8.
        text: Characters that the font lacks become `?`.
        x: Left edge in pixels.
        baseline: Pixels from the top.
        size: Height of the letters' em in pixels.
        colour: In the order of the image's channels.
        bold: Heavier letters.
    """
    where = (round(x), round(baseline))
    if (face := _face()) is not None:
        cv2.putText(image, text, where, colour, face, size, BOLD if bold else REGULAR)
        return
    weight = 2 if bold or size >= 26 else 1
    cv2.putText(image, _plain(text), where, STROKES, size / STROKE_SIZE, colour, weight, cv2.LINE_AA)


def text_width(text: str, *, size: int = 14, bold: bool = False) -> int:
    """Width of one line in pixels."""
    if not text:
        return 0
    if (face := _face()) is not None:
        left, _, wide, _ = cv2.getTextSize((0, 0), text, (0, 0), face, size, BOLD if bold else REGULAR)
        return int(left + wide)
    return int(cv2.getTextSize(_plain(text), STROKES, size / STROKE_SIZE, 2 if bold else 1)[0][0])


def wrapped(text: str, width: float, *, size: int, lines: int, first: float | None = None) -> list[str]:
    """Break a text into at most `lines` lines of `width` pixels, the first one of `first` pixels.

    What does not fit ends in `...`; nothing is left when not even the first word's beginning fits.
    """
    done: list[str] = []
    words = text.split()
    while words and len(done) < lines:
        room = first if first is not None and not done else width
        count = len(words)
        while count > 1 and text_width(" ".join(words[:count]), size=size) > room:
            count -= 1
        line, words = " ".join(words[:count]), words[count:]
        done.append(_shortened(line, room, size, cut=bool(words) and len(done) == lines - 1))
    return [line for line in done if line]


def _shortened(line: str, width: float, size: int, *, cut: bool) -> str:
    tail = "..." if cut else ""
    while line and text_width(line + tail, size=size) > width:
        line, tail = line[:-1].rstrip(), "..."
    return line + tail if line else ""


@lru_cache(maxsize=1)
def _face() -> Any:
    """OpenCV's built-in sans-serif, None before version 5."""
    make = getattr(cv2, "FontFace", None)
    return None if make is None else make("sans")


def _plain(text: str) -> str:
    """The stroke letters are ASCII: accents are dropped, other characters become `?`."""
    text = unicodedata.normalize("NFKD", text.replace("\N{MIDDLE DOT}", "|"))
    return "".join(c if " " <= c <= "~" else "?" for c in text if not unicodedata.combining(c))
