"""What is timed takes turns; a cell that fails or is slow does not keep the others waiting."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vljepa_apps.measure.latency import alternate, summarise


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
    assert "".join(log) == "ab" + "ba" + "ab" + "ccc"
    assert result["a"]["window"].p50_ms == pytest.approx(10)
    assert result["b"]["window"].p95_ms == pytest.approx(20)
    assert result["a"]["window"].runs == 2
    assert "decode" not in result["a"]


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
    assert result["a"]["x"].runs == 5


def test_percentiles() -> None:
    times = summarise([float(value) for value in range(101)])
    assert (times.low_ms, times.p50_ms, times.high_ms, times.p95_ms) == (25, 50, 75, 95)
