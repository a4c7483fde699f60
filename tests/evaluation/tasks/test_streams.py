"""Recorded streams: what is kept of one, and its windows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vljepa_data.world.stream import make_stream
from vljepa_evaluation.tasks.streams import StreamPlan, record, windows_of
from vljepa_runtime.preprocessing.preprocess import Preprocess

PLAN = StreamPlan(minutes=0.2)


class Counting:
    """A model whose embedding is the clip's mean colour."""

    windows = 0

    def encode(self, frames: Any, /) -> Any:
        self.windows += 1
        return frames.frames.mean(axis=(1, 2)).astype(np.float32)

    def predict(self, visual: Any, query: str, /) -> Any:
        return np.asarray(visual.reshape(-1) / np.linalg.norm(visual), np.float32)

    def embed_text(self, texts: Any, /) -> Any:
        return np.zeros((len(texts), 3), np.float32)

    def decode(self, embedding: Any, /) -> str:
        return "a red ball rolls"


def test_a_recording_survives_the_disk(tmp_path: Path) -> None:
    model, pre = Counting(), Preprocess()
    first = record(model, 3, PLAN, pre, cache=tmp_path, model_key="m")
    seen = model.windows
    assert seen == len(first.embeddings) == len(first.windows_s)
    again = record(model, 3, PLAN, pre, cache=tmp_path, model_key="m")
    assert model.windows == seen
    np.testing.assert_array_equal(again.embeddings, first.embeddings)
    assert again.references == first.references
    (file,) = tmp_path.iterdir()
    file.write_bytes(b"half a file")
    np.testing.assert_array_equal(
        record(model, 3, PLAN, pre, cache=tmp_path, model_key="m").embeddings, first.embeddings
    )


def test_windows_cover_the_stream() -> None:
    stream = make_stream(1, minutes=0.1)
    windows = list(windows_of(stream, Preprocess(), 0.5))
    assert windows[1].start_s - windows[0].start_s == pytest.approx(0.5)
    assert windows[-1].end_s == pytest.approx(stream.seconds, abs=0.5)
