"""When an alert begins and ends: hold time, hysteresis, cool-down, competing labels."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from vljepa_runtime.alerts import Alert, AlertChange, AlertScorer, AlertWatch, watch_scores
from vljepa_runtime.errors import InputError
from vljepa_runtime.selection import Observation

Told = list[tuple[str, float, float]]


def alert(**options: Any) -> Alert:
    return Alert(
        **{"text": "a cat", "threshold": 0.5, "hold_s": 0, "release": 0, "cool_down_s": 0, **options}
    )


def told(changes: Any) -> Told:
    found: list[AlertChange] = list(changes)
    return [("begins" if each.active else "ends", each.start_s, each.end_s) for each in found]


def over(rule: Alert, scores: str, *, step_s: float = 1.0) -> Told:
    """Digits are tenths of the score, of windows of 2 s every `step_s`."""
    windows = [(i * step_s, i * step_s + 2) for i in range(len(scores))]
    return told(watch_scores(rule, np.array([int(c) / 10 for c in scores]), np.array(windows)))


@pytest.mark.parametrize(
    ("options", "scores", "expected"),
    [
        ({}, "00900", [("begins", 3, 4), ("ends", 3, 4)]),
        ({}, "0000", []),
        ({}, "5555", [("begins", 1, 2), ("ends", 1, 5)]),  # equal counts; the stream ends
        ({"hold_s": 2}, "0990990", []),
        ({"hold_s": 2}, "0999000", [("begins", 2, 5), ("ends", 2, 5)]),
        ({"hold_s": 2}, "099900999000", [("begins", 2, 5), ("ends", 2, 10)]),  # a gap shorter than the hold
        ({"release": 0.2}, "0943930", [("begins", 2, 3), ("ends", 2, 7)]),
        ({"release": 0.2}, "0942920", [("begins", 2, 3), ("ends", 2, 4), ("begins", 5, 6), ("ends", 5, 6)]),
        ({"cool_down_s": 3}, "09090900900", [
            ("begins", 2, 3), ("ends", 2, 3), ("begins", 6, 7), ("ends", 6, 7),
        ]),
        ({"cool_down_s": 3, "hold_s": 1}, "099009999", [
            ("begins", 2, 4), ("ends", 2, 4), ("begins", 8, 10), ("ends", 8, 10),
        ]),
    ],
)  # fmt: skip
def test_an_alert_begins_and_ends(options: dict[str, Any], scores: str, expected: Told) -> None:
    assert over(alert(**options), scores) == expected


def plain_twin(rule: Alert, scores: list[float], step_s: float) -> list[tuple[bool, float]]:
    """What changes and at which window's end, looked up in the whole past each time."""
    found: list[tuple[bool, float]] = []
    active, changed, quiet_until = False, -1, -1e9
    for now, _ in enumerate(scores):
        end_s = now * step_s + 2
        level = rule.threshold - (rule.release if active else 0)
        run = 0  # windows up to now that say the contrary of what holds
        while now - run > changed and (scores[now - run] >= level) != active:
            if not active and (now - run) * step_s + 2 < quiet_until - 1e-6:
                break
            run += 1
        if run and (run - 1) * step_s >= rule.hold_s - 1e-6:
            active, changed = not active, now
            quiet_until = quiet_until if active else end_s + rule.cool_down_s
            found.append((active, end_s))
    return found


