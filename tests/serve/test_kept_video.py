"""Pieces of kept video put together: by the clock they may overlap, no picture is lost and no time comes twice."""

from __future__ import annotations

import io
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")

import av
from serving import wait_for

from vljepa_serve.config import LogConfig
from vljepa_serve.video import KeptVideo, VideoRecorder

FPS, COUNT = 10, 20


def piece(path: Path, level: int) -> None:
    """Two seconds of one grey."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", FPS, options={"tune": "zerolatency"})
        stream.width = stream.height = 64
        for _ in range(COUNT):
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(np.full((64, 64, 3), level, np.uint8), "rgb24"))
            )
        container.mux(stream.encode())


@pytest.mark.parametrize("late_ms", [-700, -40, 0, 40, 700])
def test_pieces_that_overlap_or_leave_a_gap_are_one_video(tmp_path: Path, late_ms: int) -> None:
    second = 3000 + late_ms
    piece(tmp_path / "door" / "1000-3000.mp4", 40)
    piece(tmp_path / "door" / f"{second}-{second + 2000}.mp4", 200)
    file = io.BytesIO()
    start, end = KeptVideo(tmp_path).write("door", 1.0, 6.0, file)
    assert (start, end) == (1.0, pytest.approx((second + 2000) / 1000))
    file.seek(0)
    with av.open(file) as container:
        frames = [
            (frame.time, frame.to_ndarray(format="rgb24").mean()) for frame in container.decode(video=0)
        ]
    assert len(frames) == 2 * COUNT
    assert all(after > before for (before, _), (after, _) in pairwise(frames))
    assert [level < 120 for _, level in frames] == [True] * COUNT + [False] * COUNT


@pytest.mark.parametrize("jump_days", [0, 60], ids=["", "the clock jumped ahead"])
def test_what_is_older_than_is_kept_goes_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump_days: int
) -> None:
    monkeypatch.setattr("vljepa_serve.video.recorder.LOOK_S", 0.01)
    newest_ms = round(1000 * (time.time() - 86_400 * jump_days))
    folder = tmp_path / "video" / "door"
    folder.mkdir(parents=True)
    for hours in (0, 23, 25):
        end_ms = newest_ms - 3_600_000 * hours
        (folder / f"{end_ms - 8000}-{end_ms}.mp4").write_bytes(b"video")
    with VideoRecorder(tmp_path, LogConfig(video_hours=24), lambda about, sentence: None) as recorder:
        wait_for(lambda: len([*folder.iterdir()]) < 3)
        time.sleep(0.1)
        assert len(recorder.kept.pieces("door", 0, 1e11)) == len([*folder.iterdir()]) == 2
