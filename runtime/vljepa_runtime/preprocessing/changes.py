"""What changed between two looks of one camera, beyond its noise and its light, by the cells of its windows.

Knows clips; no stream, no model.
"""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from typing import TYPE_CHECKING, Generic, TypeVar
from weakref import WeakSet

import numpy as np
import numpy.typing as npt

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
TRUSTED = 8  # windows that a camera is taken to be as noisy as it was
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
    away = np.abs(cells - relit(before, *light_of(before, cells))).max(axis=1)
    cells_of_each = away.reshape(instants, high, rows // high, wide, columns // wide)
    return np.asarray(cells_of_each.max(axis=(2, 4)), np.float32)


def relit(cells: Float32, gain: Float32, shift: Float32) -> Float32:
    """Cells (t, 3, rows, columns) in another light; (t, 3) each, see `light_of`."""
    return gain[..., None, None] * cells + shift[..., None, None]


def light_of(before: Float32, now: Float32) -> tuple[Float32, Float32]:
    """What became of the light: gain and shift of each colour and instant, by least squares over what stayed.

    Fitted to every third cell, without what differs most from the median, so that an object does not pass for light.
    Both are bounded.

    Args:
        before: (t, 3, rows, columns), or (1, 3, rows, columns) for all instants.
        now: (t, 3, rows, columns).

    Returns:
        Gain and shift, (t, 3) each.
    """
    x, y = (np.ascontiguousarray(each.reshape(len(each), 3, -1)[..., ::3]) for each in (before, now))
    away = y - x
    away -= _middle(away)
    np.abs(away, out=away)
    weight = (away <= 2 / away.shape[2] * away.sum(axis=2, keepdims=True) + 0.5).astype(np.float32)
    return _fitted_light(np.broadcast_to(x, y.shape), y, weight)


def _fitted_light(x: Float32, y: Float32, weight: Float32) -> tuple[Float32, Float32]:
    """Gain and shift, (t, 3) each, which make y of x where the weight is 1."""
    of_x, of_y = weight * x, weight * y
    count, x_sum, y_sum = weight.sum(axis=2), of_x.sum(axis=2), of_y.sum(axis=2)
    squares, products = np.einsum("tcn,tcn->tc", of_x, x), np.einsum("tcn,tcn->tc", of_x, y)
    x_mean, y_mean = x_sum / count, y_sum / count
    spread, shared = squares / count - x_mean * x_mean, products / count - x_mean * y_mean
    gain = _within((shared + EVEN) / (spread + EVEN), 1 - MOST_GAIN, 1 + MOST_GAIN)
    return gain, x_mean + _within(y_mean - x_mean, -MOST_SHIFT, MOST_SHIFT) - gain * x_mean


def _within(values: Float32, least: float, most: float) -> Float32:
    return np.minimum(np.maximum(values, least), most)  # a third of the time of `np.clip`


def _middle(values: Float32) -> Float32:
    """Median along the last axis, which stays; a third of the time that `np.median` takes for so few values."""
    half = values.shape[-1] // 2
    if values.shape[-1] % 2:
        return np.partition(values, half, axis=-1)[..., half : half + 1]
    parted = np.partition(values, (half - 1, half), axis=-1)
    return (parted[..., half - 1 : half] + parted[..., half : half + 1]) / np.float32(2)


def noise_of(clip: Clip) -> float | None:
    """How noisy a camera is, by two frames of a window in a row: by the half of its cells that changes least.

    Returns:
        The standard deviation of a cell's mean in a tubelet, in levels; None where all frames are the same.
    """
    for one, other in pairwise(reversed(clip.fitted)):
        if one is not other and not np.array_equal(one.pixels, other.pixels):
            away = (one.shrunk - other.shrunk).reshape(3, -1)
            away = np.abs(away - _middle(away)).ravel()  # without a light that is switched
            half = len(away) // 2
            least = float(np.partition(away, half)[:half].mean())
            return min(MOST_NOISE, least / LOWER_HALF / float(np.sqrt(2 * clip.preprocess.tubelet)))
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
        self._encoded: _Encoded[T] | None = None  # in one step, since another thread may read it

    def encoded(self, window: Window, found: T) -> None:
        """Windows are compared with this one from now on, for which this was found; from any thread."""
        if self._max_age_s:
            self._noise.push(window.clip)
            self._encoded = _Encoded(window.clip.cells, window.end_s, found)

    def found_for(self, window: Window) -> T | None:
        """What was found for the last encoded window, where this one differs from it by noise and light alone."""
        if (encoded := self._encoded) is None:
            return None
        is_young = 0 <= window.end_s - encoded.end_s <= self._max_age_s
        return encoded.found if is_young and encoded.is_shown_by(window.clip, self._noise) else None


class _Encoded(Generic[T]):
    """The window that others are compared with, and how the last one looked that showed the same."""

    def __init__(self, cells: Float32, end_s: float, found: T) -> None:
        self.end_s, self.found = end_s, found
        self._cells, self._away = cells, np.empty_like(cells)
        self._lit, self._limit = cells, LEAST_CHANGE  # in that one's light, by that one's noise
        self._since = 0  # windows ago

    def is_shown_by(self, clip: Clip, noise: Noise) -> bool:
        """Whether a window differs from it by noise and light alone; most do by no more than the one before them."""
        now = clip.cells
        self._since += 1
        limit = self._limit if self._since <= TRUSTED else LEAST_CHANGE
        if self._farthest(now, self._lit) <= limit:
            return True
        gain, shift = light_of(self._cells, now)
        noise.push(clip)
        limit = noise.least_change(LEAST_CHANGE)
        if self._farthest(now, relit(self._cells, gain, shift)) > limit:
            return False
        # In the middle of a light that flickers, the next window is nearer to it than in that of each instant.
        self._lit = relit(self._cells, gain.mean(axis=0, keepdims=True), shift.mean(axis=0, keepdims=True))
        self._limit, self._since = limit, 0
        return True

    def _farthest(self, now: Float32, lit: Float32) -> float:
        away = np.subtract(now, lit, out=self._away)
        return max(float(away.max()), -float(away.min()))
