"""Any span of a log in segments: the same as of the whole log, whatever was asked before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import vljepa_runtime as vj
from vljepa_log import LogReader, LogWriter, Segment, SegmentCache, Where, segment_cache, segments_of

SIDE = 256
HELD_S = 5400
BEGAN = 1_700_000_000.0
MEANINGS = np.linalg.qr(np.random.default_rng(0).normal(size=(SIDE, 64)))[0].T.astype(np.float32)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An hour and a half at a window a second, with segments of 4 s to half an hour; the camera was off for a while."""
    folder = tmp_path_factory.mktemp("cells") / "LOG"
    random = np.random.default_rng(7)
    with LogWriter(folder, vj.Bundle.open("tiny").manifest) as log:
        second, number = 0, 0
        while second < HELD_S:
            lasts = int(random.choice([4, 9, 40, 300, 1800], p=[0.3, 0.2, 0.3, 0.1, 0.1]))
            for _ in range(lasts):
                if not 2500 <= second < 2800:
                    log.add_window(
                        "door", "q", start_s=second, end_s=second + 2, embedding=MEANINGS[number % 64],
                        at=BEGAN + second + 2,
                    )  # fmt: skip
                second += 1
            number += 1
    return folder


@pytest.fixture
def log(place: Path) -> Iterator[LogReader]:
    with LogReader(place) as log:
        yield log


@pytest.fixture(scope="module")
def whole(place: Path) -> list[Segment]:
    with LogReader(place) as log:
        return list(segments_of(log))


def spans(segments: list[Segment]) -> list[tuple[float, float]]:
    return [(each.began - BEGAN, each.time - BEGAN) for each in segments]


def clipped(segments: list[Segment], since: float, until: float) -> list[tuple[float, float]]:
    """What goes on outside of what was asked for may be cut there."""
    return [(max(start, since), min(end, until)) for start, end in spans(segments)]


@pytest.mark.parametrize("first", [0.0, 1000.0, 2490.0])
@pytest.mark.parametrize("lasts", [30.0, 20_000.0])
def test_any_span_has_the_segments_of_the_whole_log(
    log: LogReader, whole: list[Segment], first: float, lasts: float
) -> None:
    since, until = BEGAN + first, BEGAN + first + lasts
    wanted = [each for each in whole if each.time > since and each.began < until]
    cache = SegmentCache(log, clock=lambda: BEGAN + HELD_S)
    for _ in range(2):
        found = cache.between("door", "q", since, until)
        assert clipped(found, first, first + lasts) == clipped(wanted, first, first + lasts)
        assert [each.embedding.tolist() for each in found[1:]] == [
            each.embedding.tolist() for each in wanted[1:]
        ]


@pytest.mark.parametrize("cell_s", [47.0, 60.0])
def test_it_does_not_matter_where_cells_begin(
    log: LogReader, whole: list[Segment], monkeypatch: pytest.MonkeyPatch, cell_s: float
) -> None:
    """Of a hundred edges some lie within a window of a change."""
    monkeypatch.setattr(segment_cache, "CELL_S", cell_s)
    found = SegmentCache(log, clock=lambda: BEGAN + HELD_S).between("door", "q", BEGAN, BEGAN + 2 * HELD_S)
    assert spans(found) == spans(whole)


def test_a_segment_that_is_longer_than_what_is_looked_at_is_one(log: LogReader, whole: list[Segment]) -> None:
    longest = max(whole, key=lambda each: each.time - each.began)
    assert longest.time - longest.began > 1500
    found = SegmentCache(log).between("door", "q", BEGAN, BEGAN + HELD_S)
    assert (longest.began, longest.time) in [(each.began, each.time) for each in found]


def test_what_is_over_is_cut_once_and_what_goes_on_again(
    log: LogReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[tuple[float | None, float | None]] = []

    def windows(self: LogReader, where: Where) -> Iterator[object]:
        read.append((where.since, where.until))
        return self.store.windows(where)

    monkeypatch.setattr(LogReader, "windows", windows)
    cache = SegmentCache(log, clock=lambda: BEGAN + HELD_S)
    cache.between("door", "q", BEGAN, BEGAN + HELD_S)
    first = len(read)
    cache.between("door", "q", BEGAN, BEGAN + HELD_S)
    assert first > 2
    assert 1 <= len(read) - first <= 2  # the newest ones alone


def test_a_clock_that_was_put_back_has_its_hours_cut_again(place: Path, tmp_path: Path) -> None:
    with LogReader(place) as log:
        now = BEGAN + HELD_S
        cache = SegmentCache(log, clock=lambda: now)
        before = cache.between("door", "q", BEGAN + 2900, BEGAN + 3000)
        now = BEGAN + 2950  # what is written now lies in what was over
        calls = []
        original = log.windows
        log.windows = lambda where: (calls.append(where), original(where))[1]  # type: ignore[method-assign]
        assert spans(cache.between("door", "q", BEGAN + 2900, BEGAN + 3000)) == spans(before)
        assert calls


def test_of_a_stream_that_is_not_there_there_is_nothing(log: LogReader) -> None:
    assert SegmentCache(log).between("yard", "q", 0, 1e12) == []
    assert SegmentCache(log).between("door", "q", 0, BEGAN - 10) == []
