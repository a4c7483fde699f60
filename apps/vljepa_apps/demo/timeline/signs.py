"""Colours of a timeline, and the small signs of decodings, windows and matches."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from vljepa_apps.demo.lettering import Colour
from vljepa_apps.demo.timeline.content import Match

__all__ = [
    "FAINT",
    "GREY",
    "INK",
    "LOOKS",
    "SOFT",
    "Look",
    "decoding_sign",
    "glyph",
    "match_sign",
    "window_sign",
]

UInt8 = npt.NDArray[np.uint8]

INK: Colour = (34, 34, 34)
SOFT: Colour = (102, 119, 119)
FAINT: Colour = (187, 187, 187)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Colours of a bar (RGB)."""

    fill: Colour
    edge: Colour


LOOKS = {
    Match.EXACT: Look(fill=(221, 238, 221), edge=(34, 136, 68)),
    Match.PARTLY: Look(fill=(255, 238, 204), edge=(204, 136, 0)),
    Match.MISSED: Look(fill=(255, 221, 221), edge=(204, 51, 34)),
    Match.NONE: Look(fill=(221, 238, 255), edge=(51, 102, 187)),
}
GREY = Look(fill=(238, 238, 238), edge=(136, 136, 153))
"""Of the truth, which needs no match."""


def window_sign(image: UInt8, x: int, y: int) -> None:
    """A window, in place."""
    cv2.circle(image, (x, y), 2, FAINT, -1, cv2.LINE_AA)


def decoding_sign(image: UInt8, x: int, y: int) -> None:
    """A run of the Y-decoder, in place."""
    cv2.rectangle(image, (x - 2, y - 8), (x + 1, y + 7), INK, -1)


def match_sign(image: UInt8, x: int, y: int, match: Match) -> None:
    """A match in its colours, in place."""
    cv2.rectangle(image, (x - 9, y - 8), (x + 9, y + 8), LOOKS[match].fill, -1)
    cv2.rectangle(image, (x - 9, y - 8), (x + 9, y + 8), LOOKS[match].edge, 1)
    glyph(image, x, y, match)


def glyph(image: UInt8, x: int, y: int, match: Match) -> None:
    """A sign besides the colour, for readers who do not see red and green apart, in place."""
    strokes = {
        Match.EXACT: [[(-4, 0), (-1, 3), (4, -4)]],
        Match.PARTLY: [[(-4, 1), (-2, -1), (2, 1), (4, -1)]],
        Match.MISSED: [[(-3, -3), (3, 3)], [(-3, 3), (3, -3)]],
        Match.NONE: [],
    }[match]
    lines = [np.array(line, np.int32) + (x, y) for line in strokes]
    cv2.polylines(image, lines, False, LOOKS[match].edge, 2, cv2.LINE_AA)
