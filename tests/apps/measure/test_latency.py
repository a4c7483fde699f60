"""What is timed takes turns; a cell that fails or is slow does not keep the others waiting."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from vljepa_apps.measure.latency import Latency, alternate, summarise, times_faster


class Clock:
    """Every look at it costs nothing; work moves it on."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def work(self, log: list[str], name: str, seconds: float) -> Callable[[], object]:
        def call() -> None:
            log.append(name)
            self.now += seconds

        return call


def test_subjects_take_turns() -> None:
    clock, log = Clock(), list[str]()
    subjects = {
        "a": {"window": clock.work(log, "a", 0.010)},
        "b": {"window": clock.work(log, "b", 0.020)},
        "c": {"decode": clock.work(log, "c", 0.005)},
    }
    result = alternate(subjects, rounds=2, warmup=1, clock=clock)
    warm, first, second, alone = log[:2], log[2:4], log[4:6], log[6:]
    assert sorted(warm) == sorted(first) == ["a", "b"]
    assert second == first[::-1]
    assert alone == ["c"] * 3
    assert result["a"]["window"].p50_ms == pytest.approx(10)
    assert result["b"]["window"].p95_ms == pytest.approx(20)
    assert result["a"]["window"].runs == 2
    assert "decode" not in result["a"]


def test_times_may_come_from_another_process() -> None:
    asked = {"a": {"x": lambda: {"seconds": 0.25}}}
    found = alternate(asked, rounds=4, warmup=1, spent=lambda ask: ask()["seconds"])  # type: ignore[index]
    assert found["a"]["x"].times_ms == (250.0,) * 4


def test_a_cell_that_fails_is_marked_and_the_rest_goes_on() -> None:
    clock, log = Clock(), list[str]()

    def broken() -> None:
        raise RuntimeError("no kernel")

    result = alternate(
        {"a": {"x": broken, "y": clock.work(log, "y", 0.001)}, "b": {"x": clock.work(log, "x", 0.001)}},
        rounds=3,
        warmup=0,
        clock=clock,
    )
    assert result["a"]["x"].error == "RuntimeError: no kernel"
    assert (result["a"]["y"].runs, result["b"]["x"].runs) == (3, 3)


def test_a_slow_cell_gets_fewer_rounds() -> None:
    clock = Clock()
    result = alternate(
        {"a": {"x": clock.work([], "", 1.0)}}, rounds=50, warmup=0, max_cell_s=4.5, clock=clock
    )
    assert result["a"]["x"].runs == 6  # rounds come in pairs


def test_percentiles() -> None:
    times = summarise([float(value) for value in range(101)])
    assert (times.low_ms, times.p50_ms, times.high_ms, times.p95_ms) == (25, 50, 75, 95)


def test_neither_drift_nor_who_comes_first_makes_one_faster() -> None:
    """Both take 10 ms, whoever comes first in a turn 3 ms more, and the machine gets slower all the time."""
    clock, calls = Clock(), list[str]()

    def work(name: str) -> Callable[[], object]:
        def call() -> None:
            calls.append(name)
            first = len(calls) % 2 == 1
            clock.now += 0.010 + 0.003 * first + 1e-5 * len(calls)

        return call

    result = alternate({"a": {"x": work("a")}, "b": {"x": work("b")}}, rounds=60, clock=clock)
    ratio = times_faster(result["a"]["x"], result["b"]["x"])
    assert ratio is not None
    assert ratio.low <= 1.0 <= ratio.high
    assert ratio.value == pytest.approx(1.0, abs=1e-3)
    firsts = calls[10::2]  # after the warm-up
    assert 0.3 < firsts.count("a") / len(firsts) < 0.7


def test_how_many_times_faster_is_a_median_over_pairs_of_rounds() -> None:
    base = summarise([10.0, 20.0, 10.0, 20.0, 10.0, 20.0, 999.0])
    ratio = times_faster(base, summarise([5.0, 10.0, 5.0, 10.0, 5.0, 10.0, 1.0]))
    assert ratio is not None
    assert (ratio.low, ratio.value, ratio.high, ratio.n) == pytest.approx((2.0, 2.0, 2.0, 3))
    assert times_faster(base, Latency(error="no kernel")) is None


@pytest.mark.parametrize("spread", [0.02, 0.3])
def test_the_interval_of_a_ratio_covers_what_is_true(spread: float) -> None:
    random = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        base, mine = random.lognormal(0, spread, size=(2, 60))
        ratio = times_faster(summarise(base), summarise(mine))
        assert ratio is not None
        covered += ratio.low <= 1.0 <= ratio.high
    assert covered >= 185
