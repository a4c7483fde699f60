"""What covers each tubelet of a clip: dense truth that the world knows for nothing."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vljepa_data.world.clips import Clip
from vljepa_data.world.vocabulary import ACTIONS, COLOURS, SHAPES, SIZES, TEXTURES

__all__ = ["DENSE_CLASSES", "IGNORE", "tubelet_truth"]

IGNORE = -100
DENSE_CLASSES = {
    "shape": 1 + len(SHAPES) + 10, "colour": len(COLOURS), "texture": len(TEXTURES),
    "size": len(SIZES), "action": len(ACTIONS), "direction": 2,
}  # fmt: skip
"""Classes per attribute; shape 0 is scenery, the last ten are a hand's digits."""


def tubelet_truth(clip: Clip, grid: tuple[int, int, int]) -> npt.NDArray[np.int64]:
    """Label every tubelet with the object that covers its centre.

    Args:
        clip: A clip with its truth.
        grid: Tubelets along (time, height, width).

    Returns:
        (N, 6) in the order of DENSE_CLASSES; IGNORE where an attribute does not apply.

    Examples:
        >>> from vljepa_data.world import SHAPES, Split, make_clip, tubelet_truth
        >>> truth = tubelet_truth(make_clip(8, Split.TEST), (4, 8, 8))
        >>> truth.shape
        (256, 6)
        >>> [SHAPES[shape - 1] for shape in sorted(set(truth[:, 0].tolist())) if shape]
        ['box', 'ring', 'moon']
    """
    steps, rows, columns = grid
    truth = np.full((steps, rows, columns, len(DENSE_CLASSES)), IGNORE, np.int64)
    truth[..., 0] = 0
    centre_y = ((np.arange(rows) + 0.5) / rows)[None, :, None]
    centre_x = ((np.arange(columns) + 0.5) / columns)[None, None, :]
    group = len(clip.frames) // steps

    def cover(
        x: npt.NDArray[np.float32], y: npt.NDArray[np.float32], reach: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.bool_]:
        at = [
            np.asarray(v[: steps * group]).reshape(steps, group).mean(axis=1)[:, None, None]
            for v in (x, y, reach)
        ]
        return np.asarray((centre_x - at[0]) ** 2 + (centre_y - at[1]) ** 2 < (at[2] * 0.9) ** 2)

    for track in sorted(clip.tracks, key=lambda t: not t.behind):
        inside = cover(track.pose.x, track.pose.y, track.radius * track.pose.scale)
        known = track.action in ACTIONS
        side = {"left": 0, "right": 1}.get(track.direction, IGNORE)
        thing = track.thing
        action = ACTIONS.index(track.action) if known else IGNORE
        truth[inside] = (1 + thing.shape, thing.colour, thing.texture, thing.size, action, side)
    if clip.hand is not None:
        x, y, half, change = clip.hand
        inside = cover(x, y, np.full_like(x, half))
        first, last = clip.digits[0], clip.digits[-1]
        when = np.arange(steps)[:, None, None] * group < change
        digit = np.where(when, first, last) + 1 + len(SHAPES)
        truth[..., 0] = np.where(inside, digit, truth[..., 0])
    return truth.reshape(-1, len(DENSE_CLASSES))
