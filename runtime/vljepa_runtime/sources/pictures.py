"""One decoded picture becomes an upright RGB array, whatever its pixel format, orientation or file type."""

from __future__ import annotations

import threading
from functools import cache
from pathlib import Path
from typing import Any

import av
import av.logging
import cv2
import numpy as np
import numpy.typing as npt
from av.sidedata.sidedata import SideData

from vljepa_runtime.errors import SourceError

__all__ = ["Converter", "IMAGE_SUFFIXES", "check_size", "one_thread", "read_image", "shrink", "upright"]

UInt8 = npt.NDArray[np.uint8]

IMAGE_SUFFIXES = frozenset(
    {".bmp", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
)
MAX_PIXELS = 2**27  # 134 million, four times 8K
_LOG_LOCK = threading.Lock()


class Converter:
    """Turns the decoded frames of one stream into upright RGB.

    The display matrix is read from the first frame and again when the rotation changes, not from every frame:
    PyAV's side data keep their frame alive until the garbage collector comes, which it seldom does.
    """

    def __init__(self) -> None:
        self._rotation: int | None = None
        self._matrix: npt.NDArray[np.int32] | None = None

    def to_rgb(self, frame: av.VideoFrame, short_side: int | None = None) -> UInt8:
        """Convert a frame with its own colour matrix and range.

        Args:
            frame: Any pixel format FFmpeg can read.
            short_side: Shrink until the shorter side has at most this many pixels.

        Returns:
            (H, W, 3) uint8 RGB, turned and mirrored as the display matrix says.
        """
        if frame.rotation != self._rotation:
            self._rotation, self._matrix = frame.rotation, _display_matrix(frame)
        size: dict[str, Any] = {}
        width, height = _fitted(frame.width, frame.height, short_side)
        if (width, height) != (frame.width, frame.height):
            # AREA averages, as cv2.INTER_AREA does, so that shrinking twice does not alias
            size = {"width": width, "height": height, "interpolation": "AREA"}
        pixels = np.asarray(frame.to_ndarray(format="rgb24", **size, **one_thread()), np.uint8)
        if self._matrix is not None:
            pixels = upright(pixels, self._matrix)
        elif frame.rotation:
            pixels = np.rot90(pixels, round(frame.rotation / 90))
        return np.ascontiguousarray(pixels)


def check_size(width: int, height: int, name: str) -> None:
    """Refuse a size that would take gigabytes to decode; a few wrong bytes in a header are enough to claim one.

    Raises:
        SourceError: it has more than `MAX_PIXELS`.
    """
    if width * height > MAX_PIXELS:
        raise SourceError(
            f"{name} claims {width}x{height} pixels, more than {MAX_PIXELS:,}: shrink or check it"
        )


@cache
def one_thread() -> dict[str, Any]:
    """Options that keep FFmpeg's converter on one thread, for `reformat` and `to_ndarray`.

    Starting its threads costs more than they save: 4.7 against 0.5 ms of CPU time for a 720p frame on two server
    cores. PyAV before the option existed used one thread anyway.
    """
    try:
        av.VideoFrame(2, 2, "rgb24").reformat(format="gray", threads=1)
    except TypeError:
        return {}
    return {"threads": 1}


def upright(image: UInt8, matrix: npt.NDArray[np.int32]) -> UInt8:
    """Apply the nearest of the eight turns and mirrorings to an image.

    Args:
        image: (H, W, 3) as stored.
        matrix: (3, 3) int32 display matrix [[a, b, u], [c, d, v], [x, y, w]] in ISO/IEC 14496-12 6.2.2 order:
            a stored point (p, q) is shown at (a p + c q, b p + d q).
    """
    (a, b), (c, d) = (int(v) for v in matrix[0, :2]), (int(v) for v in matrix[1, :2])
    if abs(a) + abs(d) < abs(b) + abs(c):  # rows and columns change places
        image, a, d = image.transpose(1, 0, 2), c, b
    return image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]


def read_image(path: Path, short_side: int | None = None) -> UInt8:
    """Read a still picture upright (EXIF orientation honoured) as (H, W, 3) uint8 RGB.

    Raises:
        SourceError: the file cannot be read, is no picture or is damaged.
    """
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        whole = len(data) and not _is_damaged(path)  # first, because libjpeg writes to stderr on its own
        decoded = cv2.imdecode(data, cv2.IMREAD_COLOR) if whole else None
    except cv2.error:
        decoded = None
    if decoded is None:
        what = "is empty" if not len(data) else "is damaged or not a picture"
        raise SourceError(f"{path} {what}: check the file or leave it out")
    return shrink(np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8), short_side)


def shrink(image: UInt8, short_side: int | None) -> UInt8:
    """Shrink an image until its shorter side has at most `short_side` pixels."""
    height, width = image.shape[:2]
    size = _fitted(width, height, short_side)
    if size == (width, height):
        return image
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _fitted(width: int, height: int, short_side: int | None) -> tuple[int, int]:
    shortest = min(width, height)
    if short_side is None or shortest <= short_side:
        return width, height
    return max(1, round(width * short_side / shortest)), max(1, round(height * short_side / shortest))


def _display_matrix(frame: av.VideoFrame) -> npt.NDArray[np.int32] | None:
    try:
        data = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # PyAV 18 cannot list a frame with EXIF side data; `rotation` still works
        return None
    if not isinstance(data, SideData):
        return None
    return np.frombuffer(bytes(data), np.int32).reshape(3, 3)


def _is_damaged(path: Path) -> bool:
    """OpenCV fills broken JPEG blocks with grey and says nothing; FFmpeg reports them, in its log only."""
    with _LOG_LOCK:
        opened = False
        level = av.logging.get_level()
        av.logging.set_level(av.logging.ERROR)
        try:
            with av.logging.Capture() as logs, av.open(f"file:{path}") as container:
                stream = container.streams.video[0]
                check_size(stream.width, stream.height, str(path))
                stream.thread_type = "NONE"  # the log of this thread only
                opened = True
                frame = next(container.decode(stream), None)
            return bool(logs) or frame is None
        except (av.FFmpegError, IndexError):
            return opened  # else it is a format that only OpenCV reads
        finally:
            av.logging.set_level(level)
