"""A log as its users see it: windows gathered and stored in steps, moments found, words from what was decoded."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vljepa_runtime as vj
from vljepa_log import LogError, LogReader, LogWriter, Moment, Position, Steps, Where
from vljepa_log.moments import GAP_S, MARGIN, merge

SIDE = 256


@pytest.fixture(scope="module")
def manifest() -> vj.Manifest:
    return vj.Bundle.open("tiny").manifest


def unit(seed: int) -> np.ndarray:
    row = np.random.default_rng(seed).normal(size=SIDE).astype(np.float32)
    return row / np.linalg.norm(row)


def fill(log: LogWriter, count: int, *, stream: str = "door", query: str = "q") -> None:
    for index in range(count):
        log.add_window(
            stream, query, start_s=index, end_s=index + 2, embedding=unit(index), at=1000.0 + index
        )


def test_search_gives_what_numpy_gives(tmp_path: Path, manifest: vj.Manifest) -> None:
    with LogWriter(tmp_path / "LOG", manifest) as log:
        fill(log, 300)
        fill(log, 300, stream="yard")
    wanted = unit(1234)
    scores = np.stack([unit(index) for index in range(300)]) @ wanted
    with LogReader(tmp_path / "LOG", manifest) as log:
        (best,) = log.search(wanted, k=1, where=Where(streams=("yard",)))
        assert best.score == pytest.approx(scores.max(), abs=1e-3)  # float16 is stored
        assert best.start_s <= scores.argmax() <= best.end_s
        late = log.search(wanted, k=300, where=Where(streams=("yard",), since=1200.0, until=1250.0))
        inside = scores[200:250]
        assert late[0].score == pytest.approx(inside.max(), abs=1e-3)
        assert all(1200.0 <= moment.time < 1250.0 for moment in late)
        assert log.search(wanted, where=Where(streams=("none",))) == []


def test_a_window_stored_with_its_stream(tmp_path: Path, manifest: vj.Manifest) -> None:
    with LogWriter(tmp_path / "LOG", manifest) as log:
        log.add_window("door", "q", start_s=0, end_s=2, embedding=unit(1), at=10.0)
        log.add_window("door", "q", start_s=1, end_s=3, embedding=unit(2), at=11.0)
        log.add_window("yard", "q", start_s=1, end_s=3, embedding=unit(3), at=11.0)
    with LogReader(tmp_path / "LOG") as log:
        door, yard = log.windows()
        distance = 1 - float(unit(1) @ unit(2))
        np.testing.assert_allclose(door.windows["score"], [0, distance], atol=1e-6)
        assert yard.windows["score"].tolist() == [0]
        summary = log.streams()
        assert [(each.name, each.windows, each.first, each.last) for each in summary] == [
            ("door", 2, 10.0, 11.0),
            ("yard", 1, 11.0, 11.0),
        ]
        np.testing.assert_allclose(log.embedding_at("door", 2.1), unit(2), atol=1e-3)
        with pytest.raises(LogError, match="no windows of gate; its streams: door, yard"):
            log.embedding_at("gate", 0.0)


def test_words_come_from_the_segment_that_shares_most_time(tmp_path: Path, manifest: vj.Manifest) -> None:
    def told(start_s: float, end_s: float, text: str, query: str = "q", *, kind: str = "segment") -> None:
        event = vj.Event(
            stream="door", kind=kind, start_s=start_s, end_s=end_s, text=text, query=query,
            decoded=kind == "segment",
        )  # fmt: skip
        log.add_event(event, at=1000.0 + end_s)

    with LogWriter(tmp_path / "LOG", manifest) as log:
        fill(log, 10)
        told(0, 4, "a ball falls")
        told(4, 11, "a box jumps")
        told(0, 11, "of another query", query="other")
        told(0, 11, "an alert", kind="alert")  # what somebody looks for is not what was seen
    with LogReader(tmp_path / "LOG", manifest) as log:
        assert log.search(unit(1), k=1)[0].text == "a ball falls"
        assert log.search(unit(8), k=1)[0].text == "a box jumps"


def test_a_step_is_stored_when_it_is_full_or_old(tmp_path: Path, manifest: vj.Manifest) -> None:
    with LogWriter(tmp_path / "LOG", manifest, steps=Steps(windows=4, seconds=3600)) as log:
        fill(log, 3)
        assert log.store.held() == []
        fill(log, 1)
        assert [held.windows for held in log.store.held()] == [4]
        assert log.store.positions() == {("door", "q"): Position(at_s=2.0)}
        log.add_window("door", "q", start_s=7, end_s=9, embedding=unit(0))
        assert log.positions("door") == {"q": Position(at_s=9.0)}  # of what waits, too
    with LogWriter(tmp_path / "OTHER", manifest, steps=Steps(windows=4, seconds=0)) as log:
        fill(log, 1)
        assert [held.windows for held in log.store.held()] == [1]


def test_what_could_not_be_stored_is_stored_with_the_next_step(
    tmp_path: Path, manifest: vj.Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LogWriter(tmp_path / "LOG", manifest, steps=Steps(windows=2, seconds=3600)) as log:
        fill(log, 1)
        with monkeypatch.context() as patch:
            patch.setattr(
                "os.write", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device"))
            )
            with pytest.raises(LogError, match=r"cannot write the log .*: No space left on device"):
                fill(log, 1)
        log.flush()
        assert [held.windows for held in log.store.held()] == [2]


def test_what_waits_for_room_is_bounded_told_and_stored_when_there_is_some(
    tmp_path: Path, manifest: vj.Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = Steps(windows=10, seconds=3600, max_bytes=50 * (400 + 2 * SIDE) + 100)
    tried: list[int] = []

    def full(*args: object) -> int:
        tried.append(1)
        raise OSError(28, "No space left on device")

    log, refused = LogWriter(tmp_path / "LOG", manifest, steps=steps), []
    log.add_thumbnail("door", at_s=0, jpeg=b"jpeg", at=1000.0)
    with monkeypatch.context() as patch:
        patch.setattr("os.write", full)
        for index in range(100):
            try:
                log.add_window("door", "q", start_s=index, end_s=index + 2, embedding=unit(index))
            except LogError as error:
                refused.append(str(error))
        assert len(refused) == len(tried) == 10  # once in a step, not with each window
        assert "No space left on device" in refused[0]
        assert "dropped" not in refused[3]
        assert refused[-1].endswith("51 of the windows, events and pictures were dropped, the oldest first")
    log.add_event(vj.Event(stream="door", kind="segment", start_s=0, end_s=1, query="q"))  # takes one's place
    assert log.dropped == 52
    with pytest.raises(LogError, match=r"the log lacks .* 52 of the windows"):
        log.close()
    with LogReader(tmp_path / "LOG") as reader:
        assert [float(s) for batch in reader.windows() for s in batch.windows["start_s"]] == list(
            range(51, 100)
        )
        assert len(list(reader.events())) == 1
        assert reader.thumbnail("door", 0) is None
        ((_, position),) = reader.store.positions().items()
    assert position == Position(at_s=101.0)
    with LogWriter(tmp_path / "LOG", manifest) as log:
        assert log.dropped == 0


def test_streams_write_from_their_own_threads(tmp_path: Path, manifest: vj.Manifest) -> None:
    with LogWriter(tmp_path / "LOG", manifest, steps=Steps(windows=16)) as log:
        threads = [
            threading.Thread(target=fill, args=(log, 50), kwargs={"stream": f"s{n}"}) for n in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    with LogReader(tmp_path / "LOG") as log:
        assert [each.windows for each in log.streams()] == [50] * 4
        for batch in log.windows():
            assert batch.windows["start_s"].tolist() == list(range(50))


SPANS = st.tuples(
    st.sampled_from(["a", "b"]), st.integers(0, 100), st.integers(1, 10), st.floats(-1, 1, width=32)
)


@given(st.lists(SPANS, max_size=40))
def test_moments_hold_their_windows_and_the_best_come_first(spans: list[tuple[str, int, int, float]]) -> None:
    windows = [
        Moment(stream=stream, query="q", start_s=at, end_s=at + long, time=at + long, score=score, key=number)
        for number, (stream, at, long, score) in enumerate(spans)
    ]
    found = merge(windows)
    assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)
    if windows:
        assert found[0].score == max(window.score for window in windows)
    by_key = {window.key: window for window in windows}
    for moment in found:
        best = by_key[moment.key]
        assert (moment.stream, moment.score) == (best.stream, best.score)
        assert moment.start_s <= best.start_s <= best.end_s <= moment.end_s
    for index, first in enumerate(found):
        assert not any(first.touches(second) for second in found[index + 1 :])


def scored(log: LogWriter, cosines: list[float], wanted: np.ndarray, *, began: float = 1000.0) -> None:
    """A window of 2 s each second, at these cosines with what is wanted."""
    for second, cosine in enumerate(cosines):
        beside = unit(second)
        beside -= (beside @ wanted) * wanted
        row = cosine * wanted + np.sqrt(1 - cosine**2) * beside / np.linalg.norm(beside)
        log.add_window("door", "q", start_s=second, end_s=second + 2, embedding=row, at=began + second + 2)


@pytest.mark.parametrize(
    ("cosines", "spans"),
    [
        ([0.2] * 4 + [0.79, 0.8, 0.95, 0.9, 0.8, 0.78] + [0.2] * 4, [(6, 9)]),
        ([0.2] * 4 + [0.95, 0.8, 0.66, 0.66, 0.66, 0.66, 0.8, 0.2], [(4, 6), (10, 12)]),
        ([0.95] + [0.2] * 3 + [0.8, 0.81, 0.8], [(0, 2), (4, 8)]),
        ([0.6, 0.61] * 20 + [0.95, 0.94] + [0.6, 0.61] * 20, [(40, 43)]),
    ],
    ids=["slopes of a peak", "a valley between", "apart", "a plateau"],
)
def test_no_moment_comes_twice(
    tmp_path: Path, manifest: vj.Manifest, cosines: list[float], spans: list[tuple[float, float]]
) -> None:
    """What lies on the way up to a better moment is a part of it, and no answer of its own."""
    wanted = unit(5000)
    with LogWriter(tmp_path / "LOG", manifest) as log:
        scored(log, cosines, wanted)
    with LogReader(tmp_path / "LOG", manifest) as log:
        found = [each for each in log.search(wanted, k=5) if each.score > 0.5]
        assert [(each.start_s, each.end_s) for each in found] == spans


def test_runs_of_a_camera_at_the_same_seconds_are_moments_of_their_own(
    tmp_path: Path, manifest: vj.Manifest
) -> None:
    wanted = unit(5000)
    with LogWriter(tmp_path / "LOG", manifest) as log:
        for began, best in ((1000.0, 0.9), (9000.0, 0.85)):
            scored(log, [0.2, 0.2, best, best, 0.2, 0.2], wanted, began=began)
    with LogReader(tmp_path / "LOG", manifest) as log:
        first, second = log.search(wanted, k=2)
        assert [(each.start_s, each.end_s, each.time) for each in (first, second)] == [
            (2, 5, 1005.0),
            (2, 5, 9005.0),
        ]


def test_a_window_between_two_moments_makes_them_one() -> None:
    def window(at: float, score: float) -> Moment:
        return Moment(stream="a", query="q", start_s=at, end_s=at + 2, time=at + 2, score=score, key=int(at))

    for between in (0.84, 0.78):  # the second one is near to the lesser moment only
        (one,) = merge([window(0, 0.9), window(8, 0.85), window(4, between)])
        assert (one.start_s, one.end_s, one.score, one.key) == (0, 10, 0.9, 0)


def test_neighbours_are_one_moment_and_what_is_apart_is_another() -> None:
    def window(at: float, score: float) -> Moment:
        return Moment(stream="a", query="q", start_s=at, end_s=at + 2, time=at + 2, score=score, key=int(at))

    near = [window(0, 0.8), window(1, 0.9), window(2, 0.85)]
    worse = window(3, 0.9 - MARGIN - 0.01)
    far = window(5 + GAP_S + 0.1, 0.75)
    first, second, third = merge([*near, far, worse])
    assert (first.start_s, first.end_s, first.score, first.key) == (0, 4, 0.9, 1)
    assert (second.start_s, second.score) == (3, 0.9 - MARGIN - 0.01)
    assert third.start_s == far.start_s


def test_scores_of_ones_own_find_runs_of_windows(tmp_path: Path) -> None:
    manifest = vj.Bundle.open("tiny").manifest
    meant = [0, 1, 1, 0, 0, 0, 0, 0, 1, 0, 1, 0]  # one window is no end
    with LogWriter(tmp_path / "LOG", manifest) as log:
        for run in range(2):  # the camera begins anew
            for second, is_meant in enumerate(meant):
                row = np.eye(manifest.embedding_dim, dtype=np.float32)[is_meant] * (
                    1 - run / 100 - second / 1000
                )
                log.add_window(
                    "door", "What?", start_s=second, end_s=second + 1, embedding=row, at=1000.0 * run + second
                )
    with LogReader(tmp_path / "LOG") as log:
        found = log.search_by(lambda rows: rows[:, 1], k=10)
        assert sorted((each.time, each.start_s, each.end_s) for each in found if each.time < 1000) == [
            (2, 1, 3), (10, 8, 11),
        ]  # fmt: skip
        assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)
        assert log.search_by(lambda rows: rows[:, 2]) == []
        assert len(log.search_by(lambda rows: rows[:, 1], k=1)) == 1
        with pytest.raises(vj.InputError, match="k of at least 1"):
            log.search_by(lambda rows: rows[:, 1], k=0)
