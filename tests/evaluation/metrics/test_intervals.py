"""The interval of a mean against the normal approximation."""

from __future__ import annotations

import numpy as np
import pytest

from vljepa_evaluation.metrics import mean_of
from vljepa_runtime.errors import InputError


def test_the_interval_of_a_mean_is_repeatable_and_covers() -> None:
    values = np.random.default_rng(0).normal(2, 1, size=400)
    found = mean_of(values, seed=1)
    assert found == mean_of(values, seed=1)
    assert found.low < values.mean() < found.high
    # the normal approximation is +-1.96 s / sqrt(n)
    assert found.high - found.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)
    assert mean_of([3.0]).low == 3.0


def test_samples_of_one_group_are_drawn_together() -> None:
    values = np.repeat(np.random.default_rng(0).normal(size=100), 4)
    groups = np.repeat(np.arange(100), 4)
    found, of_groups = mean_of(values, groups=groups), mean_of(values[::4])
    assert (found.value, found.low, found.high) == pytest.approx(
        (of_groups.value, of_groups.low, of_groups.high)
    )
    assert found.n == 400
    assert mean_of(values, groups=range(400)) == mean_of(values)
    uneven = mean_of([1.0, 1.0, 1.0, 0.0], groups=[7, 7, 7, 8])
    assert (uneven.low, uneven.value, uneven.high) == (0.0, 0.75, 1.0)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: mean_of([]), "finite values"),
        (lambda: mean_of([1.0, np.inf]), "finite values"),
        (lambda: mean_of([1.0, 2.0], groups=[1]), "a group for each of 2 samples"),
    ],
)
def test_bad_input(build, message) -> None:
    with pytest.raises(InputError, match=message):
        build()
