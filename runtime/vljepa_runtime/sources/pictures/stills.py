"""Picture files: told apart by their first bytes, bounded before they are read, decoded upright as RGB."""

from __future__ import annotations

import stat
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import av
import av.logging
import cv2
import numpy as np
import numpy.typing as npt
from av.video.codeccontext import VideoCodecContext

from vljepa_runtime.errors import SourceError
from vljepa_runtime.sources.naming import shown_path
from vljepa_runtime.sources.pictures.header import Header, read_header
from vljepa_runtime.sources.pictures.heif import is_sequence, read_heif
from vljepa_runtime.sources.pictures.pixels import (
    DECODER_LIMITS,
    DEEP_GREY,
    check_size,
    from_opencv,
    shrink,
    upright,
)
from vljepa_runtime.sources.protocol import (
    DEFAULT_RATE,
    EVERY_FRAME,
    Announced,
    Frame,
    Hints,
    Item,
    Source,
    SourceStatus,
)

__all__ = ["IMAGE_SUFFIXES", "Still", "StillSource", "is_still", "read_image"]

UInt8 = npt.NDArray[np.uint8]

IMAGE_SUFFIXES = frozenset(
    {".bmp", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
    | {".avif", ".heic", ".heif", ".hif", ".jp2"}
)
MAX_FILE_BYTES = 2**30  # the largest picture allowed, uncompressed with four channels of 16 bits
_MANY_KINDS = frozenset({"animated webp", "bigtiff", "jp2", "tiff"})  # of which OpenCV reads some
_CHECKED = {"jpeg": "mjpeg", "png": "png"}  # kinds and FFmpeg's decoders of them
_END_OF_JPEG = b"\xff\xd9"
_LOG_LOCK = threading.Lock()
_OPENCV_LOG: Any = getattr(cv2.utils, "logging", cv2)  # OpenCV 5 moved it
# display matrices of the eight orientations of EXIF; see `upright`
_ORIENTATIONS = {
    number: np.array([[a, b, 0], [c, d, 0], [0, 0, 1]], np.int32)
    for number, (a, b, c, d) in enumerate(
        [(1, 0, 0, 1), (-1, 0, 0, 1), (-1, 0, 0, -1), (1, 0, 0, -1)]
        + [(0, 1, 1, 0), (0, 1, -1, 0), (0, -1, -1, 0), (0, -1, 1, 0)],
        start=1,
    )
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Still:
    """A picture file, read.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        note: What a user should know of how it was read; empty for most.
    """

    image: UInt8
    note: str = ""


class StillSource(Source):
    """A picture file as a video of one frame; see `Source`.

    Args:
        path: The file.
        loop: Give it again and again.
        stretch: Spread the values of grey pictures of more than 8 bits over black to white.
    """

    def __init__(self, path: Path, *, loop: bool = False, stretch: bool = False) -> None:
        self.name = shown_path(path)
        self.loop = loop
        self._path = path
        self._stretch = stretch

    def announced(self) -> Announced:
        """One frame."""
        return Announced(frames=1, step_s=1 / DEFAULT_RATE)

    def frames(self, hints: Hints = EVERY_FRAME) -> Iterator[Item]:
        """Read it once."""
        still = read_image(self._path, hints.short_side, stretch=self._stretch)
        if still.note:
            yield SourceStatus(kind="warning", message=still.note)
        index = 0
        while index == 0 or self.loop:
            yield Frame(image=still.image, time_s=index / DEFAULT_RATE, index=index)
            index += 1

    def close(self) -> None:
        """Stop looping; nothing else is held."""
        self.loop = False


def is_still(path: Path) -> bool:
    """Whether a file is to be read as a picture: by its name, unless its first bytes say otherwise.

    Raises:
        SourceError: it cannot be read.
    """
    kind = _header(path).kind
    if kind == "heif":
        return not is_sequence(path)
    return kind != "video" and path.suffix.lower() in IMAGE_SUFFIXES


def read_image(path: Path, short_side: int | None = None, *, stretch: bool = False) -> Still:
    """Read a still picture upright: EXIF orientation, and the turns of HEIF, are honoured. Of an animation or of
    several pages it is the first.

    Args:
        path: The file.
        short_side: Shrink until the shorter side has at most this many pixels.
        stretch: Spread the values of deep grey pictures; see `spread`.

    Raises:
        SourceError: the file cannot be read, is no picture, is damaged or too large.
    """
    header, name = _header(path), shown_path(path)
    if header.kind == "heif":
        return Still(image=shrink(read_heif(path), short_side))
    if header.kind == "video":
        raise SourceError(f"{name} holds a video, not a picture: give it a name that says so")
    check_size(header.width, header.height, name)
    decoded = _decode(path, header) if header.width and header.height else None
    if decoded is None and header.kind in _MANY_KINDS:
        raise SourceError(
            f"{name} is damaged, or a kind of {header.kind} that OpenCV cannot read: check it or convert it to PNG"
        )
    if decoded is None:
        what = "is damaged or not a picture" if path.stat().st_size else "is empty"
        raise SourceError(f"{name} {what}: check the file or leave it out")
    return _as_rgb(name, decoded, short_side, stretch)


def _header(path: Path) -> Header:
    name = shown_path(path)
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for
            raise SourceError(f"{name} is not a regular file: leave it out")
        with path.open("rb") as file:
            header = read_header(file)
            size = file.seek(0, 2)
    except (OSError, ValueError) as error:
        raise SourceError(f"cannot read {name}: {getattr(error, 'strerror', None) or error}") from error
    if size > MAX_FILE_BYTES and header.kind not in ("video", ""):
        raise SourceError(
            f"{name} has {size:,} bytes, more than the {MAX_FILE_BYTES:,} of the largest picture that is read: "
            "shrink or check it"
        )
    return header


def _decode(path: Path, header: Header) -> npt.NDArray[Any] | None:
    """Pixels as OpenCV gives them, upright, grey or BGR, of any depth; None for a damaged picture."""
    flags = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH
    if header.kind.endswith("webp"):  # of which only newer OpenCV honours the orientation
        flags |= cv2.IMREAD_IGNORE_ORIENTATION
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES)
    except OSError as error:
        raise SourceError(f"cannot read {shown_path(path)}: {error.strerror or error}") from error
    decoder = _CHECKED.get(
        header.kind
    )  # FFmpeg first, because libjpeg and libpng write to stderr on their own
    if decoder and _is_damaged(data, decoder):
        return None
    if header.kind == "jpeg" and data.find(_END_OF_JPEG, header.scan) < 0:
        return None  # cut off, which OpenCV before 4.11 fills with grey
    with _LOG_LOCK:
        level = _OPENCV_LOG.getLogLevel()
        _OPENCV_LOG.setLogLevel(0)
        try:
            decoded = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
        except cv2.error:
            return None
        finally:
            _OPENCV_LOG.setLogLevel(level)
    return None if decoded is None else upright(decoded, _ORIENTATIONS[header.orientation])


def _as_rgb(name: str, decoded: npt.NDArray[Any], short_side: int | None, stretch: bool) -> Still:
    deep, grey = decoded.dtype != np.uint8, decoded.ndim == 2
    if deep and decoded.dtype != np.uint16:
        if not (grey and stretch):
            raise SourceError(
                f"{name} holds {decoded.dtype} numbers without a range of their own: stretch=True (--stretch) reads "
                "grey ones, else convert it to PNG"
            )
        decoded = decoded.astype(np.float32)
    note = f"{name} holds {DEEP_GREY}" if deep and grey and not stretch else ""
    return Still(image=from_opencv(shrink(decoded, short_side), stretch=stretch), note=note)


def _is_damaged(data: bytes, decoder: str) -> bool:
    """OpenCV fills broken JPEG blocks with grey and says nothing; FFmpeg reports them, in its log only."""
    with _LOG_LOCK:
        level = av.logging.get_level()
        av.logging.set_level(av.logging.ERROR)
        try:
            with av.logging.Capture() as logs:
                context = cast(VideoCodecContext, av.CodecContext.create(decoder, "r"))
                context.options = dict(DECODER_LIMITS)
                context.thread_type = "NONE"  # the log of this thread only
                frames = [*context.decode(av.Packet(data)), *context.decode(None)]
            # Notes of a camera that cannot be read harm nobody.
            return not frames or any("EXIF" not in text for _, _, text in logs)
        except av.FFmpegError:
            return True
        finally:
            av.logging.set_level(level)
