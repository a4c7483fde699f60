"""How near two runs of one graph are, row by row. A row is one token or one vector: the last axis of an output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vljepa_evaluation.metrics import row_cosines

__all__ = ["PSNR_CEILING_DB", "GraphParity", "compare_outputs"]

Array = npt.NDArray[Any]

PSNR_CEILING_DB = 200.0  # what equal arrays count as, so that every number is finite


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphParity:
    """How near a graph is to the float model, over all samples.

    Attributes:
        mean_cosine: Mean over all rows of all outputs.
        p1_cosine: The first percentile: one row in a hundred is worse.
        worst_cosine: Smallest cosine of a row.
        max_abs: Largest absolute difference of any value.
        psnr_db: Peak signal to noise ratio of the worst output, in dB.
        rows: How many rows were compared.
    """

    mean_cosine: float
    p1_cosine: float
    worst_cosine: float
    max_abs: float
    psnr_db: float
    rows: int


def compare_outputs(wanted: Sequence[Sequence[Array]], got: Sequence[Sequence[Array]]) -> GraphParity:
    """Compare the outputs of two runs over the same samples.

    Args:
        wanted: Per sample, the float model's outputs in order.
        got: The same of the graph; values that are not finite count as a cosine of -1.

    Examples:
        >>> import numpy as np
        >>> from vljepa_evaluation.gates import compare_outputs
        >>> compare_outputs([[np.eye(2)]], [[np.array([[1, 0.75], [0, 1]])]])
        GraphParity(mean_cosine=0.9, p1_cosine=0.802, worst_cosine=0.8, max_abs=0.75, psnr_db=..., rows=2)
    """
    outputs = [
        (np.concatenate([_rows(array) for array in a]), np.concatenate([_rows(array) for array in b]))
        for a, b in zip(zip(*wanted), zip(*got), strict=True)
    ]
    cosines = np.concatenate([_cosines(a, b) for a, b in outputs])
    return GraphParity(
        mean_cosine=float(cosines.mean()),
        p1_cosine=float(np.percentile(cosines, 1)),
        worst_cosine=float(cosines.min()),
        max_abs=max(_largest(a, b) for a, b in outputs),
        psnr_db=min(_psnr(a, b) for a, b in outputs),
        rows=len(cosines),
    )


def _rows(array: Array) -> Array:
    return array.reshape(-1, array.shape[-1]).astype(np.float64)


def _cosines(a: Array, b: Array) -> Array:
    sound = np.asarray(np.isfinite(b).all(axis=1))
    b = np.where(sound[:, None], b, 0.0)
    both_zero = (a == 0).all(axis=1) & (b == 0).all(axis=1)
    return np.where(sound, np.where(both_zero, 1.0, np.minimum(row_cosines(a, b), 1.0)), -1.0)


def _largest(a: Array, b: Array) -> float:
    """The largest difference; a number too large for JSON stands for one that is not finite."""
    difference = float(np.abs(a - b).max())
    return difference if np.isfinite(difference) else float(np.finfo(np.float32).max)


def _psnr(a: Array, b: Array) -> float:
    error = float(np.square(a - b).mean())
    peak = float(np.abs(a).max())
    if not np.isfinite(error) or (peak == 0.0 and error > 0.0):
        return 0.0
    if error == 0.0:
        return PSNR_CEILING_DB
    return min(PSNR_CEILING_DB, 10.0 * float(np.log10(peak**2 / error)))
