"""What a candidate lost: answers otherwise than the most exact one, those that are as good aside."""

from __future__ import annotations

import numpy as np
import pytest

from vljepa_apps.measure.tune.agreement import AS_GOOD, ExactAnswers, stored_loss


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def test_it_is_the_share_of_windows_with_another_answer() -> None:
    random = np.random.default_rng(0)
    answers = [unit(random.normal(size=(count, 8))) for count in (5, 3)]
    exact = unit(random.normal(size=(60, 2, 8)))
    mine = unit(exact + 0.4 * unit(random.normal(size=(60, 2, 8))))
    other = 0
    for window in range(60):
        for query in range(2):
            scores = [float(exact[window, query] @ each) for each in answers[query]]
            said = max(range(len(scores)), key=lambda n: float(mine[window, query] @ answers[query][n]))
            other += max(scores) - scores[said] > AS_GOOD
    lost = ExactAnswers(exact, answers).lost_by(mine)
    assert other > 5
    assert lost.points == pytest.approx(100 * other / 120)
    assert 0 < lost.low_points < lost.points
    assert lost.windows == 120
    assert lost.cosine_p1 == pytest.approx(np.percentile((exact * mine).sum(-1), 1), abs=1e-5)


def test_answers_that_are_as_good_are_the_same() -> None:
    angle = AS_GOOD / 2  # of unit vectors near the window their cosines differ by less than this
    answers = unit(np.array([[1, 0, 0], [np.cos(angle), np.sin(angle), 0], [0, 0, 1]]))
    exact = answers[None, :1].repeat(4, axis=0)
    others = [answers[1], answers[2], answers[0], answers[1]]
    lost = ExactAnswers(exact, [answers]).lost_by(np.stack(others)[:, None])
    assert lost.points == 25


def test_fewer_windows_are_compared_with_as_many() -> None:
    rows = unit(np.random.default_rng(1).normal(size=(30, 1, 4)))
    exact = ExactAnswers(rows, [rows[:5, 0]])
    assert exact.lost_by(rows[:7]).windows == 7
    assert exact.lost_by(rows).points == 0


@pytest.mark.parametrize("count", [0, 1])
def test_one_answer_alone_says_nothing(count: int) -> None:
    rows = unit(np.random.default_rng(1).normal(size=(9, 1, 4)))
    exact = ExactAnswers(rows, [rows[:count, 0]])
    lost = exact.lost_by(-rows)
    assert (lost.windows, lost.points, exact.choices) == (0, 0, count)
    assert lost.cosine_p1 == pytest.approx(-1)


def test_stored_accuracy_counts_where_both_have_it() -> None:
    exact = {"classification": 0.98, "retrieval": 0.96, "vqa": 0.5}
    assert stored_loss(exact, {"classification": 0.97, "retrieval": 0.95}) == pytest.approx(1)
    assert stored_loss(exact, {"classification": 0.99}) == pytest.approx(-1)
    assert stored_loss(exact, {"other": 0.1}) is None
