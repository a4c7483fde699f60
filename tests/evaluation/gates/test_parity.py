"""How near two runs of a graph are, against scikit-learn, and limits that bite."""

from __future__ import annotations

import numpy as np
import pytest

from vljepa_evaluation.gates import EIGHT_BIT, FLOAT, FOUR_BIT, HALF, Limits, compare_outputs, misses


def test_numbers_equal_scikit_learn() -> None:
    pairwise = pytest.importorskip("sklearn.metrics.pairwise")
    rng = np.random.default_rng(0)
    wanted = [rng.standard_normal((2, 5, 7)).astype(np.float32) for _ in range(3)]
    got = [array + 0.1 * rng.standard_normal(array.shape).astype(np.float32) for array in wanted]
    found = compare_outputs([[array] for array in wanted], [[array] for array in got])
    a, b = (np.concatenate(side).reshape(-1, 7) for side in (wanted, got))
    cosines = 1 - pairwise.paired_cosine_distances(a, b)
    assert found.rows == len(cosines) == 30
    assert found.mean_cosine == pytest.approx(cosines.mean(), abs=1e-6)
    assert found.p1_cosine == pytest.approx(np.percentile(cosines, 1), abs=1e-6)
    assert found.worst_cosine == pytest.approx(cosines.min(), abs=1e-6)
    assert found.max_abs == pytest.approx(np.abs(a - b).max())
    assert found.psnr_db == pytest.approx(
        20 * np.log10(np.abs(a).max() / np.sqrt(((a - b) ** 2).mean())), abs=1e-4
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf], ids=["nan", "inf"])
def test_a_value_that_is_no_number_fails_every_gate(bad: float) -> None:
    wanted = np.ones((4, 3), np.float32)
    got = wanted.copy()
    got[2, 1] = bad
    found = compare_outputs([[wanted]], [[got]])
    assert (found.worst_cosine, found.psnr_db) == (-1.0, 0.0)
    assert np.isfinite(found.max_abs)
    assert all(misses(limits.graph_gates(found)) for limits in (FLOAT, HALF, EIGHT_BIT, FOUR_BIT))


def test_the_worst_token_counts_when_mean_and_pool_look_fine() -> None:
    rng = np.random.default_rng(1)
    wanted = rng.standard_normal((1, 2048, 16)).astype(np.float32)
    got = wanted.copy()
    got[0, 7] = rng.standard_normal(16)
    found = compare_outputs([[wanted]], [[got]])
    assert found.mean_cosine > 0.999
    assert [miss.split(" of ")[0] for miss in misses(HALF.graph_gates(found))] == ["expected a worst cosine"]


def test_limits_are_ordered() -> None:
    floors = [limits.worst_cosine for limits in (FLOAT, HALF, EIGHT_BIT, FOUR_BIT)]
    assert floors == sorted(floors, reverse=True)
    assert Limits.loosest([FLOAT, EIGHT_BIT]) == EIGHT_BIT
