"""Frames become tokens: fitting frames to a bundle's geometry and cutting them into tubelets.

The cut happens outside the graphs, so a token can be left out before the encoder sees it. Pixel
normalisation is not done here: it is folded into the exported patch embedding, so patches stay uint8.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from vljepa_runtime import arguments
from vljepa_runtime.errors import InputError
from vljepa_runtime.preprocessing.cells import cell_means, shrink
from vljepa_runtime.preprocessing.preprocess import Preprocess

__all__ = ["Clip", "FittedFrame", "fit_frame", "fit_frames", "patchify", "pick_numbers"]

UInt8 = npt.NDArray[np.uint8]
AT_ONCE = 1024  # columns resized together; a picture of 8000 x 8000 in float32 takes 768 MB


@dataclass(frozen=True, eq=False)  # no slots, so that what is shrunk can be kept
class FittedFrame:
    """One picture as `fit_frame` gives it, of which all windows that show it compute things once.

    Attributes:
        pixels: (size, size, 3) uint8 RGB; fitting it again could change it.
        preprocess: What it was fitted to.
    """

    pixels: UInt8
    preprocess: Preprocess

    @cached_property
    def shrunk(self) -> npt.NDArray[np.float32]:
        """(3, rows, columns) mean colours of its cells; see `shrink`."""
        return shrink(self.pixels, self.preprocess)


class Clip:
    """One window, fitted: what the model sees; it stays as it is. Made by `fit_frames`, or of frames by `Clip.of`.

    Args:
        frames: (T, size, size, 3) uint8 RGB; (T, H, W, 3) of `Unfitted`.
        preprocess: What it was fitted to.

    Examples:
        >>> import numpy as np
        >>> import vljepa_runtime as vj
        >>> vj.Clip(np.zeros((8, 64, 64, 3), np.uint8), vj.Preprocess(frames=8, size=96))
        Traceback (most recent call last):
        vljepa_runtime.errors.InputError: expected fitted frames (8, 96, 96, 3) uint8, got (8, 64, 64, 3) uint8
    """

    def __init__(self, frames: UInt8, preprocess: Preprocess) -> None:
        arguments.instance(preprocess, "preprocess", Preprocess)
        arguments.instance(frames, "frames", np.ndarray)
        size = (preprocess.size, preprocess.size) if preprocess.fits else frames.shape[1:3]
        expected = (preprocess.frames, *size, 3)
        if frames.shape != expected or frames.dtype != np.uint8:
            raise InputError(f"expected fitted frames {expected} uint8, got {frames.shape} {frames.dtype}")
        self._preprocess = preprocess
        self._fitted = tuple(FittedFrame(frame, preprocess) for frame in frames)
        self._frames: UInt8 | None = frames

    @classmethod
    def of(cls, fitted: Sequence[FittedFrame], pre: Preprocess) -> Clip:
        """Frames fitted one by one, as a stream gives them; they are put together once somebody asks for `frames`.

        Raises:
            InputError: there are not as many as a window has, or they are something else.
        """
        arguments.instance(fitted, "fitted frames", list, tuple)
        if len(fitted) != pre.frames or not all(isinstance(frame, FittedFrame) for frame in fitted):
            raise InputError(f"expected {pre.frames} fitted frames, got {fitted!r:.200}")
        clip = cls.__new__(cls)
        clip._preprocess, clip._fitted, clip._frames = pre, tuple(fitted), None
        return clip

    @property
    def preprocess(self) -> Preprocess:
        """What it was fitted to."""
        return self._preprocess

    @property
    def fitted(self) -> tuple[FittedFrame, ...]:
        """Its frames one by one; one that is on show several times is the same one."""
        return self._fitted

    @property
    def frames(self) -> UInt8:
        """(T, size, size, 3) uint8 RGB."""
        if self._frames is None:
            self._frames = np.stack([frame.pixels for frame in self._fitted])
        return self._frames

    @cached_property
    def cells(self) -> npt.NDArray[np.float32]:
        """(t, 3, rows, columns) mean colours, by which windows are compared; see `cell_means`."""
        return cell_means([frame.shrunk for frame in self._fitted], self._preprocess)


def fit_frame(frame: UInt8, pre: Preprocess) -> UInt8:
    """Resize one RGB frame `(H, W, 3)` to `(size, size, 3)` as `pre.resize` says; `Unfitted` leaves it."""
    import cv2

    height, width = frame.shape[:2]
    size = pre.size
    if not pre.fits:
        return np.ascontiguousarray(frame)
    if pre.resize == "antialias":
        return _antialiased(frame, pre)
    if (height, width) == (size, size):
        return np.array(frame, order="C")  # a copy: the caller may use its own again
    if pre.resize == "stretch":
        new_h = new_w = size
    else:
        pick = min if pre.resize == "crop" else max
        scale = size / pick(height, width)
        new_h, new_w = max(1, round(height * scale)), max(1, round(width * scale))
    if pre.resize == "crop":  # crop first: cheaper, and the same pixels
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        frame, new_h, new_w = frame[top : top + side, left : left + side], size, size
    shrinking = new_h < frame.shape[0]
    resized = cv2.resize(
        frame, (new_w, new_h), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
    )
    if pre.resize != "pad":
        return np.asarray(resized, np.uint8)
    canvas = np.zeros((size, size, 3), np.uint8)
    top, left = (size - new_h) // 2, (size - new_w) // 2
    canvas[top : top + new_h, left : left + new_w] = resized
    return canvas


def fit_frames(frames: UInt8 | Clip, pre: Preprocess) -> Clip:
    """Bring any number of frames of any size to what the model takes.

    Args:
        frames: (T, H, W, 3) uint8 RGB, any T >= 1; a single image may be (H, W, 3). A clip stays as it is.
        pre: The model's geometry.

    Returns:
        The clip: `pre.frames` frames, taken at evenly spaced numbers or repeated.

    Raises:
        InputError: the array is not uint8 RGB or is empty, or the clip was fitted to another geometry.
    """
    if isinstance(frames, Clip):
        if frames.preprocess != pre and _geometry(frames.preprocess) != _geometry(pre):
            raise InputError(
                f"expected raw frames or a clip fitted to {pre}, got one fitted to {frames.preprocess}"
            )
        return frames
    array = arguments.array(frames, "frames")
    if array.ndim == 3:
        array = array[None]
    if array.ndim != 4 or array.shape[-1] != 3 or array.dtype != np.uint8 or 0 in array.shape:
        raise InputError(f"expected frames (T, H, W, 3) uint8 RGB, got {array.shape} {array.dtype}")
    picks = pick_numbers(len(array), pre)
    fitted = {int(i): FittedFrame(fit_frame(array[i], pre), pre) for i in np.unique(picks)}
    return Clip.of([fitted[int(i)] for i in picks], pre)


def _geometry(pre: Preprocess) -> Preprocess:
    """What fitting and cutting depend on: all but what decides which frames are taken."""
    return replace(pre, fps=1.0, sampling="time", picks="nearest")


def pick_numbers(count: int, pre: Preprocess) -> npt.NDArray[np.int64]:
    """Which of `count` frames a clip takes by number: (pre.frames,) evenly spaced from first to last."""
    even = np.linspace(0, count - 1, pre.frames)
    return np.asarray(even.round() if pre.picks == "nearest" else np.floor(even), np.int64)


def patchify(clip: Clip) -> tuple[UInt8, npt.NDArray[np.int32]]:
    """Cut a clip into tubelets, ordered (t, h, w).

    Returns:
        patches (N, tubelet*patch*patch*3) uint8, each laid out (frame, row, column, RGB), and
        positions (N, 3) int32 = (t, h, w) tubelet indices.
    """
    pre = clip.preprocess
    if not pre.fits:
        raise InputError("expected a clip fitted to a model's preprocessing, got one of frames as they are")
    t, h, w = pre.grid
    cut = clip.frames.reshape(t, pre.tubelet, h, pre.patch, w, pre.patch, 3).transpose(0, 2, 4, 1, 3, 5, 6)
    return cut.reshape(pre.tokens, pre.patch_dim), _positions(pre.grid).copy()


@lru_cache(maxsize=8)  # a stream's windows all have one grid
def _positions(grid: tuple[int, int, int]) -> npt.NDArray[np.int32]:
    """(N, 3) tubelet indices in token order."""
    return np.ascontiguousarray(np.indices(grid, dtype=np.int32).reshape(3, -1).T)


def _antialiased(frame: UInt8, pre: Preprocess) -> UInt8:
    """Resize so that the short side is `pre.short_side`, then cut `pre.size` out of the middle, rounding once."""
    height, width = frame.shape[:2]
    sides = [side * (pre.short_side or pre.size) // min(height, width) for side in (height, width)]
    offsets = [
        (side - pre.size) // 2 if pre.crop_offset == "floor" else round((side - pre.size) / 2)
        for side in sides
    ]
    (rows, top), (columns, left) = (
        _triangle(old, new, start, pre.size) for old, new, start in zip((height, width), sides, offsets)
    )
    seen = frame[top : top + rows.shape[1], left : left + columns.shape[1]]
    narrow = np.concatenate(
        [
            np.tensordot(rows, seen[:, at : at + AT_ONCE].astype(np.float32), axes=1)
            for at in range(0, seen.shape[1], AT_ONCE)
        ],
        axis=1,
    )  # (size, columns of the crop, 3)
    pixels = np.einsum("ow,hwc->hoc", columns, narrow, optimize=True)
    return np.asarray(np.clip(np.rint(pixels), 0, 255), np.uint8)


@lru_cache(maxsize=8)  # a stream's frames all have one size
def _triangle(old: int, new: int, start: int, count: int) -> tuple[npt.NDArray[np.float32], int]:
    """Weights of a linear resize from `old` to `new` samples, its `count` results from `start` on.

    Shrinking widens the triangle, which is what antialiasing means in torchvision and PIL.

    Returns:
        (count, samples that any result needs) float32, and the number of the first of these samples.
    """
    ratio = old / new
    reach = max(ratio, 1.0)
    centres = (np.arange(start, start + count) + 0.5) * ratio
    first, last = max(0, math.floor(centres[0] - reach)), min(old, math.ceil(centres[-1] + reach))
    distance = np.abs(np.arange(first, last) + 0.5 - centres[:, None]) / reach
    weights = np.clip(1.0 - distance, 0.0, None)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32), first
