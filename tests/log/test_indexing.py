"""Videos into a log: every window once, also after a break, and a picture for each change."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

import vljepa_runtime as vj
from vljepa_apps.demo.stream import write_video
from vljepa_data.world import Split, make_stream
from vljepa_log import LogReader, LogWriter, index_source, segments_of


@pytest.fixture(scope="module")
def model() -> vj.Model:
    return vj.load("tiny", threads=1)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("videos") / "door.mp4"
    write_video(make_stream(3, Split.TEST, minutes=0.2, size=96, fps=8), path, fps=8)
    return path


def test_the_log_holds_what_a_session_sees(tmp_path: Path, model: vj.Model, video: Path) -> None:
    seen: list[tuple[float, float, np.ndarray]] = []
    with model.session(decode="never") as session:
        for _ in session.run(
            vj.open_source(video),
            on_window=lambda window, query, row: seen.append((window.start_s, window.end_s, row)),
        ):
            pass
    with LogWriter(tmp_path / "LOG", model.bundle.manifest) as log:
        done = index_source(model, video, log)
    assert (done.windows, done.skipped) == (len(seen), False)
    with LogReader(tmp_path / "LOG", model.bundle.manifest) as log:
        (batch,) = log.windows()
        assert batch.query == model.prompts["caption"]
        assert [(w["start_s"], w["end_s"]) for w in batch.windows] == [(a, b) for a, b, _ in seen]
        assert np.diff(batch.windows["time"]) == pytest.approx(np.diff(batch.windows["end_s"]), abs=1e-3)
        cosines = (batch.embeddings.astype(np.float32) * np.stack([row for *_, row in seen])).sum(1)
        assert cosines.min() > 0.9999
        picture = log.thumbnail(done.stream, 5.0)
        assert picture is not None
        assert cv2.imdecode(np.frombuffer(picture.jpeg, np.uint8), cv2.IMREAD_COLOR).shape == (96, 96, 3)


def test_a_window_of_nothing_known_is_kept_as_one(tmp_path: Path, model: vj.Model, video: Path) -> None:
    cv2.imwrite(str(tmp_path / "wall.png"), np.full((96, 96, 3), 128, np.uint8))
    with LogWriter(tmp_path / "LOG", model.bundle.manifest) as log:
        streams = [index_source(model, source, log).stream for source in (video, tmp_path / "wall.png")]
    with LogReader(tmp_path / "LOG") as log:
        kept = {batch.stream: batch.windows["unknown"].tolist() for batch in log.windows()}
        told = {each.stream: each.unknown for each in segments_of(log)}
    assert set(kept[streams[0]]) == {-1}
    assert kept[streams[1]] == [1]
    assert told == {streams[0]: False, streams[1]: True}


def test_what_is_done_is_skipped_and_what_is_begun_goes_on(
    tmp_path: Path, model: vj.Model, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rows() -> list[float]:
        with LogReader(tmp_path / "LOG") as log:
            return [float(s) for batch in log.windows() for s in batch.windows["start_s"]]

    with LogWriter(tmp_path / "LOG", model.bundle.manifest) as log:
        whole = index_source(model, video, LogWriter(tmp_path / "WHOLE", model.bundle.manifest)).windows
        with pytest.raises(KeyboardInterrupt):
            index_source(model, video, log, on_window=lambda end_s: _stop(end_s > 5))
    begun = len(rows())
    assert 0 < begun < whole
    encoded: list[int] = []
    encode = model.encode_on_device
    monkeypatch.setattr(model, "encode_on_device", lambda *a: (encoded.append(1), encode(*a))[1])
    with LogWriter(tmp_path / "LOG", model.bundle.manifest) as log:
        assert index_source(model, video, log).windows == whole - begun == len(encoded)
        assert index_source(model, video, log).skipped
    assert len(rows()) == len(set(rows())) == whole
    os.utime(video, (1, 1))  # another recording under the same name
    with LogWriter(tmp_path / "LOG", model.bundle.manifest) as log:
        assert index_source(model, video, log).windows == whole


def _stop(now: bool) -> None:
    if now:
        raise KeyboardInterrupt
