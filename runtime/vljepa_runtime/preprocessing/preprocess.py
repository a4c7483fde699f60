"""How frames become the tokens of a model, and how large a window may be: for bundles, checkpoints and callers alike.

A window is allocated from these numbers alone, before a picture or a graph is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar

from vljepa_runtime.contract import MAX_TOKENS
from vljepa_runtime.errors import InputError
from vljepa_runtime.files.records import AtMost, check_keys, check_record, plain
from vljepa_runtime.files.values import Positive, PositiveNumber, RecordError, one_of

__all__ = ["Preprocess", "Unfitted"]

RESIZE_MODES = ("crop", "stretch", "pad", "antialias")
SAMPLINGS = ("time", "frames")
ROUNDINGS = ("nearest", "floor")
USUAL = {"short_side": 0, "crop_offset": "nearest", "sampling": "time", "picks": "nearest"}
"""Newer fields, written to a bundle only where they say something else than this."""
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
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

    Examples:
        >>> import vljepa_runtime as vj
        >>> pre = vj.Preprocess(frames=16, fps=8, size=224, patch=16)
        >>> pre.seconds, pre.grid, pre.tokens, pre.patch_dim
        (2.0, (8, 14, 14), 1568, 1536)
    """

    fits: ClassVar[bool] = True
    """Whether frames are fitted at all."""
    frames: Annotated[Positive, AtMost(1024)] = 8  # V-JEPA 2 was trained with 64 at most
    fps: PositiveNumber = 4.0
    size: Annotated[Positive, AtMost(4096)] = 96  # the largest public video encoders take 512
    patch: Annotated[Positive, AtMost(512)] = 12  # 14 and 16 are usual
    tubelet: Annotated[Positive, AtMost(64)] = 2
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[PositiveNumber, PositiveNumber, PositiveNumber] = IMAGENET_STD
    resize: Annotated[str, partial(one_of, known=RESIZE_MODES)] = "crop"
    short_side: Annotated[int, AtMost(8192)] = 0
    crop_offset: Annotated[str, partial(one_of, known=ROUNDINGS)] = "nearest"
    sampling: Annotated[str, partial(one_of, known=SAMPLINGS)] = "time"
    picks: Annotated[str, partial(one_of, known=ROUNDINGS)] = "nearest"

    def __post_init__(self) -> None:
        check_record(self, error=InputError, where="preprocess.")
        _check_window(self)
        if self.frames % self.tubelet or self.size % self.patch:
            raise InputError(
                f"preprocess: {self.frames} frames of {self.size} px do not divide into "
                f"tubelets of {self.tubelet} frames x {self.patch} px"
            )
        if self.short_side and (self.resize != "antialias" or self.short_side < self.size):
            raise InputError(
                f"preprocess: short_side goes with resize antialias and is at least size, got {self.short_side}"
            )
        if self.crop_offset != USUAL["crop_offset"] and self.resize != "antialias":
            raise InputError(
                f"preprocess: crop_offset {self.crop_offset} goes with resize antialias, got {self.resize}"
            )

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
        return {key: value for key, value in plain(self).items() if key not in USUAL or value != USUAL[key]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preprocess:
        """Read what `to_dict` wrote.

        Raises:
            InputError: a key is unknown or a value is out of range.
        """
        try:
            check_keys(cls, values, "preprocess")
        except RecordError as error:
            raise InputError(str(error)) from error
        return cls(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfitted(Preprocess):
    """Which frames a clip takes, each as large as the source has it: for a model with a processor of its own.

    No file says this; of the attributes those that decide which frames are taken count.

    Examples:
        >>> import vljepa_runtime as vj
        >>> from vljepa_runtime.preprocessing import Unfitted
        >>> vj.read_clip("clip.mp4", Unfitted(frames=4), start_s=1, seconds=2).frames.shape
        (4, 128, 128, 3)
    """

    fits: ClassVar[bool] = False


def _check_window(pre: Preprocess) -> None:
    """Refuse windows that no model takes."""
    if not MIN_FPS <= pre.fps <= MAX_FPS:
        raise InputError(f"preprocess: fps must lie in {MIN_FPS:g}..{MAX_FPS:g}, got {pre.fps:.6g}")
    pixels = pre.frames * pre.size * pre.size
    if pixels > MAX_PIXELS:
        raise InputError(
            f"preprocess: a window must have at most {MAX_PIXELS} pixels, got {pixels}: "
            f"{pre.frames} frames of {pre.size} x {pre.size}"
        )
    if pre.tokens > MAX_TOKENS:
        raise InputError(f"preprocess: a window must have at most {MAX_TOKENS} tubelets, got {pre.tokens}")
