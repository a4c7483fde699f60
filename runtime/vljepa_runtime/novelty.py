"""How far a window lies from what a model was calibrated on: the distance that says "nothing I know".

A few Gaussians over pooled visual tokens, one for each kind of recording that the model knows (Lee et al., 2018, arXiv
1807.03888, with a covariance of each and a low rank). Knows no bundle; how they are fitted, `vljepa_evaluation.novelty`
says.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vljepa_runtime.errors import BundleError
from vljepa_runtime.files.tensors import pack, unpack

__all__ = ["NOTHING_KNOWN", "NOVELTY_FILE", "JudgedWindows", "Novelty", "shown_text"]

NOVELTY_FILE = "novelty.safetensors"
NOTHING_KNOWN = "nothing I know"
NAMES = ("mean", "directions", "variances", "rest")
MAX_BYTES = 16 << 20  # two recordings of 1,408 values and 64 directions have 0.4 MB
KEPT = 1 << 16  # windows of a stream at most: 18 hours of one a second, 1 MB
Floats = npt.NDArray[np.floating]


def shown_text(text: str, *, unknown: bool | None) -> str:
    """What people read of a segment: its words, or that the model knows nothing of what it shows."""
    return text or (NOTHING_KNOWN if unknown else "")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Novelty:
    """Where the pooled visual tokens of known windows lie; all of it is held in float64.

    Attributes:
        mean: (K, D) the middle of each kind of recording.
        directions: (K, R, D) its R directions of most variance, orthonormal.
        variances: (K, R) along those.
        rest: (K,) variance along each of the other directions.

    Examples:
        >>> import vljepa_runtime as vj
        >>> import numpy as np
        >>> novelty = vj.Novelty(
        ...     mean=np.zeros((1, 3)), directions=np.eye(1, 3)[None], variances=np.ones((1, 1)), rest=np.array([0.01])
        ... )
        >>> novelty.distances(np.array([[2, 0, 0], [0, 2, 0]])).round(1).tolist()
        [1.3, 133.3]
        >>> vj.Novelty.from_bytes(novelty.to_bytes()).width
        3
    """

    mean: Floats
    directions: Floats
    variances: Floats
    rest: Floats

    def __post_init__(self) -> None:
        shapes = {name: getattr(self, name).shape for name in NAMES}
        kinds, rank, width = shapes["directions"] if len(shapes["directions"]) == 3 else (0, 0, 0)
        wanted = {"mean": (kinds, width), "directions": (kinds, rank, width), "variances": (kinds, rank)}
        if not kinds * width or rank >= width or shapes != {**wanted, "rest": (kinds,)}:
            raise BundleError(
                f"{NOVELTY_FILE}: expected (K, D), (K, R, D), (K, R) and (K,), got {shapes}: export it again"
            )
        values = [np.asarray(getattr(self, name), np.float64) for name in NAMES]
        for name, value in zip(NAMES, values):  # once, and not for every window
            object.__setattr__(self, name, value)
        positive = bool((values[2] > 0).all() and (values[3] > 0).all())
        if not positive or not all(np.isfinite(each).all() for each in values):
            raise BundleError(
                f"{NOVELTY_FILE}: expected finite numbers and variances above 0: export it again"
            )

    @property
    def width(self) -> int:
        """D, of a visual token."""
        return int(self.mean.shape[1])

    def distances(self, pooled: Floats) -> Floats:
        """Mean squared distance in standard deviations to the nearest kind of recording.

        Args:
            pooled: (W, D) visual tokens of W windows, see `pool_tokens`.

        Returns:
            (W,); about 1 for what is known.
        """
        rows = np.asarray(pooled, np.float64)
        found: Floats = np.stack([self._to(rows, kind) for kind in range(len(self.mean))]).min(axis=0)
        return found

    def _to(self, rows: Floats, kind: int) -> Floats:
        away = rows - self.mean[kind]
        along = np.square(away @ self.directions[kind].T)
        beside = np.maximum(np.square(away).sum(axis=1) - along.sum(axis=1), 0)
        found: Floats = (along / self.variances[kind]).sum(axis=1)
        total: Floats = (found + beside / self.rest[kind]) / rows.shape[1]
        return total

    def to_bytes(self) -> bytes:
        """As a bundle holds it."""
        return pack({name: np.asarray(getattr(self, name), np.float32) for name in NAMES}, {})

    @classmethod
    def from_bytes(cls, data: bytes) -> Novelty:
        """Read what `to_bytes` wrote.

        Raises:
            BundleError: it is something else.
        """
        try:
            arrays, _ = unpack(data, most=MAX_BYTES)
        except ValueError as error:
            raise BundleError(
                f"{NOVELTY_FILE} holds no readable tensors ({error}): export it again"
            ) from error
        if set(arrays) != set(NAMES) or any(array.dtype != np.float32 for array in arrays.values()):
            raise BundleError(
                f"{NOVELTY_FILE}: expected {', '.join(NAMES)}, got {sorted(arrays)[:8]}: export it again"
            )
        return cls(**arrays)


class JudgedWindows:
    """Which of a stream's last windows were unknown, so that a segment can be told to be; memory is bounded."""

    def __init__(self) -> None:
        self._times_s = array("d")
        self._weights = array("q")  # below zero: of windows that show known things

    def add(self, time_s: float, unknown: bool | None, *, weight: int = 1) -> None:
        """The next window, with this middle; a held picture weighs as many as it stands for."""
        if unknown is None:
            return
        if len(self._times_s) == KEPT:
            del self._times_s[: KEPT // 2], self._weights[: KEPT // 2]
        self._times_s.append(time_s)
        self._weights.append(weight if unknown else -weight)

    def unknown(self, start_s: float, end_s: float) -> bool | None:
        """Whether most of a segment's windows were unknown; None where none of them was judged, or is remembered."""
        inside = list[int]()
        for time_s, weight in zip(
            reversed(self._times_s), reversed(self._weights)
        ):  # time may have run backwards
            if time_s < start_s:
                break
            if time_s <= end_s:
                inside.append(weight)
        return sum(inside) > 0 if inside else None
