"""One decoded frame becomes an upright RGB array of square pixels, whatever its pixel format or orientation."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cache, partial
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.sidedata.sidedata import SideData
from av.video.stream import VideoStream

from vljepa_runtime.errors import SourceError

__all__ = [
    "DECODER_LIMITS",
    "DEEP_GREY",
    "Converter",
    "Picture",
    "check_size",
    "from_opencv",
    "is_deep_grey",
    "one_thread",
    "shrink",
    "spread",
    "to_array",
    "upright",
]

UInt8 = npt.NDArray[np.uint8]
Picture = Callable[[int | None], UInt8]  # converted only when called

MAX_PIXELS = 2**27  # 134 million, four times 8K
# FFmpeg then refuses a larger frame before it takes memory. For `stream.codec_context.options`; in `av.open(options=)`
# only where the header of the format names all streams: PyAV frees those that come later unasked (17.0 crashed).
DECODER_LIMITS = {"max_pixels": str(MAX_PIXELS)}
MAX_ASPECT = 10  # of one pixel; anamorphic film has 2, and a few wrong bits claim thousands
HD_LINES = 720
DEEP_GREY = (
    "grey of more than 8 bits, of which only the upper 8 are seen: stretch=True (--stretch) spreads them"
)
_UNTAGGED = 2  # FFmpeg's AVCOL_SPC_UNSPECIFIED


class Converter:
    """Turns the decoded frames of one stream into upright RGB of square pixels.

    The display matrix is read from the first frame and again when the rotation changes, not from every frame:
    PyAV's side data keep their frame alive until the garbage collector comes, which it seldom does.

    Args:
        stream: Where the frames come from.
        stretch: Spread the values of deep grey pictures; see `spread`.
    """

    def __init__(self, stream: VideoStream, *, stretch: bool = False) -> None:
        self.note = ""
        self._stream = stream
        self._stretch = stretch
        self._coded_aspect: Fraction | None = None
        self._count = 0
        self._rotation: int | None = None
        self._matrix: npt.NDArray[np.int32] | None = None

    def prepare(self, frame: av.VideoFrame) -> Picture:
        """Take note of what only the moment of decoding knows, and leave the conversion for later.

        Args:
            frame: The newest frame of the stream, of any pixel format FFmpeg can read.

        Returns:
            A function of the shorter side to shrink to (None: full size) that gives (H, W, 3) uint8 RGB, with
            the frame's own colours, its pixels made square, turned and mirrored as the display matrix says.
        """
        if is_deep_grey(frame.format) and not self._stretch:
            self.note = DEEP_GREY
        return partial(self._to_rgb, frame, self._aspect())

    def _aspect(self) -> Fraction:
        """Width of a pixel over its height: the container's word, until the coded stream changes its own."""
        coded = self._stream.codec_context.sample_aspect_ratio
        if self._count == 0:
            self._coded_aspect = coded
        self._count += 1
        aspect = self._stream.sample_aspect_ratio if coded == self._coded_aspect else coded
        return aspect if aspect and 1 / MAX_ASPECT <= aspect <= MAX_ASPECT else Fraction(1)

    def _to_rgb(self, frame: av.VideoFrame, aspect: Fraction, short_side: int | None = None) -> UInt8:
        if frame.rotation != self._rotation:
            self._rotation, self._matrix = frame.rotation, _display_matrix(frame)
        shown = _shown_size(frame.width, frame.height, aspect)
        pixels = to_array(frame, _fitted(*shown, short_side), stretch=self._stretch)
        if self._matrix is not None:
            pixels = upright(pixels, self._matrix)
        elif frame.rotation:
            pixels = np.rot90(pixels, round(frame.rotation / 90))
        return np.ascontiguousarray(pixels)


