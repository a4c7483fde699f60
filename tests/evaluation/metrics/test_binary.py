"""F1 and average precision are scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score

from vljepa_evaluation.metrics import average_precision, binary_f1
from vljepa_runtime.errors import InputError


def test_f1_is_scikit_learns_and_its_interval_covers_it() -> None:
    random = np.random.default_rng(1)
    truth, said = random.random(300) < 0.4, random.random(300) < 0.5
    found = binary_f1(truth, said)
    assert found.value == pytest.approx(f1_score(truth, said))
    assert found.low < found.value < found.high
    whole = binary_f1(truth, said, groups=np.arange(300) // 30)
    assert whole.value == found.value
    assert binary_f1([False, False], [False, False]).value == 0.0
    with pytest.raises(InputError, match="expected as many answers as truths"):
        binary_f1([True], [True, False])


def test_average_precision_is_scikit_learns() -> None:
    random = np.random.default_rng(2)
    for _ in range(20):
        scores, right = random.random(30), random.random(30) < 0.2
        right[0] = True
        assert average_precision(scores, right) == pytest.approx(average_precision_score(right, scores))
    assert (
        average_precision(np.zeros(4), np.array([True, False, False, False])) == 0.25
    )  # ties count against it
    with pytest.raises(InputError, match="expected one right candidate or more"):
        average_precision(np.zeros(2), np.zeros(2, bool))
