"""What is kept of a graph's outputs: a digest of their bits, and a few numbers a row that tell how far rows are apart.

A row is one token or one vector: the last axis of an output.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["SKETCHED", "digest_of", "row_distances", "sketch"]

SKETCHED = 8
"""Projections of a row. Their distance is that of the rows within a third, one time in ten within a half."""
Array = npt.NDArray[Any]


def digest_of(outputs: Iterable[Array]) -> str:
    """Of all bits, types and shapes."""
    hashed = hashlib.sha256()
    for array in outputs:
        hashed.update(f"{array.dtype.str}{array.shape}".encode())
        hashed.update(np.ascontiguousarray(array).data)
    return hashed.hexdigest()[:16]


def sketch(array: Array) -> npt.NDArray[np.float32]:
    """The length of each row and its projections, (rows, 1 + SKETCHED)."""
    rows = array.reshape(-1, array.shape[-1]).astype(np.float64)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.hstack([length, rows @ _signs(rows.shape[1])]).astype(np.float32)


def row_distances(wanted: Array, got: Array) -> npt.NDArray[np.float64]:
    """How far sketched rows are apart, as a share of the wanted row's length; infinite for what is not finite.

    Examples:
        >>> import numpy as np
        >>> from vljepa_evaluation.gates.sketches import row_distances, sketch
        >>> rows = np.eye(2, 64)
        >>> row_distances(sketch(rows), sketch(rows * [[1.0], [1.25]]))
        array([0.  , 0.25])
    """
    apart = got[:, 1:].astype(np.float64) - wanted[:, 1:]
    length = np.maximum(wanted[:, 0].astype(np.float64), np.finfo(np.float32).tiny)
    shares = np.linalg.norm(apart, axis=1) / (length * np.sqrt(SKETCHED))
    return np.where(np.isfinite(shares), shares, np.inf)


@cache
def _signs(width: int) -> npt.NDArray[np.float64]:
    """Signs by chance, (width, SKETCHED): of a hash, so that they are the same everywhere and for ever."""
    bits = np.frombuffer(hashlib.shake_256(f"sketch {width}".encode()).digest(width), np.uint8)
    return np.unpackbits(bits[:, None], axis=1).astype(np.float64)[:, :SKETCHED] * 2 - 1
