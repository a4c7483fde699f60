"""Times out of stamps: a bad stamp costs its own picture, and the rest stays where it was."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from vljepa_runtime.sources.video.clock import LOOKAHEAD, Shown, Stamped, StreamClock

Stamps = list[float | None]


def follow(
    stamps: Stamps, *, start_s: float | None = None, step_s: float = 0.5, clock: StreamClock | None = None
) -> list[Shown[int]]:
    pictures = (Stamped(number, stamp_s) for number, stamp_s in enumerate(stamps))
    return list((clock or StreamClock()).follow(pictures, start_s=start_s, step_s=step_s))


def regular(begin_s: float, count: int, step_s: float = 0.5) -> Stamps:
    return [begin_s + step_s * number for number in range(count)]


def replaced(stamps: Stamps, changes: dict[int, float | None]) -> Stamps:
    return [changes.get(number, stamp_s) for number, stamp_s in enumerate(stamps)]


HOUR = 3600.0
STEADY = regular(0.0, 12)


@pytest.mark.parametrize(
    ("stamps", "expected"),
    [
        ([3.0, 3.5, 4.0], [0, 0.5, 1.0]),
        ([None, None, None], [0, 0.5, 1.0]),
        ([3.0, None, 4.5], [0, 0.5, 1.5]),
        ([3.0, None, None, 3.6], [0, 0.2, 0.4, 0.6]),
        ([None, 7.0, 7.25], [0, 0.5, 0.75]),
        ([9.0, 9.5, 1.0, 1.5], [0, 0.5, 1.0, 1.5]),
        ([1.0, 1.0, 1.0], [0, 0.5, 1.0]),
        ([0.0, 0.5, 0.5, 1.5, 2.0], [0, 0.5, 1.0, 1.5, 2.0]),
        ([0.0, 0.5, 0.5, HOUR], [0, 0.5, 1.0, HOUR]),
        ([0.0, 7.0, 60.0, 7 * HOUR], [0, 7.0, 60.0, 7 * HOUR]),
        ([*STEADY[:6], *regular(HOUR, 6)], [*STEADY[:6], *regular(HOUR, 6)]),
        (replaced(STEADY, {4: HOUR}), STEADY),
        (replaced(STEADY, {4: -HOUR}), STEADY),
        (replaced(STEADY, {4: HOUR, 5: HOUR + 0.5}), STEADY),
        (replaced(STEADY, {0: HOUR}), STEADY),
        (replaced(STEADY, {4: 3.5}), STEADY),
        (replaced(STEADY, {4: 0.25}), STEADY),
        (replaced(STEADY, {11: -HOUR}), STEADY),
        ([*STEADY, *regular(1.4, 6)], regular(0, 18)),
        ([*regular(95440, 6), *regular(0.02, 6)], STEADY),
        ([*STEADY, *STEADY[:5], *STEADY], regular(0, 29)),
    ],
    ids=[
        "late",
        "none",
        "one missing",
        "two missing in little room",
        "first missing",
        "count began anew",
        "all the same",
        "one repeated",
        "repeated before a pause",
        "far apart",
        "a hole of an hour",
        "one an hour ahead",
        "one an hour behind",
        "two an hour ahead",
        "the first an hour ahead",
        "one a little ahead",
        "one a little behind",
        "the last behind",
        "two files joined",
        "counter wrapped",
        "joined to a very short one",
    ],
)
def test_times(stamps: Stamps, expected: list[float]) -> None:
    found = follow(stamps)
    assert [shown.picture for shown in found] == [shown.index for shown in found] == list(range(len(stamps)))
    assert [shown.time_s for shown in found] == pytest.approx(expected)
    assert all(one.time_s + one.duration_s == pytest.approx(other.time_s) for one, other in pairwise(found))
    assert found[-1].duration_s == 0.5


@pytest.mark.parametrize(
    ("stamps", "start_s", "first_s"),
    [([4.0, 4.5], 0.0, 4.0), ([HOUR + 1, HOUR + 1.5], HOUR, 1.0), ([1.0, 1.5], 2.0, 0.0), ([1.4], None, 0.0)],
    ids=["track starts late", "stamps begin at an hour", "start told wrongly", "no start told"],
)
def test_counts_from_the_start_of_all_tracks(stamps: Stamps, start_s: float | None, first_s: float) -> None:
    assert follow(stamps, start_s=start_s)[0].time_s == first_s


def test_the_last_picture_lasts_for_its_own_duration() -> None:
    pictures = [Stamped("a", 0.0, 5.0), Stamped("b", 5.0, 1.0)]
    found = list(StreamClock().follow(pictures, start_s=0.0, step_s=2.5))
    assert [(shown.time_s, shown.duration_s) for shown in found] == [(0, 5), (5, 1)]


def test_a_second_pass_follows_the_first_without_a_gap() -> None:
    clock = StreamClock()
    first = follow([4.0, 4.5, 5.0], start_s=0.0, clock=clock)
    assert (clock.first_s, clock.end_s, clock.pass_s) == (4.0, 5.5, 1.5)
    second = follow([4.0, 4.5, 5.0], start_s=0.0, clock=clock)
    assert [shown.time_s for shown in first + second] == [4.0, 4.5, 5.0, 5.5, 6.0, 6.5]
    assert [shown.index for shown in second] == [3, 4, 5]


@pytest.mark.parametrize("seed", range(20))
def test_never_goes_back_and_never_runs_ahead_by_much(seed: int) -> None:
    """Whatever the stamps, few pictures wait and times ascend."""
    draw = random.Random(seed)
    good = regular(draw.choice([0.0, 1.4, HOUR]), 200, 0.04)
    bad = [None, 0.0, HOUR, good[50], good[150]]
    stamps = [draw.choice(bad) if draw.random() < 0.3 else stamp_s for stamp_s in good]
    given = taken = 0

    def pictures() -> list[Stamped[int]]:
        return [Stamped(number, stamp_s) for number, stamp_s in enumerate(stamps)]

    def counted():  # type: ignore[no-untyped-def]
        nonlocal given
        for picture in pictures():
            given += 1
            yield picture

    last_s = -1.0
    for shown in StreamClock().follow(counted(), start_s=None, step_s=0.04):
        taken += 1
        assert shown.time_s >= last_s
        assert given - taken <= 2 * LOOKAHEAD + 3
        last_s = shown.time_s
    assert taken == len(stamps)
