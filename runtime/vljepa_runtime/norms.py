"""Rows at length 1: embeddings, pooled tokens, examples of states."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["unit_rows"]

LEAST_NORM = 1e-12  # of a row whose squares float32 adds exactly enough


def unit_rows(rows: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """L2-normalise rows (..., S), but those of zeros; float16 graphs come out a little off."""
    values = np.asarray(rows, np.float32)
    with np.errstate(over="ignore", under="ignore"):
        norms: npt.NDArray[np.floating] = np.linalg.norm(values, axis=-1, keepdims=True)
    if not np.logical_and(norms > LEAST_NORM, norms < np.inf).all():  # squares that float32 does not hold
        norms = np.linalg.norm(values.astype(np.float64), axis=-1, keepdims=True)
    return np.asarray(values / np.where(norms > 0, norms, 1), np.float32)
