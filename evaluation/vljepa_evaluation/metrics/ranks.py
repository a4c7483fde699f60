"""Where the right candidate comes among all, from a matrix of similarities: retrieval and classification."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vljepa_runtime.errors import InputError

__all__ = ["ranks"]

Similarity = npt.NDArray[np.floating]


def ranks(similarity: Similarity, targets: npt.ArrayLike | None = None) -> npt.NDArray[np.int64]:
    """Place of each row's right column, 0 for the best.

    A tie counts against the target, so that a collapsed model whose similarities are all equal comes last.

    Args:
        similarity: (Q, N) queries against candidates.
        targets: (Q,) index of the right candidate; default the diagonal.

    Raises:
        InputError: shapes do not fit, or a value is not finite.

    Examples:
        >>> import numpy as np
        >>> from vljepa_evaluation.metrics import ranks
        >>> places = ranks(np.array([[0.9, 0.1, 0.2], [0.3, 0.2, 0.1], [0.0, 0.5, 0.4]]))
        >>> places, round(float((places < 1).mean()), 2)  # and recall@1
        (array([0, 1, 1]), 0.33)
    """
    if similarity.ndim != 2 or not similarity.size or not np.isfinite(similarity).all():
        raise InputError(f"expected finite (Q, N) similarities, got shape {similarity.shape} or NaN inside")
    queries, candidates = similarity.shape
    right = np.arange(queries) if targets is None else np.asarray(targets, np.int64)
    if right.shape != (queries,) or right.min() < 0 or right.max() >= candidates:
        raise InputError(f"expected {queries} targets in 0..{candidates - 1}, got shape {right.shape}")
    own = similarity[np.arange(queries), right][:, None]
    return np.asarray((similarity >= own).sum(axis=1) - 1, np.int64)
