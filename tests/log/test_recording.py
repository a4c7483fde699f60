"""Streams into a log as they run: once, whole after a signal, on their own clock, and ended alone by a full disk."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import vljepa_runtime as vj
from vljepa_apps import arguments
from vljepa_apps.demo.stream import write_video
from vljepa_apps.main import main
from vljepa_data.world import Split, make_stream
from vljepa_log import (
    LogError,
    LogReader,
    LogSink,
    LogWriter,
    Steps,
    Where,
    folder_store,
    index_source,
    recording,
    segments_of,
    sink,
)
from vljepa_runtime.errors import OutputError
from vljepa_runtime.sources import Hints
from vljepa_runtime.sources.pictures.folder import FolderSource

PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def model() -> vj.Model:
    return vj.load("tiny", threads=1)


@pytest.fixture(autouse=True)
def commands_take_it(model: vj.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arguments, "load_model", lambda args: model)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("videos") / "door.mp4"
    write_video(make_stream(3, Split.TEST, minutes=0.2, size=96, fps=8), path, fps=8)
    return path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures, which tests take for a camera: 6 seconds at 4 a second."""
    folder = tmp_path_factory.mktemp("camera")
    for index, image in enumerate(make_stream(3, Split.TEST, minutes=0.1, size=96, fps=4)):
        cv2.imwrite(str(folder / f"{index:03}.png"), image)
    return folder


def windows_of(place: Path) -> list[tuple[float, float]]:
    with LogReader(place) as log:
        return [(float(w["start_s"]), float(w["end_s"])) for batch in log.windows() for w in batch.windows]


def told_in(place: Path) -> list[vj.Event]:
    with LogReader(place) as log:
        return [each.event for each in log.events()]


