"""A window in little: the mean colours of cells of about 4 x 4 pixels, by which windows are compared.

What a sensor's noise does to those is small, what an object of a tubelet's size does is not. Knows pictures alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vljepa_runtime.preprocessing.preprocess import Preprocess

__all__ = ["cell_means", "shrink"]

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]
CELL = 4  # pixels


def cell_means(shrunk: Sequence[Float32], pre: Preprocess) -> Float32:
    """Mean colour of each cell of each tubelet.

    Args:
        shrunk: (T, 3, rows, columns), each frame as `shrink` gives it.
        pre: What they were fitted to.

    Returns:
        (t, 3, rows, columns) in levels of 255; rows and columns are whole multiples of those of the grid.
    """
    means = np.stack(shrunk[:: pre.tubelet])
    for number in range(1, pre.tubelet):  # a third of the time that `mean` takes
        means += np.stack(shrunk[number :: pre.tubelet])
    means /= pre.tubelet
    return means


def shrink(frame: UInt8, pre: Preprocess) -> Float32:
    """(3, rows, columns) mean colours of the cells of a fitted frame (size, size, 3)."""
    import cv2

    side = pre.grid[1] * max(1, round(pre.patch / CELL))
    small = cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(small.transpose(2, 0, 1), np.float32)
