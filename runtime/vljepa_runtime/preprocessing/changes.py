"""What changed between two looks of one camera, beyond its noise and its light, by the cells of its windows.

Knows clips; no stream, no model.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar
from weakref import WeakSet

import numpy as np
import numpy.typing as npt

from vljepa_runtime.preprocessing.cells import shrunk
from vljepa_runtime.preprocessing.patches import Clip
from vljepa_runtime.preprocessing.preprocess import Preprocess

if TYPE_CHECKING:
    from vljepa_runtime.preprocessing.sampling import Window

__all__ = ["LEAST_CHANGE", "Noise", "WindowGate", "changes", "noise_of"]

T = TypeVar("T")
Float32 = npt.NDArray[np.float32]
LEAST_CHANGE = 6.0  # levels of 255 of a cell: a key frame of H.264 redraws a still wall by 2 to 4
LOWER_HALF = 0.3246  # mean size of the smaller half of normal values of deviation 1
MOST_NOISE = 3.0  # levels of a cell; above, it is motion all over and not a sensor
SIGMAS = 6.0  # a window has some 7,000 cells: four would be passed by chance in every other one
WINDOWS = 30  # whose quietest says how noisy a camera is
# Of its light: `tiny` gives 0.97 to windows that are 10 % or 12 levels lighter, 0.99 to half of that.
MOST_GAIN = 0.08
MOST_SHIFT = 10.0  # levels of its mean
EVEN = 25.0  # squared levels: a wall without contrast says nothing of the light's gain


def changes(cells: Float32, before: Float32, pre: Preprocess) -> Float32:
    """How far each tubelet is from what it was: the largest difference of a cell, once the light is made equal.

    Args:
        cells: (t, 3, rows, columns), see `Clip.cells`.
        before: The same, or (1, 3, rows, columns) to compare all instants with.
        pre: The geometry of both.

    Returns:
        (t, h, w) in levels of 255.
    """
    instants, _, rows, columns = cells.shape
    _, high, wide = pre.grid
    now, was = cells.reshape(instants, 3, -1), before.reshape(len(before), 3, -1)
    away = np.abs(now - _relit(was, now)).max(axis=1)
    cells_of_each = away.reshape(instants, high, rows // high, wide, columns // wide)
    return np.asarray(cells_of_each.max(axis=(2, 4)), np.float32)


def _relit(before: Float32, now: Float32) -> Float32:
    """What was, in the light of now: gain and shift of each colour and instant, by least squares over what stayed.

    Fitted to every third cell, without what differs most from the median, so that an object does not pass for light.
    Both are bounded.
    """
    x, y = np.broadcast_to(before, now.shape)[..., ::3], now[..., ::3]
    away = y - x
    away = np.abs(away - np.median(away, axis=2, keepdims=True))
    gain, shift = _light(x, y, (away <= 2 * away.mean(axis=2, keepdims=True) + 0.5).astype(np.float32))
    return gain * before + shift


def _light(x: Float32, y: Float32, weight: Float32) -> tuple[Float32, Float32]:
    """(t, 3, 1) gain and shift, which make y of x where the weight is 1."""
    count, x_sum, y_sum, squares, products = (
        np.einsum("tcn,tcn->tc", weight, each)[..., None] for each in (weight, x, y, x * x, x * y)
    )
    x_mean, y_mean = x_sum / count, y_sum / count
    spread, shared = squares / count - x_mean * x_mean, products / count - x_mean * y_mean
    gain = np.clip((shared + EVEN) / (spread + EVEN), 1 - MOST_GAIN, 1 + MOST_GAIN)
    return gain, x_mean + np.clip(y_mean - x_mean, -MOST_SHIFT, MOST_SHIFT) - gain * x_mean


def noise_of(clip: Clip) -> float | None:
    """How noisy a camera is, by two frames of a window in a row: by the half of its cells that changes least.

    Returns:
        The standard deviation of a cell's mean in a tubelet, in levels; None where all frames are the same.
    """
    frames, pre = clip.frames, clip.preprocess
    for last in range(len(frames) - 1, 0, -1):
        if not np.array_equal(frames[last], frames[last - 1]):
            one, other = shrunk(frames[last - 1 : last + 1], pre)
            away = one - other
            away = np.abs(away - np.median(away, axis=(0, 1))).ravel()  # without a light that is switched
            half = len(away) // 2
            least = float(np.partition(away, half)[:half].mean())
            return min(MOST_NOISE, least / LOWER_HALF / float(np.sqrt(2 * pre.tubelet)))
    return None


class Noise:
    """How noisy the camera of one stream is: as its quietest windows of late were."""

    def __init__(self) -> None:
        self._levels: deque[float] = deque(maxlen=WINDOWS)
        self._taken: WeakSet[Clip] = WeakSet()

    def push(self, clip: Clip) -> None:
        """Take a window; once, though the gate looks at it, a token policy, and the gate again when it was encoded."""
        if clip in self._taken:
            return
        self._taken.add(clip)
        if (level := noise_of(clip)) is not None:
            self._levels.append(level)

    def least_change(self, threshold: float) -> float:
        """What counts as a change, in levels: the threshold, or what noise alone does not reach."""
        held = tuple(self._levels)  # in one step, since another thread may add to them
        return max(threshold, SIGMAS * float(np.sqrt(2)) * min(held, default=0.0))


class WindowGate(Generic[T]):
    """Gives to each window of a stream that shows only what the last encoded one showed what was found for that.

    Compared is always with the window that was encoded last, not with the one before, so that slow changes add up until
    they are seen.

    Args:
        noise: Of the stream.
        max_age_s: For how long one encoded window may stand for others; 0 lets none.
    """

    def __init__(self, noise: Noise, max_age_s: float) -> None:
        self._noise, self._max_age_s = noise, max_age_s
        self._encoded: tuple[Float32, float, T] | None = None  # in one step, since another thread may read it

    def encoded(self, window: Window, found: T) -> None:
        """Windows are compared with this one from now on, for which this was found; from any thread."""
        if self._max_age_s:
            self._noise.push(window.clip)
            self._encoded = window.clip.cells, window.end_s, found

    def found_for(self, window: Window) -> T | None:
        """What was found for the last encoded window, where this one differs from it by noise and light alone."""
        if (encoded := self._encoded) is None:
            return None
        before, end_s, found = encoded
        is_young = 0 <= window.end_s - end_s <= self._max_age_s
        return found if is_young and self._is_same(window, before) else None

    def _is_same(self, window: Window, before: Float32) -> bool:
        now, pre = window.clip.cells, window.clip.preprocess
        if np.abs(now - before).max() <= LEAST_CHANGE:  # most windows of most cameras
            return True
        self._noise.push(window.clip)
        return bool(changes(now, before, pre).max() <= self._noise.least_change(LEAST_CHANGE))
