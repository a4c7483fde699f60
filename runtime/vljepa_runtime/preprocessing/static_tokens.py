"""All tubelets of a window but those that only repeat what their place shows anyway."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from vljepa_runtime.arguments import number
from vljepa_runtime.preprocessing.changes import LEAST_CHANGE, Noise, changes
from vljepa_runtime.preprocessing.patches import Clip
from vljepa_runtime.preprocessing.saliency import saliency

__all__ = ["StaticTokens"]

Bool = npt.NDArray[np.bool_]
Float32 = npt.NDArray[np.float32]
UInt8 = npt.NDArray[np.uint8]
Int32 = npt.NDArray[np.int32]
RUN = 4  # instants that one static tubelet stands for at most
SHAPES = 8  # different counts at most, since engines prepare themselves for each


@dataclass(frozen=True, slots=True)
class StaticTokens:
    """All tubelets but those that only repeat what their place shows anyway.

    Where a place changes, the tubelets before and after are encoded. Where it does not, one tubelet stands for up to
    four instants, of another instant at each place, so that all instants are seen (after Choudhury et al., 2024, arXiv
    2411.05222, who keep the first); for the predictor its token is that of all of them. A window is judged by itself:
    nothing drifts, and nothing is to be refreshed.

    Args:
        threshold: What counts as a change, in levels of 255 of the mean of 4 x 4 pixels; more where the noise of the
            camera alone reaches it.

    Examples:
        >>> import numpy as np
        >>> import vljepa_runtime as vj
        >>> model, wall = vj.load("tiny"), np.full((8, 96, 96, 3), 128, np.uint8)
        >>> len(model.encode(wall)), len(model.encode(wall, tokens=vj.StaticTokens()))
        (256, 256)
        >>> len(model.patches(wall, tokens=vj.StaticTokens())[0])  # through the X-encoder
        64
    """

    threshold: float = LEAST_CHANGE
    completes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        number(self.threshold, "threshold", above=0, most=255)

    def rank(self, clip: Clip, patches: UInt8, positions: Int32, noise: Noise) -> tuple[Float32, int]:
        """See `TokenPolicy`; the count is rounded up, so that few different ones come, with the most salient."""
        noise.push(clip)
        changed = self._changed(clip, noise.least_change(self.threshold))
        wanted = changed | _spread(changed.shape)
        wanted[:-1] |= changed[1:]
        kept, tokens = int(wanted.sum()), len(patches)
        step = -(-tokens // SHAPES)
        count = min(tokens, -(-kept // step) * step)
        if count == kept:
            return wanted.reshape(-1).astype(np.float32), count
        score = saliency(patches, positions)
        return np.where(wanted.reshape(-1), np.float32(np.inf), score), count

    def _changed(self, clip: Clip, least: float) -> Bool:
        """(t, h, w): whether a tubelet differs from the last one of its place that did."""
        cells, pre = clip.cells, clip.preprocess
        reference = cells[:1].copy()
        changed = np.zeros(pre.grid, np.bool_)
        cell = cells.shape[2] // pre.grid[1], cells.shape[3] // pre.grid[2]
        for instant in range(1, len(cells)):
            now = cells[instant : instant + 1]
            changed[instant] = changes(now, reference, pre)[0] > least
            reference = np.where(changed[instant].repeat(cell[0], 0).repeat(cell[1], 1), now, reference)
        return changed


def _spread(grid: tuple[int, ...]) -> Bool:
    """(t, h, w): one instant of every few at each place, not the same one as at its neighbours."""
    t, h, w = np.indices(grid, sparse=True)
    run = min(RUN, grid[0])
    return np.asarray((t + h + 2 * w) % run == 0)
