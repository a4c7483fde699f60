"""Embeddings as graphs give them: checked, and at length 1."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from vljepa_runtime.contract import EMBEDDING
from vljepa_runtime.engines.protocol import Graph, Tensor, run_keeping
from vljepa_runtime.errors import RunError
from vljepa_runtime.norms import unit_rows

__all__ = ["run_to_embeddings"]

Float32 = npt.NDArray[np.float32]


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
