"""Leaving out without fitting again, against scikit-learn fitting again."""

from __future__ import annotations

import numpy as np
import pytest

from vljepa_teach.ridge import balanced, folds_of, held_out_scores

linear_model = pytest.importorskip("sklearn.linear_model")
model_selection = pytest.importorskip("sklearn.model_selection")


@pytest.fixture(params=[(30, 5, 3), (12, 40, 2)], ids=["more rows", "more columns"])
def data(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows (N, D), labels and groups of one to three rows of one label."""
    count, width, states = request.param
    draw = np.random.default_rng(count)
    groups = np.sort(draw.integers(0, count // 2, count))
    labels = groups % states
    return draw.normal(size=(count, width)) + labels[:, None], labels, groups


@pytest.mark.parametrize("strength", [1e-3, 0.1, 3.0])
def test_held_out_is_what_a_fit_without_the_group_says(
    data: tuple[np.ndarray, np.ndarray, np.ndarray], strength: float
) -> None:
    rows, labels, groups = data
    (ours,) = held_out_scores(rows, labels, groups, [strength])
    targets = np.eye(labels.max() + 1)[labels]
    for seen, left in model_selection.LeaveOneGroupOut().split(rows, groups=groups):
        weights = balanced(labels[seen], groups[seen])
        centred = rows[seen] - weights @ rows[seen] / weights.sum()
        oracle = linear_model.Ridge(alpha=strength * float((weights[:, None] * centred**2).sum()))
        oracle.fit(rows[seen], targets[seen], sample_weight=weights)
        np.testing.assert_allclose(ours[left], oracle.predict(rows[left]), rtol=1e-6, atol=1e-8)


def test_very_many_groups_are_left_out_some_at_a_time() -> None:
    groups = np.random.default_rng(0).permutation(320)
    labels = groups % 160
    folds = folds_of(labels, groups)
    assert len(set(folds)) == 100
    assert all(len(set(folds[labels == label])) == 2 for label in range(160))  # never all of a state


def test_states_and_groups_count_the_same_whatever_their_size() -> None:
    labels, groups = np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1, 2, 3])
    assert balanced(labels, groups).tolist() == [0.25, 0.25, 0.5, 0.5, 0.5]


def test_rows_that_are_all_one_say_nothing() -> None:
    numbers = np.arange(4)
    (scores,) = held_out_scores(np.ones((4, 3)), numbers // 2, numbers, [1.0])
    np.testing.assert_allclose(scores, 0.5)
