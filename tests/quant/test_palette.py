"""Palettes: against scikit-learn's k-means."""

from __future__ import annotations

import numpy as np
import pytest

from vljepa_quant.palette import palette, palettes

MATRIX = np.random.default_rng(0).standard_t(4, (64, 96)).astype(np.float32)


@pytest.mark.parametrize("bits", [4, 6])
def test_a_palette_is_as_good_as_the_best_of_ten_by_scikit_learn(bits: int) -> None:
    cluster = pytest.importorskip("sklearn.cluster")
    values = MATRIX[:32].reshape(-1)
    table, index = palette(values, bits)
    assert len(table) == 2**bits
    assert np.all(np.diff(table) >= 0)
    theirs = (
        cluster.KMeans(2**bits, n_init=10, random_state=0).fit(values[:, None].astype(np.float64)).inertia_
    )
    assert np.square(table[index] - values).sum() < 1.1 * theirs


@pytest.mark.parametrize("values", [[1.0], [0.5, -0.5, 0.5], list(range(16))], ids=["one", "two", "sixteen"])
def test_few_values_are_kept_exactly(values: list[float]) -> None:
    table, index = palette(values, 4)
    np.testing.assert_array_equal(table[index], values)


def test_rows_of_a_group_share_a_palette() -> None:
    tables, indices = palettes(MATRIX, 4, 16)
    assert tables.shape == (4, 16)
    table, index = palette(MATRIX[16:32], 4)
    np.testing.assert_array_equal(tables[1], table)
    np.testing.assert_array_equal(indices.reshape(MATRIX.shape)[16:32].reshape(-1), index)
    assert palettes(MATRIX, 4, 48)[0].shape == (1, 16)  # does not divide


def test_an_entry_is_the_mean_of_what_is_stored_as_it() -> None:
    values = np.array([0, 0, 0, 0, 2, 4, 6])  # 2 lies in the middle between 0 and the mean of the rest
    table, index = palette(values, 1)
    assert [values[index == entry].mean() for entry in (0, 1)] == table.tolist()
