"""Selective decoding on recorded streams whose meanings are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vljepa_evaluation.metrics import ratios
from vljepa_evaluation.tasks.selective import curves
from vljepa_evaluation.tasks.streams import Recording
from vljepa_runtime.selection import OfflineWard, OnlineSelection, Uniform


def steady(events: int = 12, seed: int = 0) -> Recording:
    """Events of 5 s, each with its own embedding, a window of 2 s every half second."""
    rng = np.random.default_rng(seed)
    meanings = np.linalg.qr(rng.normal(size=(16, 16)))[0][:events].astype(np.float32)
    starts = np.arange(0, events * 5 - 2, 0.5)
    owner = np.minimum(((starts + 1) // 5).astype(int), events - 1)
    texts = tuple((f"w{index} does thing {index} with x{index}",) for index in range(events))
    spans = np.arange(events)[:, None] * 5.0 + [0.0, 5.0]
    return Recording(meanings[owner], np.stack([starts, starts + 2], axis=1), spans, texts)


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
