"""The best label of a stream: told at once, then only when another is better for a while."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from vljepa_runtime.errors import InputError
from vljepa_runtime.selection import BestLabel, Observation, run_policy

AXES = np.eye(4, dtype=np.float32)[:3]  # three labels; the fourth direction is none of them


def policy(**options: object) -> BestLabel:
    return BestLabel(labels=("left", "right", "up"), embeddings=AXES, **options)  # type: ignore[arg-type]


def windows(
    directions: list[object], *, step_s: float = 0.5, held: tuple[int, ...] = ()
) -> list[Observation]:
    """Windows of 2 s every `step_s`, each towards a label's number or along a vector."""
    rows = [np.eye(4)[d] if isinstance(d, int) else np.asarray(d, float) for d in directions]
    return [
        Observation(
            index=i, start_s=i * step_s, end_s=i * step_s + 2, embedding=row, held=int(i in held) and 4
        )
        for i, row in enumerate(rows)
    ]


def told(policy: BestLabel, seen: list[Observation]) -> list[tuple[str | None, float, float]]:
    return [(d.text, d.start_s, d.end_s) for d in run_policy(policy, seen)]


def test_the_first_window_decides_at_once() -> None:
    assert told(policy(), windows([1])) == [("right", 0.0, 2.0)]


def test_a_change_is_told_once_it_has_held_and_dated_to_its_first_window() -> None:
    assert told(policy(), windows([0, 0, 1, 1, 1, 1])) == [("left", 0.0, 2.0), ("right", 2.0, 3.5)]


def test_a_blink_is_not_told() -> None:
    assert told(policy(), windows([0, 1, 0, 1, 0])) == [("left", 0.0, 2.0)]


def test_without_hold_every_change_is_told() -> None:
    assert [text for text, *_ in told(policy(hold_s=0.0), windows([0, 1, 0, 2]))] == [
        "left", "right", "left", "up",
    ]  # fmt: skip


@pytest.mark.parametrize(("lead", "changes"), [(0.04, 1), (0.06, 2)])
def test_another_label_must_be_better_by_the_margin(lead: float, changes: int) -> None:
    close = [0.7 - lead, 0.7, 0.0, 0.1]  # nearly of length 1
    assert len(told(policy(margin=0.05), windows([0, close, close, close]))) == changes


def test_a_held_picture_needs_no_second_window() -> None:
    assert told(policy(), windows([0, 1, 0, 0], held=(1,))) == [
        ("left", 0.0, 2.0), ("right", 0.5, 2.5), ("left", 2.0, 3.5),
    ]  # fmt: skip


def test_below_min_score_none_of_the_labels_holds() -> None:
    decisions = run_policy(policy(min_score=0.5), windows([3, 3, 0, 0, 3, 3]))
    assert [decision.text for decision in decisions] == ["", "left", ""]
    assert [decision.score for decision in decisions] == [0.0, 1.0, 0.0]  # of the best label, none or not


def test_scores_are_cosines_whatever_the_length() -> None:
    (decision,) = run_policy(policy(), windows([[3.0, 0.0, 0.0, 4.0]]))
    assert decision.score == pytest.approx(0.6)
    assert np.linalg.norm(decision.embedding) == pytest.approx(1)


@pytest.mark.parametrize("seed", range(10))
def test_it_never_names_the_present_label_again_and_always_one_of_its_own(seed: int) -> None:
    rng = np.random.default_rng(seed)
    seen = windows(list(rng.normal(size=(200, 4))))
    texts = [text for text, *_ in told(policy(min_score=0.2, margin=0.0, hold_s=0.0), seen)]
    assert set(texts) <= {"left", "right", "up", ""}
    assert all(one != other for one, other in pairwise(texts))
    scores = [np.append(AXES @ (o.embedding / np.linalg.norm(o.embedding)), 0.2) for o in seen]
    best = [("left", "right", "up", "")[int(np.argmax(row))] for row in scores]
    assert texts == [text for i, text in enumerate(best) if i == 0 or text != best[i - 1]]  # the plain twin


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": ()}, "labels"),
        ({"labels": ("a", "a", "b")}, "each label once"),
        ({"embeddings": AXES[:2]}, r"expected embeddings \(3, S\)"),
        ({"min_score": 1.5}, "min_score"),
        ({"margin": -0.1}, "margin"),
        ({"hold_s": float("nan")}, "hold_s"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_wrong_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        BestLabel(**{"labels": ("left", "right", "up"), "embeddings": AXES, **options})  # type: ignore[arg-type]
