"""How far two rows of numbers point the same way."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["row_cosines"]

LEAST_NORMS = 1e-30


def row_cosines(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Cosine of each row of two arrays with the same row of the other; 0 where a row is all zeros.

    Args:
        a: (n, S); the norms are taken in its own type, as those in bundles always were, the products in float64.
        b: (n, S).

    Examples:
        >>> import numpy as np
        >>> from vljepa_evaluation.metrics import row_cosines
        >>> row_cosines(np.array([[3.0, 4.0], [0.0, 2.0]]), np.array([[3.0, 4.0], [1.0, 0.0]]))
        array([1., 0.])
    """
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosines: npt.NDArray[np.float64] = (a.astype(np.float64) * b).sum(axis=1) / np.maximum(norms, LEAST_NORMS)
    return cosines
