"""Ranks against small cases done by hand."""

from __future__ import annotations

import numpy as np
import pytest

from vljepa_evaluation.metrics import ranks
from vljepa_runtime.errors import InputError


def test_retrieval() -> None:
    similarity = np.array([[0.9, 0.1, 0.2], [0.8, 0.7, 0.1], [0.3, 0.2, 0.1]])
    assert ranks(similarity).tolist() == [0, 1, 2]
    assert ranks(similarity, [0, 0, 1]).tolist() == [0, 0, 1]


def test_a_collapsed_model_retrieves_nothing() -> None:
    assert ranks(np.ones((5, 5))).tolist() == [4] * 5


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ranks(np.full((2, 2), np.nan)), "finite"),
        (lambda: ranks(np.ones((2, 2)), [0, 2]), r"targets in 0\.\.1"),
    ],
)
def test_bad_input(build, message) -> None:
    with pytest.raises(InputError, match=message):
        build()
