"""Small pictures of a stream for its log: of each segment, the frame nearest to its middle. Knows no log."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from vljepa_runtime import Window

__all__ = ["Pictures"]

UInt8 = npt.NDArray[np.uint8]
QUALITY = 80  # of JPEG
WAITING = 64
"""Pictures that may become a segment's, one per window: a minute at a stride of a second."""


class Pictures:
    """The middle frames of the last windows of one stream, of which a segment gets the one nearest to its middle.

    Examples:
        >>> from vljepa_log import Pictures
        >>> from vljepa_runtime import WindowSampler, load, open_source
        >>> pictures, sampler = Pictures(), WindowSampler(load("tiny").preprocess, 1.0)
        >>> with open_source("clip.mp4") as source:
        ...     for frame in source:
        ...         for window in sampler.push(frame):
        ...             pictures.add(window)
        >>> at_s, jpeg = pictures.of(2.0, 4.0)
        >>> at_s
        3.0
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[float, UInt8]] = deque(maxlen=WAITING)

    def add(self, window: Window) -> None:
        """Remember a window's picture, as the model saw it."""
        frames, at_s = window.clip.fitted, (window.start_s + window.end_s) / 2
        if not self._waiting or self._waiting[-1][0] != at_s:  # a window comes once for each query
            self._waiting.append((at_s, frames[len(frames) // 2].pixels))

    def of(self, start_s: float, end_s: float) -> tuple[float, bytes] | None:
        """Time and JPEG of a segment's picture; None before the first window."""
        if not self._waiting:
            return None
        middle_s = (start_s + end_s) / 2
        at_s, picture = min(self._waiting, key=lambda each: abs(each[0] - middle_s))
        bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        _, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        return at_s, jpeg.tobytes()
