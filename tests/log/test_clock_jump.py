"""The wall clock jumps while a camera is logged: no window is lost or twice, and stream time goes on."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import vljepa_runtime as vj
from vljepa_log import LogReader, LogSink, Steps, Where, folder_store, recording, segments_of

NOON = 1_800_000_000.0
EMBEDDINGS = np.eye(256, dtype=np.float32)


class Door(vj.Source):
    """A camera, which is not read."""

    name, live = "door", True

    def frames(self, hints: vj.Hints = vj.EVERY_FRAME) -> Iterator[vj.Frame]:
        yield from ()

    def close(self) -> None:
        """Nothing is held."""


class Clock:
    """A wall clock that somebody sets."""

    def __init__(self) -> None:
        self.now = NOON

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(recording, "time", clock)
    return clock


def record(place: Path, clock: Clock, jumps: dict[int, float], count: int = 60) -> list[float]:
    """Log a window a second, each of another meaning every 10 s; the wall times of their ends."""
    manifest = vj.Bundle.open("tiny").manifest
    pre, times = manifest.preprocess, []
    clip = vj.Clip(np.zeros((pre.frames, pre.size, pre.size, 3), np.uint8), pre)
    with LogSink(place, manifest, steps=Steps(windows=7, seconds=3600)) as log:
        log.add_stream("0", Door(), name="door")
        for index in range(count):
            clock.now += 1 + jumps.get(index, 0.0)
            times.append(clock.now)
            window = vj.Window(clip=clip, start_s=index, end_s=index + 1, index=index)
            log.write_window("door", window, "what?", EMBEDDINGS[index // 10])
            told = vj.Event(stream="door", kind="segment", start_s=index, end_s=index + 1, text=f"{index}")
            log.write(told)
    return times


@pytest.mark.parametrize(
    ("jump_s", "rows"),
    [(3600.0, 9), (-3600.0, 1000), (-25.0, 9), (-NOON + 100, 9)],
    ids=["on", "back", "a bit, over parts", "to 1970"],
)
def test_windows_keep_their_times_and_are_found_by_them(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, jump_s: float, rows: int
) -> None:
    monkeypatch.setattr(folder_store, "PART_BYTES", rows * 256 * 2)
    times = np.array(record(tmp_path / "LOG", clock, {25: jump_s, 45: -jump_s}))
    with LogReader(tmp_path / "LOG") as log:
        stored = np.concatenate([batch.windows for batch in log.windows()])
        assert sorted(stored["end_s"]) == list(range(1, 61))
        np.testing.assert_allclose(stored["time"][np.argsort(stored["end_s"])], times, atol=1e-3)
        for since, until in ((times[30], times[40]), (times[5], times[15]), (times[50], times[55])):
            expected = [index + 1.0 for index, at in enumerate(times) if since <= at < until]
            where = Where(since=since - 1e-3, until=until - 1e-3)
            found = [float(row["end_s"]) for batch in log.windows(where) for row in batch.windows]
            assert sorted(found) == expected
            events = [float(each.event.end_s) for each in log.events(where)]
            assert sorted(events) == expected
        for meaning in range(6):  # each ten seconds are found, at the wall time at which they were told
            (moment,) = log.search(EMBEDDINGS[meaning], k=1)
            assert meaning * 10 <= moment.start_s < moment.end_s <= meaning * 10 + 10
            assert moment.score > 0.99
        segments = sorted(segments_of(log), key=lambda each: each.start_s)
        assert all(one.end_s <= other.start_s for one, other in pairwise(segments))
        assert segments[0].start_s == 0
        assert segments[-1].end_s == 60


@pytest.mark.parametrize(("away_s", "expected_s"), [(600.0, 660.0), (-600.0, 60.0)])
def test_a_camera_that_comes_again_goes_on_behind(
    tmp_path: Path, clock: Clock, away_s: float, expected_s: float
) -> None:
    record(tmp_path / "LOG", clock, {})
    clock.now += away_s  # the device was off, and its clock began anew
    record(tmp_path / "LOG", clock, {}, count=10)
    with LogReader(tmp_path / "LOG") as log:
        starts = sorted(float(row["start_s"]) for batch in log.windows() for row in batch.windows)
    assert starts[:60] == list(range(60))
    np.testing.assert_allclose(starts[60:], np.arange(10) + expected_s, atol=1e-3)
