"""The newest picture of each camera, made a JPEG only while somebody looks, once for all who look at it alike."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["NewestPicture", "jpeg_of", "smaller"]

UInt8 = npt.NDArray[np.uint8]
QUALITY = 80
WIDTHS = 4  # of which a JPEG is remembered


def jpeg_of(image: UInt8, *, width: int | None = None) -> bytes:
    """A picture (H, W, 3) uint8 RGB as JPEG, made smaller to a width where it is wider."""
    height, whole = image.shape[:2]
    if width is not None and width < whole:
        size = width, max(1, round(height * width / whole))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    done, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise ValueError(f"expected a picture, got {image.shape}")
    return data.tobytes()


def smaller(jpeg: bytes, width: int) -> bytes:
    """A JPEG made smaller to a width where it is wider."""
    bgr = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    if bgr is None or bgr.shape[1] <= width:
        return jpeg
    return jpeg_of(np.asarray(bgr[..., ::-1], np.uint8), width=width)


class NewestPicture:
    """One camera's; frames come from the thread that reads it, and are taken from any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._image: UInt8 | None = None
        self._number = 0
        self._run = f"{time.time_ns():x}"
        self._made: OrderedDict[int | None, tuple[int, bytes]] = OrderedDict()

    @property
    def number(self) -> int:
        """Of the newest; 0 before the first."""
        return self._number

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height of the newest."""
        return None if self._image is None else (self._image.shape[1], self._image.shape[0])

    @property
    def tag(self) -> str:
        """What tells it from every other, also of another run."""
        return f"{self._run}-{self._number}"

    def put(self, image: UInt8) -> None:
        """Take the next one."""
        self._image, self._number = image, self._number + 1

    def clear(self) -> None:
        """There is none any more."""
        self._image = None

    def jpeg(self, width: int | None) -> bytes | None:
        """The newest one as JPEG; None where there is none."""
        image, number = self._image, self._number
        if image is None:
            return None
        with self._lock:
            made = self._made.get(width)
            if made is not None and made[0] == number:
                return made[1]
            data = jpeg_of(image, width=width)
            self._made[width] = number, data
            self._made.move_to_end(width)
            while len(self._made) > WIDTHS:
                self._made.popitem(last=False)
            return data
