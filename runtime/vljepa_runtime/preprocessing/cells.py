"""A window in little: the mean colours of cells of about 4 x 4 pixels, by which windows are compared.

What a sensor's noise does to those is small, what an object of a tubelet's size does is not. Knows pictures alone.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vljepa_runtime.preprocessing.preprocess import Preprocess

__all__ = ["cell_means", "shrunk"]

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]
CELL = 4  # pixels


def cell_means(frames: UInt8, pre: Preprocess) -> Float32:
    """Mean colour of each cell of each tubelet.

    Args:
        frames: (T, size, size, 3) fitted.
        pre: What they were fitted to.

    Returns:
        (t, 3, rows, columns) in levels of 255; rows and columns are whole multiples of those of the grid.
    """
    pictures = shrunk(frames, pre)
    means = pictures[:: pre.tubelet].copy()
    for number in range(1, pre.tubelet):  # a third of the time that `mean` takes
        means += pictures[number :: pre.tubelet]
    return np.ascontiguousarray((means / pre.tubelet).transpose(0, 3, 1, 2))


def shrunk(frames: UInt8, pre: Preprocess) -> Float32:
    """(T, rows, columns, 3) mean colours of the cells of each frame."""
    import cv2

    side = pre.grid[1] * max(1, round(pre.patch / CELL))
    tall = frames.reshape(-1, pre.size, 3)  # all in one go, one below the other
    small = cv2.resize(tall, (side, side * len(frames)), interpolation=cv2.INTER_AREA)
    return np.asarray(small.reshape(len(frames), side, side, 3), np.float32)
