"""What belongs together in time, in small cases done by hand."""

from __future__ import annotations

import numpy as np
import pytest

from vljepa_evaluation.metrics import Annotation, alike_moments, f1_of_moments, match_annotations
from vljepa_runtime.errors import InputError


def test_match_annotations_measures_to_the_interval() -> None:
    spans = [(0, 4), (4, 20), (21, 22), (40, 50)]
    annotations = [Annotation(start_s=a, end_s=b, captions=("x",)) for a, b in spans]
    assert match_annotations(np.array([1.0, 6.0, 11.0, 23.0]), annotations).tolist() == [0, 2, 3, 3]
    assert match_annotations(np.array([5.0]), annotations).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("reference", "other", "expected"),
    [
        pytest.param([], [], 1.0, id="none"),
        pytest.param([1.0], [], 0.0, id="missed"),
        pytest.param([1.0, 5.0], [1.5, 5.0], 1.0, id="within-a-stride"),
        pytest.param([1.0, 5.0], [1.6, 5.0], 0.5, id="too-late"),
        pytest.param([1.0], [0.5, 1.0, 1.5], 0.5, id="each-once"),
        pytest.param([1.0, 1.4], [1.2], 2 / 3, id="one-for-two"),
    ],
)
def test_moments_of_decoding(reference: list[float], other: list[float], expected: float) -> None:
    assert f1_of_moments(np.array(reference), np.array(other), within_s=0.5) == pytest.approx(expected)


def test_nothing_can_be_matched_with_no_output() -> None:
    with pytest.raises(InputError, match="decoded output"):
        match_annotations(np.zeros(0), [])


@pytest.mark.parametrize(
    ("ours", "theirs", "within_s", "expected"),
    [
        pytest.param([[0.0, 4.0]], [[0.0, 4.0]], 0.01, 1.0, id="the-same"),
        pytest.param([[0.0, 4.0, 9.0]], [[0.0, 5.0]], 0.01, 2 / 5, id="one-of-each-side"),
        pytest.param([[0.0, 4.0, 9.0]], [[0.0, 5.0]], 1.0, 4 / 5, id="within-a-window"),
        pytest.param([[0.0], [2.0]], [[0.0], [7.0]], 1.0, 0.5, id="stream-by-stream"),
        pytest.param([[]], [[1.0]], 1.0, 0.0, id="nothing-beside-something"),
        pytest.param([[]], [[]], 1.0, 1.0, id="nothing"),
    ],
)
def test_moments_that_both_have(
    ours: list[list[float]], theirs: list[list[float]], within_s: float, expected: float
) -> None:
    found = alike_moments(*([np.array(each) for each in side] for side in (ours, theirs)), within_s=within_s)
    assert found.value == pytest.approx(expected)
    assert found.low <= found.value <= found.high


def test_moments_of_other_streams_are_refused() -> None:
    with pytest.raises(InputError, match="got 1 and 2"):
        alike_moments([np.zeros(1)], [np.zeros(1)] * 2, within_s=1.0)
