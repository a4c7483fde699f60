"""What changed, cut and chosen again from a log: the segments of a session, most of what happened in few decodings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import vljepa_runtime as vj
from vljepa_log import (
    LogError,
    LogReader,
    LogSink,
    LogWriter,
    Segment,
    Span,
    Where,
    keep_words,
    make_digest,
    most_telling,
    segments_of,
    thin,
    windows_at,
    words_event,
)
from vljepa_runtime.selection import observe, run_policy

SIDE = 256


@pytest.fixture(scope="module")
def manifest() -> vj.Manifest:
    return vj.Bundle.open("tiny").manifest


def meaning(number: int) -> np.ndarray:
    row = np.random.default_rng(number).normal(size=SIDE).astype(np.float32)
    return row / np.linalg.norm(row)


def fill(log: LogWriter, meanings: list[int], *, stream: str = "door", first_s: float = 0.0) -> None:
    """A window of 2 s each second; 1,000 s after 1970 the stream began."""
    for index, number in enumerate(meanings):
        start_s = first_s + index
        log.add_window(
            stream, "q", start_s=start_s, end_s=start_s + 2, embedding=meaning(number), at=1002.0 + start_s
        )


DAY = [0] * 6 + [1] * 9 + [2] * 4 + [1] * 12


@pytest.fixture
def place(tmp_path: Path, manifest: vj.Manifest) -> Path:
    with LogWriter(tmp_path / "LOG", manifest) as log:
        fill(log, DAY)
    return tmp_path / "LOG"


def test_segments_begin_where_a_session_would_have_told_them(place: Path) -> None:
    rows = np.stack([meaning(number) for number in DAY])
    told = run_policy("online", observe(rows, np.arange(len(DAY)) + 1.0, window_s=2.0))
    with LogReader(place) as log:
        found = list(segments_of(log))
    assert [each.start_s for each in found] == [each.start_s for each in told]
    assert [each.end_s for each in found] == [*[each.start_s for each in told[1:]], len(DAY) + 1.0]
    for segment, decision in zip(found, told):
        assert segment.change == pytest.approx(1.0 if decision.change is None else decision.change, abs=1e-3)
        np.testing.assert_allclose(segment.embedding, decision.embedding, atol=2e-3)
        assert (segment.began, segment.time) == (1000 + segment.start_s, 1000 + segment.end_s)


def test_a_stream_that_was_off_is_not_told_through_its_gap(tmp_path: Path, manifest: vj.Manifest) -> None:
    with LogWriter(tmp_path / "LOG", manifest) as log:
        fill(log, [0] * 5)
        fill(log, [0] * 5, first_s=3600.0)
    with LogReader(tmp_path / "LOG") as log:
        spans = [(each.start_s, each.end_s) for each in segments_of(log)]
    assert spans == [(0, 6), (3600, 3606)]


def test_a_thinned_log_has_the_same_segments(tmp_path: Path, manifest: vj.Manifest) -> None:
    mixed = [*[0] * 6, 7, *[1] * 9, 8, *[2] * 4]  # a window that sees a change says something else
    with LogWriter(tmp_path / "MIXED", manifest) as log:
        fill(log, mixed)
    with LogReader(tmp_path / "MIXED") as log, LogWriter(tmp_path / "THIN", manifest) as other:
        (batch,) = log.windows()
        few = thin(batch, within=0.02)
        for window, row in zip(few.windows, few.embeddings):
            start_s, end_s, at = (float(window[name]) for name in ("start_s", "end_s", "time"))
            other.add_window("door", "q", start_s=start_s, end_s=end_s, embedding=row.astype("f4"), at=at)
    assert len(few) == 5
    with LogReader(tmp_path / "MIXED") as whole, LogReader(tmp_path / "THIN") as thinned:
        for one, two in zip(segments_of(whole), segments_of(thinned), strict=True):
            np.testing.assert_allclose(one.embedding, two.embedding, atol=1e-3)
            assert abs(one.start_s - two.start_s) <= 1


def test_what_was_unknown_is_told_so_and_not_decoded(tmp_path: Path, manifest: vj.Manifest) -> None:
    """Of the second segment most windows were unknown; of the third nobody could tell."""
    flags = [False] * 6 + [True] * 7 + [False] * 2 + [None] * 4
    with LogWriter(tmp_path / "LOG", manifest) as log:
        for second, (number, unknown) in enumerate(zip(DAY, flags)):
            log.add_window(
                "door", "q", start_s=second, end_s=second + 2, embedding=meaning(number), unknown=unknown, at=second
            )  # fmt: skip
    asked: list[np.ndarray] = []
    with LogReader(tmp_path / "LOG") as log:
        found = make_digest(log, lambda embedding: (asked.append(embedding), "words")[1])
        (window,) = windows_at(log, 8.0, wall=False)
    assert [each.unknown for each in found.segments] == [False, True, None]
    assert [each.text for each in found.segments] == ["words", "", "words"]
    assert [each.shown for each in found.segments] == ["words", "nothing I know", "words"]
    assert (len(asked), len(found.decoded), window.unknown) == (2, 2, True)


@pytest.mark.parametrize(
    ("where", "between", "starts"),
    [
        (Where(streams=("yard",)), None, []),
        (Where(queries=("other",)), None, []),
        (Where(since=1017.0, until=1020.0), None, [15.0]),
        (Where(), Span(since=16.0, until=18.0), [15.0]),
        (Where(), Span(since=1016.0, until=1018.0, wall=True), [15.0]),
    ],
    ids=["stream", "query", "wall clock", "stream time", "span by the wall clock"],
)
def test_only_what_is_meant_is_cut(
    place: Path, where: Where, between: Span | None, starts: list[float]
) -> None:
    with LogReader(place) as log:
        assert [each.start_s for each in segments_of(log, where, between=between)] == starts


def test_the_window_of_a_time(place: Path, manifest: vj.Manifest) -> None:
    with LogReader(place) as log:
        for at, wall in ((7.1, False), (1007.1, True)):
            (found,) = windows_at(log, at, wall=wall)
            assert (found.start_s, found.end_s, found.time) == (6, 8, 1008)
            np.testing.assert_allclose(found.embedding, meaning(DAY[6]), atol=1e-3)
        with pytest.raises(LogError, match="no window within a minute of that time; its streams: door"):
            windows_at(log, 500.0, wall=False)
        with pytest.raises(LogError, match="no window within a minute"):
            windows_at(log, 5.0, wall=False, where=Where(streams=("yard",)))


def segment(number: int, start_s: float, end_s: float, change: float = 0.5) -> Segment:
    return Segment(
        stream="door",
        query="q",
        start_s=start_s,
        end_s=end_s,
        time=end_s,
        change=change,
        embedding=meaning(number),
    )


def test_what_is_most_telling() -> None:
    day = [segment(0, 0, 50), segment(1, 50, 70, 0.9), segment(0, 70, 110), segment(2, 110, 112, 0.8)]
    assert [each.start_s for each in most_telling(day, 2)] == [
        0,
        50,
    ]  # not the two longest, which say the same
    assert [each.start_s for each in most_telling(day, 3)] == [0, 50, 110]
    assert most_telling(day, 4) == day
    assert [each.start_s for each in most_telling([day[0]] * 5, 3)] == [0, 0, 0]


def test_a_digest_decodes_what_it_shows_and_that_once(place: Path, manifest: vj.Manifest) -> None:
    asked: list[np.ndarray] = []

    def decode(embedding: np.ndarray) -> str:
        asked.append(embedding)
        return f"meaning {max(range(3), key=lambda number: float(meaning(number) @ embedding))}"

    with LogReader(place) as log:
        found = make_digest(log, decode, budget=3)
        assert [each.text for each in found.segments] == ["meaning 0", "meaning 2", "meaning 1"]
        assert (found.changes, len(found.decoded), len(asked)) == (4, 3, 3)
        starts = [each.start_s for each in found.segments]
        assert starts == sorted(starts)
        with LogWriter(place, manifest):
            assert "being written" in keep_words(place, manifest, found.decoded)
        assert keep_words(place, manifest, found.decoded) == ""
        again = make_digest(log, decode, budget=3)
        assert [each.text for each in again.segments] == [each.text for each in found.segments]
        assert (len(again.decoded), len(asked)) == (0, 3)
        assert len(make_digest(log, decode).decoded) == 1


def test_words_of_a_session_are_words_of_its_segments_and_those_of_a_part_are_not(
    place: Path, manifest: vj.Manifest
) -> None:
    def told(start_s: float, end_s: float, text: str) -> vj.Event:
        return vj.Event(
            stream="door", kind="segment", start_s=start_s, end_s=end_s, text=text, query="q", decoded=True
        )

    with LogWriter(place, manifest) as log:
        log.add_event(told(0, 3, "told early"), at=1003.0)
        log.add_event(told(10, 12, "a part"), at=1012.0)
        log.add_event(told(14, 17, "a mixture"), at=1017.0)
    with LogReader(place) as log:
        found = make_digest(log, lambda embedding: "decoded")
    assert [each.text for each in found.segments] == ["told early", "decoded", "decoded", "decoded"]


def test_words_that_a_server_finds_go_into_the_log_that_it_writes(place: Path, manifest: vj.Manifest) -> None:
    with LogSink(place, manifest) as sink, LogReader(place) as log:
        found = make_digest(log, lambda embedding: "a ball", budget=1)
        for segment in found.decoded:
            sink.add_event(words_event(segment), at=segment.time)
        again = make_digest(log, lambda embedding: "", budget=1)  # while it is written
    assert [segment.text for segment in again.segments] == ["a ball"]
    assert not again.decoded
