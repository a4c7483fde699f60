"""How informative each tubelet is: by its structure, and by its motion. Knows tubelets alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["saliency"]

UInt8 = npt.NDArray[np.uint8]
Int32 = npt.NDArray[np.int32]


def saliency(patches: UInt8, positions: Int32) -> npt.NDArray[np.float32]:
    """Score tubelets by spatial contrast plus change over time.

    Change against the mean of all instants at the same place counts where there are several instants.

    Args:
        patches: (N, P) uint8 of all tubelets of one or more instants, ordered (t, h, w); for change over time, P
            must be even.
        positions: (N, 3) int32 tubelet indices (t, h, w).

    Returns:
        (N,) float32, larger is more informative.
    """
    # One contiguous row per tubelet and colour: ten times faster than reducing over strided pixels.
    values = np.ascontiguousarray(
        patches.reshape(len(patches), -1, 3)[:, ::2].transpose(0, 2, 1), dtype=np.float32
    )
    mean = values.mean(axis=2)
    squares = np.einsum("ncp,ncp->nc", values, values) / values.shape[2]
    contrast = np.sqrt(np.maximum(squares - mean * mean, 0)).mean(axis=1)
    instants = len(np.unique(positions[:, 0]))
    if instants < 2:
        return np.asarray(contrast, np.float32)
    places = mean.reshape(instants, -1, 3)
    drift = np.abs(places - places.mean(axis=0)).mean(axis=2).reshape(-1)
    halves = patches.reshape(len(patches), 2, -1)[:, :, ::3].astype(np.int16)
    motion = np.abs(halves[:, 0] - halves[:, 1]).mean(axis=1)
    return np.asarray(contrast + 2 * drift + 2 * motion, np.float32)
