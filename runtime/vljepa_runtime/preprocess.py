"""How frames become the tokens of a model, and how large a window may be: for bundles, checkpoints and callers alike.

A window is allocated from these numbers alone, before a picture or a graph is looked at.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from vljepa_runtime import arguments
from vljepa_runtime.contract import MAX_TOKENS
from vljepa_runtime.errors import InputError
from vljepa_runtime.files.records import check_keys
from vljepa_runtime.files.values import RecordError

__all__ = ["Preprocess"]

RESIZE_MODES = ("crop", "stretch", "pad", "antialias")
SAMPLINGS = ("time", "frames")
ROUNDINGS = ("nearest", "floor")
CHOICES = {"resize": RESIZE_MODES, "crop_offset": ROUNDINGS, "sampling": SAMPLINGS, "picks": ROUNDINGS}
USUAL = {"short_side": 0, "crop_offset": "nearest", "sampling": "time", "picks": "nearest"}
"""Newer fields, written to a bundle only where they say something else than this."""
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
LIMITS = {
    "frames": 1024,  # V-JEPA 2 was trained with 64 at most
    "size": 4096,  # pixels; the largest public video encoders take 512
    "patch": 512,  # pixels; 14 and 16 are usual
    "tubelet": 64,  # frames; 2 is usual
    "short_side": 8192,  # pixels, before the crop
}
MIN_FPS, MAX_FPS = 0.001, 1000.0  # a frame in 17 minutes; a high-speed camera
MAX_PIXELS = 1 << 25  # of all frames of a window, 96 MiB of RGB: 128 frames of 512 x 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocess:
    """How frames become the tokens a model was trained on.

    Attributes:
        frames: Frames in one window (T).
        fps: Frames per second at which a window samples its source.
        size: Height and width in pixels after fitting.
        patch: Height and width of a tubelet in pixels.
        tubelet: Frames in a tubelet.
        mean: Per-channel mean of RGB in 0..1; recorded, applied inside the graph.
        std: Per-channel standard deviation of RGB in 0..1.
        resize: `crop` (short side to `size`, centre crop), `stretch`, `pad` (letterbox), or `antialias` (as `crop`,
            with the triangle filter of torchvision and PIL, which imported models were trained with).
        short_side: With `antialias`, the short side before the crop; 0 for `size`.
        crop_offset: With `antialias`, where the crop begins when the margin is odd: at the `nearest` whole pixel
            (torchvision; a half goes to the even one), or the `floor` (transformers).
        sampling: What the frames of a whole clip are spread over evenly: its `time`, so that the picture on show
            at each instant counts, or all its `frames` by number, whatever the rate.
        picks: How evenly spaced numbers become frame numbers: the `nearest`, or the `floor`.
    """

    frames: int = 8
    fps: float = 4.0
    size: int = 96
    patch: int = 12
    tubelet: int = 2
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    resize: str = "crop"
    short_side: int = 0
    crop_offset: str = "nearest"
    sampling: str = "time"
    picks: str = "nearest"

    def __post_init__(self) -> None:
        _check_limits(self)
        if min(self.frames, self.size, self.patch, self.tubelet) < 1 or self.fps <= 0:
            raise InputError(f"preprocess: frames, fps, size, patch and tubelet must be positive, got {self}")
        if self.frames % self.tubelet or self.size % self.patch:
            raise InputError(
                f"preprocess: {self.frames} frames of {self.size} px do not divide into "
                f"tubelets of {self.tubelet} frames x {self.patch} px"
            )
        for name, allowed in CHOICES.items():
            arguments.choice(getattr(self, name), f"preprocess: {name}", allowed)
        if self.short_side and (self.resize != "antialias" or self.short_side < self.size):
            raise InputError(
                f"preprocess: short_side goes with resize antialias and is at least size, got {self.short_side}"
            )
        if self.crop_offset != USUAL["crop_offset"] and self.resize != "antialias":
            raise InputError(
                f"preprocess: crop_offset {self.crop_offset} goes with resize antialias, got {self.resize}"
            )
        if {len(list(self.mean)), len(list(self.std))} != {3} or min(self.std) <= 0:
            raise InputError("preprocess: mean and std need three numbers each, std above 0")

    @property
    def grid(self) -> tuple[int, int, int]:
        """Tubelets along (time, height, width)."""
        side = self.size // self.patch
        return self.frames // self.tubelet, side, side

    @property
    def tokens(self) -> int:
        """Tubelets in a full window (N)."""
        t, h, w = self.grid
        return t * h * w

    @property
    def patch_dim(self) -> int:
        """Values in one tubelet (P)."""
        return self.tubelet * self.patch * self.patch * 3

    @property
    def seconds(self) -> float:
        """Length of a window in seconds."""
        return self.frames / self.fps

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as written to `bundle.json`; the newer fields only where they say something."""
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self).items()
            if key not in USUAL or value != USUAL[key]
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preprocess:
        """Read what `to_dict` wrote.

        Raises:
            InputError: a key is unknown or a value is out of range.
        """
        arguments.instance(values, "preprocess", Mapping)
        try:
            check_keys(cls, values, "preprocess")
        except RecordError as error:
            raise InputError(str(error)) from error
        plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**plain)


def _check_limits(pre: Preprocess) -> None:
    """Refuse numbers of another type, and windows that no model takes.

    Raises:
        InputError: a number is not whole where it counts something, not finite, or beyond its limit.
    """
    for name, limit in LIMITS.items():
        value = getattr(pre, name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise InputError(f"preprocess: {name} must be a whole number, got {repr(value)[:40]}")
        if abs(value) > limit:
            raise InputError(f"preprocess: {name} must be at most {limit}, got {value:.6g}")
    if not _is_number(pre.fps):
        raise InputError(f"preprocess: fps must be a finite number, got {repr(pre.fps)[:40]}")
    if pre.fps > 0 and not MIN_FPS <= pre.fps <= MAX_FPS:
        raise InputError(f"preprocess: fps must lie in {MIN_FPS:g}..{MAX_FPS:g}, got {pre.fps:.6g}")
    for name in ("mean", "std"):
        triple = getattr(pre, name)
        if not isinstance(triple, (list, tuple)) or not all(map(_is_number, triple)):
            raise InputError(f"preprocess: {name} needs three finite numbers, got {repr(triple)[:60]}")
    _check_window(pre)


def _check_window(pre: Preprocess) -> None:
    pixels = pre.frames * pre.size * pre.size
    if pixels > MAX_PIXELS:
        raise InputError(
            f"preprocess: a window must have at most {MAX_PIXELS} pixels, got {pixels}: "
            f"{pre.frames} frames of {pre.size} x {pre.size}"
        )
    if pre.patch > 0 and pre.tubelet > 0 and pre.tokens > MAX_TOKENS:
        raise InputError(f"preprocess: a window must have at most {MAX_TOKENS} tubelets, got {pre.tokens}")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and _finite(value)


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that no float holds
        return False
