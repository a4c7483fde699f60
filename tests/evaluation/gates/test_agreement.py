"""How far two models do the same, in cases where one thing differs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vljepa_evaluation.gates import EIGHT_BIT, Behaviour, compare_behaviours, misses


def behaviour(**changes: Any) -> Behaviour:
    eye = np.eye(4, dtype=np.float32)
    ranks = np.tile(np.arange(8, dtype=np.int32), (4, 1))
    values = {
        "embeddings": eye,
        "ranks": ranks,
        "labels": np.arange(4, dtype=np.int32),
        "triggers_s": np.array([1.0]),
    }
    return Behaviour(**{"checksum": 1, **values, **changes})


@pytest.mark.parametrize(
    ("changes", "field", "value", "miss"),
    [
        pytest.param({}, "overlap", 1.0, "", id="same"),
        pytest.param(
            {"ranks": np.tile(np.arange(8, dtype=np.int32)[::-1], (4, 1))},
            "overlap",
            0.4,
            "overlap",
            id="reversed",
        ),
        pytest.param({"labels": np.array([0, 1, 2, 0], np.int32)}, "labels", 0.75, "label", id="one-label"),
        pytest.param({"triggers_s": np.array([9.0])}, "triggers", 0.0, "trigger", id="other-moment"),
        pytest.param(
            {"embeddings": np.full((4, 4), np.nan, np.float32)},
            "embedding_worst",
            -1.0,
            "embedding",
            id="nan",
        ),
    ],
)
def test_agreement(changes: dict[str, Any], field: str, value: float, miss: str) -> None:
    found = compare_behaviours(behaviour(), behaviour(**changes))
    assert getattr(found, field) == pytest.approx(value)
    missed = misses(EIGHT_BIT.bundle_gates(found))
    assert len(missed) == bool(miss)
    assert all(miss in text for text in missed)
