"""Cosines of rows equal scikit-learn's, and rows without a direction have none."""

from __future__ import annotations

import numpy as np
import pytest

from vljepa_evaluation.metrics import row_cosines


def test_rows_equal_scikit_learn() -> None:
    pairwise = pytest.importorskip("sklearn.metrics.pairwise")
    a, b = np.random.default_rng(0).normal(size=(2, 40, 16))
    expected = 1 - pairwise.paired_cosine_distances(a, b)
    np.testing.assert_allclose(row_cosines(a, b), expected, atol=1e-12)
    np.testing.assert_allclose(row_cosines(a.astype(np.float32), b.astype(np.float32)), expected, atol=1e-6)


def test_a_row_of_zeros_points_nowhere() -> None:
    assert row_cosines(np.zeros((1, 2), np.float32), np.ones((1, 2), np.float32)).tolist() == [0.0]
