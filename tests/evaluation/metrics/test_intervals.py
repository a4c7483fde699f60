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


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: mean_of([]), "finite values"),
        (lambda: mean_of([1.0, np.inf]), "finite values"),
    ],
)
def test_bad_input(build, message) -> None:
    with pytest.raises(InputError, match=message):
        build()
