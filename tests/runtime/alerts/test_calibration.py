"""Thresholds from recordings: for a rate, beyond what a recording shows, and from marked moments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from vljepa_runtime.alerts import Alert, ScoreSeries, alert_spans, calibrate_marked, calibrate_rate
from vljepa_runtime.errors import InputError

RULE = Alert(text="a cat", threshold=0, hold_s=0, release=0.02, cool_down_s=0)
DAY = 86_400


def series(scores: Any, *, stream: str = "door", step_s: float = 1.0) -> ScoreSeries:
    at = np.arange(len(scores)) * step_s
    return ScoreSeries(stream=stream, windows=np.stack([at, at + 2], axis=1), scores=np.asarray(scores))


def noise(seed: int, seconds: int) -> ScoreSeries:
    """A camera at which nothing happens: scores that wander, with the bounded tail of cosines."""
    rng = np.random.default_rng(seed)
    smooth = np.convolve(rng.normal(size=seconds + 4), np.ones(5) / 5, "valid")
    return series(np.tanh(0.3 + 0.25 * smooth))


def test_as_good_as_never_is_the_highest_score_there_can_be() -> None:
    found = calibrate_rate(RULE, [noise(0, 3600)], per_day=5e-324)
    assert found.guessed
    assert found.spans == ()
    assert 0.9 < found.alert.threshold <= 1


@pytest.mark.parametrize("per_day", [2, 10, 50])
def test_a_day_gives_as_many_alerts_as_are_wanted(per_day: int) -> None:
    found = calibrate_rate(RULE, [noise(0, DAY)], per_day=per_day)
    assert 0.8 * per_day <= len(found.spans) <= per_day
    assert found.per_day == pytest.approx(per_day, rel=0.2)
    assert not found.guessed
    other = alert_spans(found.alert, [noise(seed, DAY) for seed in range(1, 6)])
    assert len(other) == pytest.approx(5 * per_day, abs=4 * np.sqrt(5 * per_day) + 2)


def test_several_recordings_count_together() -> None:
    parts = [noise(seed, DAY // 4) for seed in range(4)]
    assert len(calibrate_rate(RULE, parts, per_day=8).spans) in (7, 8)


def test_what_is_rarer_than_a_recording_is_guessed_from_its_tail() -> None:
    """An hour, for two alerts a day: the days that follow have some, and not many."""
    rates = []
    for seed in range(8):
        found = calibrate_rate(RULE, [noise(100 + seed, 3600)], per_day=2)
        assert found.guessed
        assert found.spans == ()
        assert found.per_day == 2
        rates.append(len(alert_spans(found.alert, [noise(200 + seed, DAY)])))
    assert 0.25 <= np.median(rates) <= 12


def test_a_recording_with_too_little_to_guess_from_is_refused() -> None:
    flat = series([0.1] * 50 + [0.9] * 3 + [0.1] * 50)
    with pytest.raises(InputError, match="too short for so few"):
        calibrate_rate(RULE, [flat], per_day=1)


def events_at(
    times: Sequence[int], *, high: float = 0.8, low: float = 0.3, seconds: int = 600
) -> ScoreSeries:
    scores = np.random.default_rng(0).normal(low, 0.02, seconds)
    for time_s in times:
        scores[time_s : time_s + 4] = high
    return series(scores)


def test_marked_moments_are_told_and_others_not() -> None:
    scores = events_at([100, 300]).scores.copy()
    scores[200:204] = 0.55  # not meant
    found = calibrate_marked(RULE, [series(scores)], {"door": [101, 303]})
    assert (found.marks, found.found, found.right, len(found.spans)) == (2, 2, 2, 2)
    assert 0.6 < found.alert.threshold < 0.75


def test_a_mark_that_cannot_be_told_costs_recall() -> None:
    found = calibrate_marked(RULE, [events_at([100, 300])], {"door": [101, 303, 500]})
    assert (found.marks, found.found, found.right) == (3, 2, 2)


def test_an_alert_that_is_always_on_finds_no_mark() -> None:
    """One span over everything would have all marks in it."""
    found = calibrate_marked(RULE, [series(np.linspace(0.5, 0.6, 300))], {"door": [100, 200]})
    assert found.right <= 1


def test_marks_belong_to_their_stream() -> None:
    both = [
        events_at([100]),
        ScoreSeries(stream="yard", windows=events_at([]).windows, scores=events_at([100]).scores),
    ]
    found = calibrate_marked(RULE, both, {"yard": [101]})
    assert (found.found, found.right, len(found.spans)) == (1, 1, 2)


@pytest.mark.parametrize(
    ("marks", "message"),
    [
        ({}, "marked moments, got none"),
        ({"door": []}, "marked moments, got none"),
        ({"door": [5000]}, "none of the recordings"),
        ({"yard": [5]}, "none of the recordings: door"),
        ({"door": [float("nan")]}, "a mark"),
    ],
    ids=str,
)
def test_marks_where_nothing_was_recorded_are_refused(marks: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        calibrate_marked(RULE, [events_at([100])], marks)


def test_nothing_to_calibrate_on_is_refused() -> None:
    with pytest.raises(InputError, match="got none"):
        calibrate_rate(RULE, [], per_day=1)
    with pytest.raises(InputError, match="per_day"):
        calibrate_rate(RULE, [noise(0, 100)], per_day=0)
    with pytest.raises(InputError, match=r"windows \(N, 2\)"):
        ScoreSeries(stream="a", windows=np.zeros((3, 2)), scores=np.zeros(2, np.float32))


def test_holes_are_not_watched() -> None:
    windows = np.array([(0, 2), (1, 3), (100, 102), (101, 103)], float)
    assert ScoreSeries(stream="a", windows=windows, scores=np.zeros(4, np.float32)).seconds == pytest.approx(
        6
    )


def test_long_windows_of_a_thinned_log_hold_as_long_as_they_are() -> None:
    rule = Alert(text="a cat", threshold=0.5, hold_s=30, cool_down_s=0)
    windows = np.array([(0, 2), (2, 4), (4, 64), (64, 66)], float)
    thinned = ScoreSeries(stream="a", windows=windows, scores=np.array([0, 0, 1, 0], np.float32))
    assert len(alert_spans(rule, [thinned])) == 1
