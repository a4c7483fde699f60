"""What a session counts: times are those of a clock that the test moves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from vljepa_runtime import statistics
from vljepa_runtime.statistics import StatsRecorder


class Clock:
    """Stands where it was put."""

    now_s = 0.0

    def perf_counter(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(statistics, "time", clock)
    return clock


def slow(clock: Clock, *seconds: float) -> Iterator[int]:
    for index, spent_s in enumerate(seconds):
        clock.now_s += spent_s
        yield index


def test_a_window_gathers_its_frames_and_other_stages_count_their_calls(clock: Clock) -> None:
    recorder = StatsRecorder()
    for _ in recorder.each("capture", slow(clock, 0.25, 0.5)):
        clock.now_s += 8  # the consumer's own time
    with recorder.stage("fit"):
        clock.now_s += 1
    assert recorder.complete_window() == 1750
    for spent_s in (1, 3):
        with recorder.stage("predict") as timer:
            clock.now_s += spent_s
        assert timer.ms == spent_s * 1000
    stats = recorder.snapshot(queries=2)
    assert (stats.latency["capture"].count, stats.latency["capture"].total_ms) == (1, 750)
    assert (stats.latency["predict"].count, stats.latency["predict"].p50_ms) == (2, 2000)
    assert (stats.capture_s, stats.inference_s) == (0.75, 4)


def test_neither_waiting_nor_the_consumer_is_work(clock: Clock) -> None:
    recorder = StatsRecorder()
    for _ in recorder.busy(recorder.each(None, slow(clock, 2, 2))):
        clock.now_s += 16
    for _ in recorder.busy(recorder.each("capture", slow(clock, 2, 2))):
        clock.now_s += 16
    assert recorder.snapshot(queries=1).busy_s == 4


def test_a_stage_that_fails_took_its_time(clock: Clock) -> None:
    recorder = StatsRecorder()

    def decode() -> None:
        clock.now_s += 1
        raise RuntimeError

    with pytest.raises(RuntimeError), recorder.stage("decode"):
        decode()
    assert recorder.snapshot(queries=1).latency["decode"].total_ms == 1000
