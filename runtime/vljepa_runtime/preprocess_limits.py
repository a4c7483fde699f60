"""How large the geometry of a window may be: the one place that says so, for bundles, checkpoints and callers alike.

A window is allocated from these numbers alone, before a picture or a graph is looked at.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from vljepa_runtime.errors import InputError

if TYPE_CHECKING:
    from vljepa_runtime.patches import Preprocess

__all__ = ["MAX_TOKENS", "check_limits"]

LIMITS = {
    "frames": 1024,  # V-JEPA 2 was trained with 64 at most
    "size": 4096,  # pixels; the largest public video encoders take 512
    "patch": 512,  # pixels; 14 and 16 are usual
    "tubelet": 64,  # frames; 2 is usual
    "short_side": 8192,  # pixels, before the crop
}
MIN_FPS, MAX_FPS = 0.001, 1000.0  # a frame in 17 minutes; a high-speed camera
MAX_PIXELS = 1 << 25  # of all frames of a window, 96 MiB of RGB: 128 frames of 512 x 512
MAX_TOKENS = 1 << 15  # tubelets of a window; V-JEPA 2 at 384 pixels and 64 frames has 18,432


def check_limits(pre: Preprocess) -> None:
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
