"""Parity is measured: whatever a manifest says, other numbers show, and so do other words and other models."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import vljepa_runtime as vj
from vljepa_apps.measure.compare.parity import MeasuredParity, measured_parity
from vljepa_apps.measure.subject import Subject


class Altered:
    """The shipped bundle, some of whose answers are moved."""

    has_decoder = True

    def __init__(self, model: vj.Model, *, texts: float = 0.0, cut: int = 0) -> None:
        self._model, self._texts, self._cut = model, texts, cut

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def embed_text(self, texts: list[str]) -> Any:
        rows = self._model.embed_text(texts)
        return np.roll(rows, 1, axis=0) if self._texts else rows

    def predict(self, visual: Any, query: str | None = None) -> Any:
        row = self._model.predict(visual, query)
        return row[: -self._cut] if self._cut else row

    def decode(self, embedding: Any) -> str:
        return self._model.decode(np.resize(embedding, 256)) + ("!" if self._texts else "")


def rows(model: Any) -> dict[str, MeasuredParity]:
    base = vj.load("tiny", engine="onnxruntime:cpu", threads=1)
    subject = Subject(spec="tiny", engine="onnxruntime:cpu", threads=1)
    return {each.name: each for each in measured_parity(subject, base, subject, model, labels=("b", "a"))}


@pytest.fixture(scope="module")
def tiny() -> vj.Model:
    return vj.load("tiny", engine="onnxruntime:cpu", threads=1)


def test_a_bundle_is_identical_to_itself_in_every_graph_and_end_to_end(tiny: vj.Model) -> None:
    found = rows(tiny)
    assert {*tiny.bundle.manifest.graphs} < set(found)
    assert len(found) == len(tiny.bundle.manifest.graphs) + 3
    assert all(each.identical and not each.note for each in found.values())


def test_what_differs_end_to_end_shows(tiny: vj.Model) -> None:
    found = rows(Altered(tiny, texts=1.0))
    texts = found["texts, end to end"]
    assert texts.parity is not None
    assert texts.parity.worst_cosine < 0.9
    assert not texts.identical
    assert found["windows, end to end"].identical
    assert found["words, end to end"].same == 0.0


def test_another_size_of_embedding_is_a_note(tiny: vj.Model) -> None:
    found = rows(Altered(tiny, cut=6))
    assert found["windows, end to end"].note == "embeddings of 250 numbers against 256"
    assert found["windows, end to end"].parity is None
