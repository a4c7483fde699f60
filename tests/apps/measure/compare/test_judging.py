"""Verdicts: what is called different, what is not, and what a measurement of this size could not see."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vljepa_apps.measure.compare.judging import Verdict, differences, expectation, judge
from vljepa_evaluation.tasks import MARGIN, TaskResult
from vljepa_runtime.errors import InputError


def measured(
    right: int, n: int = 300, *, task: str = "vqa/count", shift: float | np.ndarray[Any, Any] = 0.0
) -> dict[str, TaskResult]:
    """One task: the first so many are right, all margins are moved."""
    margins = np.where(np.arange(n) < right, 0.1, -0.1) + np.random.default_rng(0).normal(0, 0.02, n)
    scores = {"accuracy": margins > 0, MARGIN: margins + shift, "blind_constant": np.zeros(n)}
    return {task: TaskResult.of(task, "accuracy", scores)}


def verdict(**subjects: dict[str, TaskResult]) -> Verdict:
    labels = list(subjects)
    (found,) = judge(tuple(differences(subjects, labels[0])), labels)
    return found


def test_equal_subjects_are_not_different_and_it_says_what_would_be_seen() -> None:
    found = verdict(a=measured(280), b=measured(280))
    assert (found.kind, found.p, found.tests) == ("not different at this size", 1.0, 3)
    assert str(found) == (
        "b against a: not different at this size (p = 1 after 3 tests): a difference of up to 1.26 points "
        "(vqa/count) cannot be excluded with 300 clips; one of 1.81 points would be seen 4 times of 5"
    )
    assert found.keeps("equal")
    assert found.keeps("1.3pt")
    assert not found.keeps("1pt")  # nothing speaks against it, but that is not known


def test_what_differs_is_named_first() -> None:
    found = verdict(a=measured(280), b=measured(200))
    assert found.kind == "different"
    assert str(found).startswith("b against a: different (p < 0.0001 after 3 tests): vqa/count ")
    assert "accuracy -26.67 points [-3" in str(found)
    assert not found.keeps("equal")
    assert found.keeps("40pt")  # it is different, and known to be within 40 points
    assert [(each["task"], each["metric"]) for each in found.to_dict()["different"]] == [
        ("vqa/count", "accuracy"), ("vqa/count", "margin"), ("vqa/count", "margin_moved"),
    ]  # fmt: skip


def test_margins_show_what_answers_do_not_yet() -> None:
    found = verdict(a=measured(280), b=measured(280, shift=-0.001))
    assert found.kind == "different in margins alone"
    assert not found.keeps("equal")
    assert "margin -0.0010" in str(found)
    assert "accuracy" not in str(found)
    assert "up to 1.26 points (vqa/count) cannot be excluded" in str(found)


def test_margins_that_move_up_and_down_alike_are_seen_though_their_mean_stays() -> None:
    swaying = 0.002 * np.tile([1.0, -1.0], 150)
    found = verdict(a=measured(280), b=measured(280, shift=swaying))
    assert found.kind == "different in margins alone"
    assert found.p is not None
    assert found.p < 0.001
    assert [each.metric for each in found.found] == ["margin_moved"]
    assert "margin_moved +0.0020 [+0.0020, +0.0020]" in str(found)
    assert not found.keeps("equal")


def test_the_rounding_of_engines_is_no_difference() -> None:
    assert verdict(a=measured(280), b=measured(280, shift=1e-5)).kind == "not different at this size"
    for seed in range(10):
        rounded = np.random.default_rng(seed).normal(0, 5e-5, 300)
        found = verdict(a=measured(280), b=measured(280, shift=rounded))
        assert (found.kind, found.p) == ("not different at this size", 1.0)


def test_many_tests_of_equal_subjects_are_corrected() -> None:
    """One of 12 tasks at p = 0.02 is no wonder."""
    tasks = [f"t{index}" for index in range(12)]
    same = {name: TaskResult.of(name, "accuracy", {"accuracy": [1.0] * 100}) for name in tasks}
    lost = dict(same) | {"t3": TaskResult.of("t3", "accuracy", {"accuracy": [0.0] * 6 + [1.0] * 94})}
    found = verdict(a=same, b=lost)
    assert found.p == pytest.approx(12 * 0.015625)
    assert found.kind == "not different at this size"


def test_without_a_shared_task_nothing_is_judged() -> None:
    found = verdict(a=measured(280), b={})
    assert str(found) == "b against a: not judged: no task was measured on both"
    assert not found.keeps("equal")
    assert not found.keeps("99pt")
    assert found.to_dict()["p"] is None


def test_expectations_are_read_strictly() -> None:
    assert [expectation(text) for text in ("equal", "2pt", "0.5pt")] == ["equal", "2pt", "0.5pt"]
    for text in ("same", "2", "0pt", "-1pt", "2 pt"):
        with pytest.raises(InputError, match="expected equal or a number of points"):
            expectation(text)
