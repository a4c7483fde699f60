"""Embeddings as graphs give them: checked, and at length 1."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from vljepa_runtime.contract import EMBEDDING
from vljepa_runtime.engines.protocol import Graph, Tensor, run_keeping
from vljepa_runtime.errors import RunError

__all__ = ["run_to_embeddings", "unit_rows"]

Float32 = npt.NDArray[np.float32]
LEAST_NORM = 1e-12  # of an embedding whose squares float32 adds exactly enough


def run_to_embeddings(graph: Graph, feeds: Mapping[str, Tensor], dim: int) -> Float32:
    """Run a graph that gives embeddings.

    Args:
        graph: Predictor or Y-encoder.
        feeds: Its inputs for B rows.
        dim: Length of an embedding (S).

    Returns:
        (B, S) float32, L2-normalised.

    Raises:
        RunError: there are others than B of S values, or one has no direction: it is all zeros.
    """
    found = np.asarray(run_keeping(graph, feeds, ())[EMBEDDING])
    wanted = (next(iter(feeds.values())).shape[0], dim)
    if found.shape != wanted:
        raise RunError(f"{graph.name} gave embeddings {found.shape}, expected {wanted}: export it again")
    rows = unit_rows(found)
    if not rows.any(axis=-1).all():
        raise RunError(f"{graph.name} gave an embedding of zeros, which has no direction: export it again")
    return rows


def unit_rows(rows: npt.NDArray[np.floating]) -> Float32:
    """L2-normalise rows (B, S), but those of zeros; float16 graphs come out a little off."""
    values = np.asarray(rows, np.float32)
    with np.errstate(over="ignore", under="ignore"):
        norms: npt.NDArray[np.floating] = np.linalg.norm(values, axis=-1, keepdims=True)
    if not np.logical_and(norms > LEAST_NORM, norms < np.inf).all():  # squares that float32 does not hold
        norms = np.linalg.norm(values.astype(np.float64), axis=-1, keepdims=True)
    return np.asarray(values / np.where(norms > 0, norms, 1), np.float32)
