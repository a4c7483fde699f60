"""Frames become tokens: fitting frames to a bundle's geometry and cutting them into tubelets.

The cut happens outside the graphs, so a token can be left out before the encoder sees it. Pixel
normalisation is not done here: it is folded into the exported patch embedding, so patches stay uint8.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import NewType

import numpy as np
import numpy.typing as npt

from vljepa_runtime import arguments
from vljepa_runtime.errors import InputError
from vljepa_runtime.preprocessing.cells import cell_means
from vljepa_runtime.preprocessing.preprocess import Preprocess

__all__ = ["Clip", "FittedFrame", "fit_frame", "fit_frames", "patchify", "pick_numbers"]

UInt8 = npt.NDArray[np.uint8]
FittedFrame = NewType("FittedFrame", npt.NDArray[np.uint8])
"""One picture (size, size, 3) as `fit_frame` gives it; fitting it again could change it."""

AT_ONCE = 1024  # columns resized together; a picture of 8000 x 8000 in float32 takes 768 MB


@dataclass(frozen=True, eq=False)  # no slots, so that its cells can be kept
class Clip:
    """One window, fitted: what the model sees. Made by `fit_frames`, or of fitted frames by `Clip.of`.

    Attributes:
        frames: (T, size, size, 3) uint8 RGB.
        preprocess: What it was fitted to.

    Examples:
        >>> import numpy as np
        >>> import vljepa_runtime as vj
        >>> vj.Clip(np.zeros((8, 64, 64, 3), np.uint8), vj.Preprocess(frames=8, size=96))
        Traceback (most recent call last):
        vljepa_runtime.errors.InputError: expected fitted frames (8, 96, 96, 3) uint8, got (8, 64, 64, 3) uint8
    """

    frames: UInt8
    preprocess: Preprocess

    def __post_init__(self) -> None:
        pre, frames = self.preprocess, self.frames
        arguments.instance(pre, "preprocess", Preprocess)
        arguments.instance(frames, "frames", np.ndarray)
        expected = (pre.frames, pre.size, pre.size, 3)
        if frames.shape != expected or frames.dtype != np.uint8:
            raise InputError(f"expected fitted frames {expected} uint8, got {frames.shape} {frames.dtype}")

    @classmethod
    def of(cls, frames: Sequence[FittedFrame], pre: Preprocess) -> Clip:
        """Frames fitted one by one, as a stream gives them."""
        return cls(arguments.array(frames, "frames"), pre)

    @cached_property
    def cells(self) -> npt.NDArray[np.float32]:
        """(t, 3, rows, columns) mean colours, by which windows are compared; see `cell_means`."""
        return cell_means(self.frames, self.preprocess)


def fit_frame(frame: UInt8, pre: Preprocess) -> FittedFrame:
    """Resize one RGB frame `(H, W, 3)` to `(size, size, 3)` as `pre.resize` says."""
    import cv2

    height, width = frame.shape[:2]
    size = pre.size
    if pre.resize == "antialias":
        return FittedFrame(_antialiased(frame, pre))
    if (height, width) == (size, size):
        return FittedFrame(np.ascontiguousarray(frame))
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
        return FittedFrame(np.asarray(resized, np.uint8))
    canvas = np.zeros((size, size, 3), np.uint8)
    top, left = (size - new_h) // 2, (size - new_w) // 2
    canvas[top : top + new_h, left : left + new_w] = resized
    return FittedFrame(canvas)


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
    fitted = {int(i): fit_frame(array[i], pre) for i in np.unique(picks)}
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