def test_a_run_leaves_what_it_saw_and_said(
    tmp_path: Path, model: vj.Model, video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "LOG"
    assert main(["run", "tiny", str(video), "--log", str(place)]) == 0
    said = [vj.Event.from_json(line) for line in capsys.readouterr().out.splitlines()]
    segments = [event for event in said if event.kind == "segment"]
    assert told_in(place) == segments != []
    with LogWriter(tmp_path / "INDEX", model.bundle.manifest, boundaries=model.boundaries) as log:
        index_source(model, video, log)
    assert windows_of(place) == windows_of(tmp_path / "INDEX")
    began = os.stat(video).st_mtime - 12  # seconds that it shows
    with LogReader(place) as ran, LogReader(tmp_path / "INDEX") as indexed:
        for event in segments:
            picture = ran.thumbnail(event.stream, event.start_s)
            assert picture == indexed.thumbnail(event.stream, event.start_s)
            assert picture is not None
            assert picture.time == pytest.approx(began + picture.at_s)
        assert [each.time - began for each in ran.events()] == pytest.approx([e.end_s for e in segments])
    begins = [event.start_s for event in segments]
    for boundaries, same in ((model.boundaries, True), (None, False)):
        with LogReader(place, boundaries=boundaries) as log:
            assert ([each.start_s for each in segments_of(log)] == begins) is same


def test_a_file_is_stored_once_however_often_it_is_run(tmp_path: Path, video: Path, model: vj.Model) -> None:
    place = tmp_path / "LOG"
    part = ["run", "tiny", str(video), "--log", str(place), "--max-seconds", "6"]
    assert main(part) == 0
    half = len(windows_of(place))
    assert main(part) == 0
    assert len(windows_of(place)) == half
    for _ in range(2):
        assert main(["run", "tiny", str(video), "--log", str(place)]) == 0
    stored = windows_of(place)
    assert len(stored) == len(set(stored)) > half
    starts = [event.start_s for event in told_in(place)]
    assert len(starts) == len(set(starts))
    with LogWriter(place, model.bundle.manifest) as log:
        assert index_source(model, video, log).skipped


def test_what_was_asked_something_else_is_another_matter(
    tmp_path: Path, model: vj.Model, video: Path
) -> None:
    place = tmp_path / "LOG"
    with LogWriter(place, model.bundle.manifest) as log:
        first = index_source(model, video, log)
        second = index_source(model, video, log, query="What colour?")
        assert first.windows == second.windows > 0
        assert index_source(model, video, log, query="What colour?").skipped
    asked = ["--query", "What colour?", "--query", "What is the action?", "--label", "red", "--label", "blue"]
    for _ in range(2):
        assert main(["run", "tiny", str(video), "--log", str(place), *asked]) == 0
    with LogReader(place) as log:
        (stream,) = log.streams()
        starts = {each: [] for each in stream.queries}
        for batch in log.windows():
            starts[batch.query] += batch.windows["start_s"].tolist()
        answers = [(each.event.query, each.event.start_s) for each in log.events()]
    assert len(starts) == 3
    assert all(len(set(found)) == len(found) == first.windows for found in starts.values())
    assert len(answers) == len(set(answers)) > 0
    with closing(sqlite3.connect(place / "log.sqlite")) as database:
        pictures = database.execute("SELECT at_s FROM thumbnails").fetchall()
    assert len(pictures) == len(set(pictures)) > 0


def test_one_source_twice_is_stored_once(tmp_path: Path, model: vj.Model, video: Path) -> None:
    with LogWriter(tmp_path / "LOG", model.bundle.manifest) as log:
        done = [index_source(model, video, log, max_seconds=4.0).windows for _ in range(2)]
    assert done[0] > 0 == done[1]
    stored = windows_of(tmp_path / "LOG")
    assert len(stored) == len(set(stored)) == done[0]


def test_words_join_a_log_that_was_indexed(tmp_path: Path, model: vj.Model, video: Path) -> None:
    place = tmp_path / "LOG"
    with LogWriter(place, model.bundle.manifest) as log:
        index_source(model, video, log)
    before = windows_of(place)
    assert main(["run", "tiny", str(video), "--log", str(place)]) == 0
    assert windows_of(place) == before
    assert all(event.text for event in told_in(place))


def test_every_query_has_its_windows_and_an_answer_its_words(tmp_path: Path, video: Path) -> None:
    place = tmp_path / "LOG"
    asked = [
        "--query",
        "What is the action?",
        "--query",
        "What colour?",
        "--label",
        "red",
        "--label",
        "white",
    ]
    assert main(["run", "tiny", str(video), "--log", str(place), *asked]) == 0
    with LogReader(place) as log:
        batches = list(log.windows())
    assert sorted(batch.query for batch in batches) == ["What colour?", "What is the action?"]
    assert len({len(batch) for batch in batches}) == 1
    assert {event.kind for event in told_in(place)} == {"answer"}


def test_a_log_on_a_disk_that_stays_full_ends_and_not_the_run(
    tmp_path: Path, video: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Any, contents: Any) -> None:
        raise LogError(f"cannot write the log {self.folder}: No space left on device")

    monkeypatch.setattr(folder_store.FolderStore, "append", full)
    monkeypatch.setattr(sink, "Steps", partial(Steps, windows=2))
    place, jsonl = tmp_path / "LOG", tmp_path / "e.jsonl"
    assert main(["run", "tiny", str(video), "--log", str(place), "--jsonl", str(jsonl)]) == 1
    out, err = capsys.readouterr()
    assert err.count("No space left on device") == 2  # once on the way, once at the end
    assert "what comes is kept for a while" in err
    assert "this output ends here, the others go on" in err
    assert jsonl.read_text() == out
    kinds = [json.loads(line)["kind"] for line in out.splitlines()]
    assert kinds == ["status", "status", "segment", "segment", "status"]  # told on the way, and at the end
    assert "warning: cannot write the log" in out.splitlines()[1]
    monkeypatch.undo()
    assert windows_of(place) == []


def test_a_sink_that_failed_closes_and_notes_no_end(
    tmp_path: Path, model: vj.Model, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_sink = LogSink(tmp_path / "LOG", model.bundle.manifest, steps=Steps(windows=1, seconds=3600))
    source = vj.open_source(video)
    log_sink.add_stream(video, source)
    plain, calls = folder_store.FolderStore.append, iter([True, False, *[True] * 99])

    def once(self: Any, contents: Any) -> None:
        if not next(calls):
            raise LogError("cannot write")
        plain(self, contents)

    monkeypatch.setattr(folder_store.FolderStore, "append", once)
    with pytest.raises(OutputError, match="cannot write"), model.session(decode="never") as session:
        for _ in session.run(source, on_window=lambda *seen: log_sink.write_window(source.name, *seen)):
            pass
    log_sink.close()
    log_sink.close()
    with LogWriter(tmp_path / "LOG", model.bundle.manifest) as log:  # it was let go
        positions = log.positions(source.name)
    assert [each.complete for each in positions.values()] == [False]
    assert len(windows_of(tmp_path / "LOG")) == 2  # what could not be written came with the next step


def test_a_log_of_another_writer_stops_before_any_work(
    tmp_path: Path, model: vj.Model, video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with LogWriter(tmp_path / "LOG", model.bundle.manifest):
        assert main(["run", "tiny", str(video), "--log", str(tmp_path / "LOG")]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "being written by another process" in err


def ends_at(monkeypatch: pytest.MonkeyPatch, frame: int, number: int) -> None:
    """A camera whose user ends the run at a frame; it gives no window before the one before it is stored."""
    plain, stop, add = FolderSource.frames, vj.Session.stop, recording.StreamRecorder.add
    stopped, stored = threading.Event(), list[object]()

    def eventful(self: FolderSource, hints: Hints) -> Iterator[Any]:
        stopped.clear()
        stored.clear()
        for item in plain(self, hints):
            index = getattr(item, "index", 0)
            if index == frame:
                os.kill(os.getpid(), number)
                assert stopped.wait(PATIENCE_S)
            complete = max(0, (index - 5) // 4)  # windows of 8 pictures, one begins with every fourth
            ends = time.monotonic() + PATIENCE_S
            while len(stored) < complete and not stopped.is_set():
                assert time.monotonic() < ends
                time.sleep(0.01)
            yield item

    monkeypatch.setattr(FolderSource, "frames", eventful)
    monkeypatch.setattr(FolderSource, "live", True, raising=False)
    monkeypatch.setattr(vj.Session, "stop", lambda self: (stop(self), stopped.set()))
    monkeypatch.setattr(
        recording.StreamRecorder, "add", lambda self, *given: (add(self, *given), stored.append(given))
    )


@pytest.mark.skipif(os.name == "nt", reason="no SIGTERM")
def test_a_camera_that_is_ended_and_comes_again_goes_on_in_time(
    tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "LOG"
    run = ["run", "tiny", str(pictures), "--log", str(place)]
    ends_at(monkeypatch, 20, signal.SIGTERM)
    assert main(run) == 0
    first = windows_of(place)
    assert first != []
    segments = told_in(place)
    assert segments != []
    with LogReader(place) as log:
        summary = log.streams()[0]
    assert abs(summary.last - datetime.now(timezone.utc).timestamp()) < 60
    later = summary.last + 3600.0
    monkeypatch.setattr(recording.time, "time", lambda: later)
    assert main(run) == 0
    again = windows_of(place)[len(first) :]
    moved = first[-1][1] + 3600
    expected = [(start + moved, end + moved) for start, end in first]
    np.testing.assert_allclose(again, expected, atol=1e-3)
    assert [e.start_s for e in told_in(place)[len(segments) :]] == pytest.approx(
        [e.start_s + moved for e in segments], abs=2e-3
    )
    with LogReader(place) as log:
        (stream,) = log.streams()
        for at_s in (again[0][0], first[0][0]):
            picture = log.thumbnail(stream.name, at_s)
            assert picture is not None
            assert abs(picture.at_s - at_s) < 6
        assert len(list(log.events(Where(since=later - 60)))) == len(segments)
