"""Models for commands: the shipped one, and for `run` one whose sessions take the time that a test says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

import vljepa_runtime as vj
from vljepa_apps import arguments
from vljepa_runtime.closing import Closing
from vljepa_runtime.events import Event
from vljepa_runtime.preprocessing.patches import Clip
from vljepa_runtime.preprocessing.preprocess import Preprocess
from vljepa_runtime.sources import EVERY_FRAME, Frame
from vljepa_runtime.sources.limited import limited_frames
from vljepa_runtime.statistics import SessionStats


class FakeSession(Closing):
    """One segment event for every fourth frame."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        self.windows = self.decodings = 0
        self.closed = self.stopped = False

    @property
    def stats(self) -> SessionStats:
        """A window takes 1.5 ms."""
        return SessionStats(
            windows=self.windows,
            queries=1,
            decisions=self.decodings,
            decodings=self.decodings,
            media_s=0.0,
            busy_s=0.0,
            p50_ms=1.5,
            p95_ms=2.0,
            latency={},
        )

    def close(self) -> None:
        self.closed = True

    def stop(self) -> None:
        self.stopped = True

    def run(self, source: Any, **options: Any) -> Iterator[Event]:
        yield Event(stream=source.name, kind="status", text="fake engine")
        options.pop("on_window", None)
        for item in limited_frames(source, EVERY_FRAME, **options):
            if self.stopped:
                return
            if isinstance(item, Frame):
                self.windows += 1
                if item.index % 4 == 0:
                    self.decodings += 1
                    yield Event(
                        stream=source.name,
                        kind="segment",
                        start_s=item.time_s,
                        end_s=item.time_s + 0.25,
                        text=f"frame {item.index}",
                        decoded=True,
                    )


class FakeModel:
    """Opens sessions whose windows take no time; remembers them."""

    engine_name = "fake:cpu"
    engine_text = "fake:cpu (made up)"
    preprocess = Preprocess()
    has_decoder = True
    bundle = SimpleNamespace(name="toy", manifest=SimpleNamespace(knows_only=""))
    novelty = None

    def __init__(self) -> None:
        self.sessions: list[FakeSession] = []

    def read_clip(self, source: Any, **options: Any) -> Clip:
        return vj.read_clip(source, self.preprocess, **options)

    def session(self, **options: Any) -> FakeSession:
        self.sessions.append(FakeSession(options))
        return self.sessions[-1]


class RecordingModel(vj.Model):
    """A real model that remembers what it was asked last."""

    clip: Clip
    query: str | None = None

    def embed(self, frames: Any, query: str | None = None, *, tokens: Any = "all") -> Any:
        self.clip, self.query = frames, query
        return super().embed(frames, query, tokens=tokens)


@pytest.fixture(scope="session")
def loaded_tiny() -> RecordingModel:
    return RecordingModel(vj.Bundle.open("tiny"), vj.open_engine("onnxruntime:cpu", threads=1))


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, loaded_tiny: RecordingModel) -> RecordingModel:
    """The shipped model, which every command gets, whatever bundle it names."""
    loaded_tiny.query = None
    monkeypatch.setattr(arguments, "load_model", lambda args: loaded_tiny)
    monkeypatch.delenv("VLJEPA_DEBUG", raising=False)
    return loaded_tiny


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> FakeModel:
    """The model that `run` gets in place of a bundle's."""
    fake = FakeModel()
    monkeypatch.setattr(arguments, "load_model", lambda args: fake)
    monkeypatch.delenv("VLJEPA_DEBUG", raising=False)
    return fake


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of twelve pictures, 64 x 48: a source of 3 seconds at 4 a second."""
    folder = tmp_path_factory.mktemp("pictures")
    for index in range(12):
        image = np.full((48, 64, 3), 10 * index, np.uint8)
        cv2.imwrite(str(folder / f"{index:03}.png"), image)
    return folder