@pytest.mark.parametrize("seed", range(20))
def test_it_is_what_looking_at_the_whole_past_says(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = np.clip(np.cumsum(rng.normal(0, 0.1, 400)) % 1.0, 0, 1)
    step_s = float(rng.choice([0.25, 0.5, 1.0]))
    rule = alert(
        hold_s=float(rng.choice([0, 0.5, 2])),
        release=float(rng.choice([0, 0.1])),
        cool_down_s=float(rng.choice([0, 7])),
    )
    changes = watch_scores(rule, scores, np.array([(i * step_s, i * step_s + 2) for i in range(400)]))
    now_s = [(change.active, change) for change in changes]
    begins = [change.end_s for active, change in now_s if active]
    expected = plain_twin(rule, scores.tolist(), step_s)
    assert begins == [end_s for active, end_s in expected if active]
    assert [active for active, _ in now_s][: len(expected)] == [active for active, _ in expected]
    assert all(one.active != other.active for (_, one), (_, other) in pairwise(now_s))
    assert all(change.start_s <= change.end_s for _, change in now_s)


def test_a_held_picture_counts_as_long_as_it_is_on_show() -> None:
    row = np.array([1.0, 0.0], np.float32)
    for shown_s, begins in ((2.5, 0), (3.5, 1)):
        watch = AlertWatch([alert(hold_s=3)], lambda texts: row[None], queries=["q"])
        seen = Observation(index=0, start_s=0, end_s=shown_s, embedding=row, held=2)
        assert len(watch.push("q", seen)) == begins


@pytest.mark.parametrize(
    ("scores", "before", "hole_s", "step_s", "expected"),
    [
        ("0999000", 3, 4, 1, [("begins", 2, 9), ("ends", 2, 9)]),  # a hole that windows nearly fill
        ("0999000", 3, 3600, 1, []),  # two before and one behind it: nobody saw whether it went on
        ("0999900", 3, 3600, 1, []),
        ("09999990000", 4, 3600, 1, [("begins", 2, 5), ("ends", 2, 3608)]),  # what is told goes on
        ("099909990000", 4, 3600, 1, [("begins", 2, 5), ("ends", 2, 3609)]),
        ("0999000", 9, 0, 10, [("begins", 11, 22), ("ends", 11, 41)]),  # windows far apart have no holes
    ],
)
def test_nothing_holds_over_a_hole(
    scores: str, before: int, hole_s: float, step_s: float, expected: Told
) -> None:
    begins = np.array([index * step_s + hole_s * (index >= before) for index in range(len(scores))])
    values, windows = np.array([int(each) / 10 for each in scores]), np.stack([begins, begins + 2], axis=1)
    assert told(watch_scores(alert(hold_s=2), values, windows)) == expected


@pytest.mark.parametrize("seed", range(10))
def test_a_stream_is_told_as_its_recording_whatever_its_holes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    begins = np.cumsum(rng.choice([0.5, 1, 3, 10, 100], 300, p=[0.4, 0.3, 0.15, 0.1, 0.05]))
    windows, scores = np.stack([begins, begins + 2], axis=1), np.round(rng.random(300), 2)
    rule = alert(threshold=0.305, hold_s=1, release=0.1, cool_down_s=5)
    watch = AlertWatch([rule], lambda texts: np.eye(1, 2, dtype=np.float32), queries=["q"])
    changes = []
    for index, ((start_s, end_s), score) in enumerate(zip(windows.tolist(), scores.tolist())):
        row = np.array([score, np.sqrt(1 - score**2)])
        seen = Observation(index=index, start_s=start_s, end_s=end_s, embedding=row)
        changes += watch.push("q", seen)
    changes += [change for _, change in watch.finish()]
    assert len(changes) >= 4
    assert told(changes) == told(watch_scores(rule, scores, windows))


def test_scores_are_cosines_and_with_others_a_difference() -> None:
    words = {
        "a cat": [1.0, 0.0],
        "a dog": [0.0, 1.0],
        "nothing": [-1.0, 0.0],
        "a": [0.0, 1.0],
        "cat": [1.0, 0.0],
    }

    def embed(texts: Any) -> Any:
        return np.array([words[text] for text in texts], np.float32)

    seen = np.array([[1, 0], [0.6, 0.8], [0, -1]], np.float32)
    assert AlertScorer(alert(), embed)(seen).tolist() == pytest.approx([1, 0.6, 0])
    competing = AlertScorer(alert(against=("nothing",)), embed)
    something_else = 0.5 - 0.08  # the mean of what "a" and "cat" have in common with "a cat", and less
    assert competing(seen).tolist() == pytest.approx(
        [1 - something_else, 0.6 - something_else, -something_else]
    )
    competing = AlertScorer(alert(against=("a dog", "nothing")), embed)
    assert competing(seen).tolist() == pytest.approx([1 - something_else, -0.2, -something_else])
    assert AlertScorer(alert(text="cat", against=("a dog",)), embed)(seen).tolist() == pytest.approx(
        [1, -0.2, 1]
    )


def test_an_alert_looks_at_its_query_and_at_the_first_without() -> None:
    row = np.array([1.0, 0.0], np.float32)
    rules = [alert(), alert(text="a dog", query="other?")]
    watch = AlertWatch(rules, lambda texts: row[None], queries=["one?", "other?"])
    seen = Observation(index=0, start_s=0, end_s=2, embedding=5 * row)
    assert [change.alert.text for change in watch.push("one?", seen)] == ["a cat"]
    assert [(query, change.alert.text) for query, change in watch.finish()] == [("one?", "a cat")]
    assert [change.alert.text for change in watch.push("other?", seen)] == ["a dog"]


@pytest.mark.parametrize(
    ("alerts", "message"),
    [
        ([alert(), alert(threshold=0.1)], "words of their own"),
        ([alert(query="why?")], "which is not asked"),
        (["a cat"], "expected Alert"),
    ],
    ids=["twice", "query", "type"],
)
def test_alerts_that_make_no_sense_are_refused(alerts: list[Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        AlertWatch(alerts, lambda texts: np.eye(1, 2, dtype=np.float32), queries=["q"])