def to_array(frame: av.VideoFrame, size: tuple[int, int], *, stretch: bool = False, hd: bool = True) -> UInt8:
    """Convert a frame as stored, with its own colour matrix and range.

    Args:
        frame: Any pixel format FFmpeg can read.
        size: Width and height to scale to.
        stretch: Spread the values of deep grey pictures; see `spread`.
        hd: Untagged pictures of 720 lines and more are BT.709, as players have it, else BT.601.

    Returns:
        (H, W, 3) uint8 RGB. Transparency is dropped.

    Raises:
        SourceError: FFmpeg cannot convert it.
    """
    options: dict[str, Any] = dict(one_thread())
    if size != (frame.width, frame.height):
        # AREA averages, as cv2.INTER_AREA does, so that shrinking twice does not alias
        grows = size[0] > frame.width or size[1] > frame.height
        options |= {"width": size[0], "height": size[1], "interpolation": "BICUBIC" if grows else "AREA"}
    elif frame.format.name == "nv12":  # of hardware decoders; from it FFmpeg would interpolate colours
        frame = frame.reformat(format="yuv420p", **options)
    if hd and frame.colorspace == _UNTAGGED and frame.height >= HD_LINES:
        options["src_colorspace"] = "ITU709"
    grey = stretch and is_deep_grey(frame.format)
    try:
        pixels = frame.to_ndarray(format="gray16le" if grey else "rgb24", **options)
    except (av.FFmpegError, ValueError) as error:
        raise SourceError(
            f"pictures in {frame.format.name} of colour matrix {frame.colorspace} (ISO/IEC 23091-2) cannot be turned "
            f"into RGB by FFmpeg: convert them to BT.709 first"
        ) from error
    return spread(pixels) if grey else np.asarray(pixels, np.uint8)


def from_opencv(pixels: npt.NDArray[Any], *, stretch: bool = False) -> UInt8:
    """Turn what OpenCV gives into RGB.

    Args:
        pixels: (H, W) or (H, W, 1) grey or (H, W, 3) BGR, uint8 or uint16; grey that is stretched of any type.
        stretch: Spread the values of deep grey pictures; see `spread`.
    """
    grey = pixels.ndim == 2 or pixels.shape[2] == 1
    if grey and stretch and pixels.dtype != np.uint8:
        return spread(pixels.reshape(pixels.shape[:2]))
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB if grey else cv2.COLOR_BGR2RGB), np.uint8)


def is_deep_grey(pixels: av.VideoFormat) -> bool:
    """Whether a pixel format is grey with more than 8 bits, as thermal and depth cameras have it."""
    return pixels.name.startswith(("gray", "ya")) and pixels.components[0].bits > 8


def spread(pixels: npt.NDArray[Any]) -> UInt8:
    """Spread a grey picture's 1st to 99th percentile over black to white; each picture by itself.

    Args:
        pixels: (H, W) of any number type; what is not finite becomes black.

    Returns:
        (H, W, 3) uint8, three equal channels.
    """
    values = pixels.astype(np.float32)
    finite = np.isfinite(values)
    low, high = np.percentile(values[finite], (1, 99)) if finite.any() else (0.0, 0.0)
    scaled = (values - low) * (255 / ((high - low) or 1.0))
    grey = np.where(finite, scaled, 0).clip(0, 255).round().astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)


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


def upright(image: npt.NDArray[Any], matrix: npt.NDArray[np.int32]) -> npt.NDArray[Any]:
    """Apply the nearest of the eight turns and mirrorings to an image.

    Args:
        image: (H, W, 3) or (H, W) as stored.
        matrix: (3, 3) int32 display matrix [[a, b, u], [c, d, v], [x, y, w]] in ISO/IEC 14496-12 6.2.2 order:
            a stored point (p, q) is shown at (a p + c q, b p + d q).
    """
    (a, b), (c, d) = (int(v) for v in matrix[0, :2]), (int(v) for v in matrix[1, :2])
    if abs(a) + abs(d) < abs(b) + abs(c):  # rows and columns change places
        image, a, d = image.swapaxes(0, 1), c, b
    return image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]


def shrink(image: npt.NDArray[Any], short_side: int | None) -> npt.NDArray[Any]:
    """Shrink an image until its shorter side has at most `short_side` pixels."""
    height, width = image.shape[:2]
    size = _fitted(width, height, short_side)
    if size == (width, height):
        return image
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))


def _fitted(width: int, height: int, short_side: int | None) -> tuple[int, int]:
    shortest = min(width, height)
    if short_side is None or shortest <= short_side:
        return width, height
    return max(1, round(width * short_side / shortest)), max(1, round(height * short_side / shortest))


def _shown_size(width: int, height: int, aspect: Fraction) -> tuple[int, int]:
    """The size with square pixels: the longer side of a pixel grows the picture, so that nothing is lost."""
    grown = (round(width * aspect), height) if aspect > 1 else (width, round(height / aspect))
    if grown[0] * grown[1] <= MAX_PIXELS:
        return grown
    return (width, max(1, round(height / aspect))) if aspect > 1 else (max(1, round(width * aspect)), height)


def _display_matrix(frame: av.VideoFrame) -> npt.NDArray[np.int32] | None:
    try:
        data = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # PyAV 18 cannot list a frame with EXIF side data; `rotation` still works
        return None
    if not isinstance(data, SideData):
        return None
    return np.frombuffer(bytes(data), np.int32).reshape(3, 3)
