"""A stand-in for a loaded model, so that the commands' own manners are tested without an engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from vljepa_apps import arguments
from vljepa_runtime.closing import Closing
from vljepa_runtime.events import Event
from vljepa_runtime.preprocessing.patches import Clip
from vljepa_runtime.preprocessing.preprocess import Preprocess
from vljepa_runtime.sources import EVERY_FRAME, Frame
from vljepa_runtime.sources.limited import limited_frames
from vljepa_runtime.statistics import SessionStats


@dataclass(frozen=True)
class Scored:
    """As the runtime's."""

    label: str
    score: float


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
    """Scores a label by its length; remembers what it was asked."""

    engine_name = "fake:cpu"
    engine_text = "fake:cpu (made up)"
    preprocess = Preprocess()

    def __init__(self) -> None:
        self.clip: Clip | None = None
        self.query: str | None = None
        self.sessions: list[FakeSession] = []

    def embed(self, clip: Clip, query: str | None = None) -> npt.NDArray[np.float32]:
        self.clip, self.query = clip, query
        return np.array([1.0, 0.0, 0.0, 0.0, 0.0], np.float32)

    def embed_text(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        return np.tile(np.array([0.6, 0.8, 0.0, 0.0, 0.0], np.float32), (len(texts), 1))

    def classify(self, clip: Clip, labels: Sequence[str], *, query: str | None = None) -> tuple[Scored, ...]:
        self.clip, self.query = clip, query
        ranked = sorted(labels, key=len, reverse=True)
        return tuple(Scored(label, len(label) / 100) for label in ranked)

    def answer(self, clip: Clip, question: str, candidates: Sequence[str]) -> tuple[Scored, ...]:
        return self.classify(clip, candidates, query=question)

    def decode(self, z: npt.NDArray[np.float32]) -> str:
        return f"decoded {len(z)} values"

    def session(self, **options: Any) -> FakeSession:
        self.sessions.append(FakeSession(options))
        return self.sessions[-1]


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> FakeModel:
    """The model that every command gets in place of a bundle's."""
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
