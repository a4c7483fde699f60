"""Clips of alerts that follow each other closely: each has all of its pictures once, and so has the kept video."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")

import av

import vljepa_runtime as vj
from vljepa_serve.config import LogConfig
from vljepa_serve.video import VideoRecorder

FPS, SECONDS, GROUP_S = 8, 48, 3
LEVELS, STEP = 20, 12  # of grey on either half of a picture, which tell its number
BEGAN = 1_800_000_000.0


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures that say their number, with B-frames."""
    path = tmp_path_factory.mktemp("clips") / "numbers.mp4"
    with av.open(str(path), "w") as container:
        options = {"g": str(FPS * GROUP_S), "keyint_min": str(FPS * GROUP_S), "crf": "10", "bf": "2"}
        stream = container.add_stream("libx264", FPS, options=options)
        stream.width = stream.height = 64
        for number in range(FPS * SECONDS):
            image = np.zeros((64, 64, 3), np.uint8)
            image[:, :32], image[:, 32:] = STEP * (number // LEVELS), STEP * (number % LEVELS)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode())
    return path


def numbers(path: Path) -> list[int]:
    """Which pictures a video shows."""
    with av.open(str(path)) as container:
        found = []
        for frame in container.decode(video=0):
            image = frame.to_ndarray(format="rgb24")
            high, low = image[8:-8, 8:24].mean() / STEP, image[8:-8, 40:56].mean() / STEP
            found.append(round(high) * LEVELS + round(low))
        return found


@pytest.fixture
def recorder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[VideoRecorder]:
    """One whose thread is played by the test."""
    monkeypatch.setattr("vljepa_serve.video.recorder.LOOK_S", 3600.0)
    problems: dict[str, str] = {}
    with VideoRecorder(tmp_path, LogConfig(), problems.__setitem__) as found:
        yield found
    assert not any(problems.values()), problems


def test_alerts_within_seconds_have_each_the_whole_of_their_clip(
    recorder: VideoRecorder, footage: Path
) -> None:
    begins_s = 12.0, 16.0, 17.0, 30.0
    keeper, names = recorder.begin("door"), {}
    with vj.open_source(footage) as source:
        source.keep_packets(keeper.ring)
        for frame in source:
            keeper.advance(frame.time_s, began=BEGAN)
            if frame.time_s in begins_s:
                at = BEGAN + frame.time_s
                names[frame.time_s] = recorder.want_clip("door", "fall", start=at - 10, end=at)
            if frame.time_s % 1 == 0:
                keeper.store()
                recorder.make_clips(now=BEGAN + frame.time_s)
    assert len({*names.values()}) == len(begins_s)
    for begin_s, name in names.items():
        shown = numbers(recorder.clips / str(name))
        assert shown == list(range(shown[0], shown[-1] + 1))  # none lost, none twice
        assert shown[0] <= (begin_s - 10) * FPS < shown[0] + 12 * FPS  # a piece begins up to 11 s before
        assert shown[-1] >= (begin_s + 5) * FPS - 1
    keeper.advance(float(SECONDS), began=BEGAN)
    recorder.end("door")
    pieces = recorder.kept.pieces("door", 0, 2 * BEGAN)
    kept = [number for each in pieces for number in numbers(recorder.kept.folder / "door" / each.name)]
    assert kept == list(range(FPS * SECONDS))
