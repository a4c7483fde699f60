"""Small pictures of a stream for its timeline."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["THUMB", "Thumbnails"]

UInt8 = npt.NDArray[np.uint8]
THUMB = 72  # pixels of their height


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


def _thumb(image: UInt8) -> UInt8:
    """Shrink to the strip's height; sensor noise goes and 32 levels stay, or the PNG would be mostly noise."""
    rows, columns = image.shape[:2]
    wide = int(np.clip(round(columns * THUMB / rows), 8, 2 * THUMB))
    small = cv2.resize(image, (wide, THUMB), interpolation=cv2.INTER_AREA)
    small = cv2.bilateralFilter(small, 5, 18, 3)
    return np.asarray(np.minimum(small.astype(np.uint16) + 4, 255) & 0xF8, np.uint8)
