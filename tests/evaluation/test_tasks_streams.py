"""Recorded streams and the selective decoding curve on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vljepa_data.world.stream import make_stream
from vljepa_evaluation.metrics import Curve, held_out, ratios
from vljepa_evaluation.tasks.selective import curves
from vljepa_evaluation.tasks.streams import Recording, StreamPlan, record, windows_of
from vljepa_runtime.patches import Preprocess
from vljepa_runtime.selection import OfflineWard, OnlineSelection, Uniform

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


def steady(events: int = 12, seed: int = 0) -> Recording:
    """Events of 5 s, each with its own embedding, a window of 2 s every half second."""
    rng = np.random.default_rng(seed)
    meanings = np.linalg.qr(rng.normal(size=(16, 16)))[0][:events].astype(np.float32)
    starts = np.arange(0, events * 5 - 2, 0.5)
    owner = np.minimum(((starts + 1) // 5).astype(int), events - 1)
    texts = tuple((f"w{index} does thing {index} with x{index}",) for index in range(events))
    spans = np.arange(events)[:, None] * 5.0 + [0.0, 5.0]
    return Recording(meanings[owner], np.stack([starts, starts + 2], axis=1), spans, texts)


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


def test_selection_needs_fewer_decodings_than_the_clock() -> None:
    recordings = [steady(seed=seed) for seed in range(3)]
    words = {z.tobytes(): texts[0] for r in recordings for z, texts in said(r)}
    swept = {
        "uniform": [(s, Uniform(s)) for s in (0.5, 1.0, 5.0, 20.0)],
        "ward": [(60 / s, OfflineWard(per_minute=60 / s, pooling="midpoint")) for s in (2.0, 5.0, 20.0)],
        "online": [(t, OnlineSelection(threshold=t)) for t in (0.3, 0.6)],
    }
    decoded: list[bytes] = []

    def decode(z: Any) -> str:
        decoded.append(z.tobytes())
        near = max(words, key=lambda key: float(np.frombuffer(key, np.float32) @ z))
        return words[near]

    measured = {curve.policy: curve for curve in curves(recordings, decode, swept=swept)}
    assert len(decoded) == len(set(decoded))
    assert measured["uniform"].rates[1] == pytest.approx(60, rel=0.02)
    found = {ratio.policy: ratio for ratio in ratios(tuple(measured.values()))}
    for name in ("ward", "online"):
        ratio = found[name].ratio
        assert ratio is not None
        assert ratio.value > 3
        assert ratio.low <= ratio.value <= ratio.high
    assert found["online"].reached == 1.0


def said(recording: Recording) -> Any:
    middles = recording.windows_s.mean(axis=1)
    owner = np.minimum((middles // 5).astype(int), len(recording.references) - 1)
    return ((z, recording.references[index]) for z, index in zip(recording.embeddings, owner))


def test_a_setting_is_chosen_on_other_streams_than_it_is_reported_on() -> None:
    def measured(scores: list[list[float]], decodings: list[list[float]]) -> Curve:
        return Curve(
            "online", (0.1, 0.3, 0.5), np.array(scores), np.array(decodings), np.full(2, 10.0), np.ones(2)
        )

    uniform = Curve(
        "uniform",
        (1.0, 10.0),
        np.array([[20.0, 20], [5, 5]]),
        np.array([[60.0, 60], [6, 6]]),
        np.full(2, 10.0),
        np.ones(2),
    )
    chosen_on = measured([[30, 30], [21, 21], [9, 9]], [[40.0, 40], [12, 12], [3, 3]])
    reported = measured([[30, 30], [16, 18], [9, 9]], [[40.0, 40], [10, 20], [3, 3]])
    (found,) = held_out((uniform, chosen_on), (uniform, reported))
    assert (found.policy, found.setting, found.per_minute) == ("online", 0.3, 15.0)
    assert found.fewer.value == pytest.approx(4.0)
    assert found.gain.value == pytest.approx(-0.3)
    assert found.gain.low <= -0.3 <= found.gain.high < 0
    mute = measured([[1, 1]] * 3, [[40.0, 40], [12, 12], [3, 3]])
    assert held_out((uniform, mute), (uniform, reported)) == ()


def test_a_quality_never_reached_has_no_ratio() -> None:
    def curve(name: str, quality: float) -> Curve:
        scores = np.full((2, 4), quality * 10)
        counts = np.array([[60.0] * 4, [6.0] * 4])
        return Curve(name, (1.0, 10.0), scores, counts, np.full(4, 10.0), np.ones(4))

    found = {ratio.policy: ratio for ratio in ratios((curve("uniform", 2.0), curve("mute", 0.5)))}
    assert found["mute"].ratio is None
    assert found["mute"].reached == 0.0
    assert found["uniform"].against_sparsest == 1.0
    with pytest.raises(ValueError, match="expected a curve `uniform`"):
        ratios((curve("ward", 1.0),))
