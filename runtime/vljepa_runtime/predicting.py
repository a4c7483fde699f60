"""Windows, ready for the X-encoder, become predicted embeddings. Keeps no state, knows no stream."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vljepa_runtime.events import LatencyMs
from vljepa_runtime.states import pool_tokens

if TYPE_CHECKING:
    from vljepa_runtime.model import Model
    from vljepa_runtime.preprocessing.sampling import Window

__all__ = ["NO_TUBELETS", "PredictedWindow", "PreparedWindow", "predict_windows"]

Float32 = npt.NDArray[np.float32]
Int32 = npt.NDArray[np.int32]
UInt8 = npt.NDArray[np.uint8]
NO_TUBELETS: tuple[UInt8, Int32] = np.zeros((0, 0), np.uint8), np.zeros((0, 3), np.int32)
"""Patches and positions of a window that keeps an embedding."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PreparedWindow:
    """A window as the X-encoder takes it.

    Attributes:
        window: Where it was cut from its stream.
        patches: (N, P) uint8.
        positions: (N, 3) int32.
        capture_ms: Time spent on reading, fitting and cutting it.
        pools: Its visual tokens are wanted, too, pooled: by a policy, or to judge whether it is unknown.
        carried: What was predicted for a window that shows the same, and is kept for this one.
        completes: Its tubelets stand for those that were left out, see `Model.complete_batch`.
    """

    window: Window
    patches: UInt8
    positions: Int32
    capture_ms: float = 0.0
    pools: bool = False
    carried: PredictedWindow | None = None
    completes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PredictedWindow:
    """A window and what was predicted for each query, with the times that took.

    Attributes:
        window: Where it was cut from its stream; judged, where its tokens were wanted.
        queries: What it was asked.
        embeddings: (Q, S) float32, one row per query, L2-normalised.
        capture_ms: See `PreparedWindow`.
        encode_ms: Of the X-encoder; of a batch, its share; None where nothing was encoded.
        predict_ms: Of the predictor, per query; of a batch, its share; None likewise.
        encoded_tokens: How many tubelets went through the X-encoder.
        tokens: (Dv,) its visual tokens, see `pool_tokens`, where they were wanted.
    """

    window: Window
    queries: tuple[str, ...]
    embeddings: Float32
    capture_ms: float
    encode_ms: float | None
    predict_ms: tuple[float | None, ...]
    encoded_tokens: int
    tokens: Float32 | None = None

    def latency_ms(self, predict_ms: float | None) -> LatencyMs:
        """What it took, for the query whose prediction took so long."""
        return LatencyMs(capture=self.capture_ms, encode=self.encode_ms, predict=predict_ms)


def predict_windows(
    model: Model, windows: Sequence[PreparedWindow], queries: Sequence[str]
) -> list[PredictedWindow]:
    """Encode each window once and ask it every query; several windows go through the graphs as one batch.

    Args:
        model: What encodes and predicts.
        windows: All with the same number of tubelets, which all stand for others or do not; or all keep an embedding.
        queries: What each is asked.
    """
    if kept := [_kept(each, each.carried) for each in windows if each.carried is not None]:
        return kept
    if len(windows) == 1:  # the same runs as for a stream alone, so the same bits
        return [_alone(model, windows[0], queries)]
    begun = time.perf_counter()
    positions = np.stack([window.positions for window in windows])
    visual = model.encode_batch(np.stack([window.patches for window in windows]), positions)
    if windows[0].completes:
        visual = model.complete_batch(visual, positions)
    encode_ms = _ms_since(begun) / len(windows)
    asked = []
    for query in queries:
        begun = time.perf_counter()
        asked.append((model.predict_batch(visual, query), _ms_since(begun) / len(windows)))
    tokens = np.asarray(visual) if any(window.pools for window in windows) else None
    return [
        _predicted(
            model,
            window,
            encode_ms,
            queries,
            [(embeddings[row], spent_ms) for embeddings, spent_ms in asked],
            tokens=pool_tokens(tokens[row]) if tokens is not None and window.pools else None,
        )
        for row, window in enumerate(windows)
    ]


def _kept(window: PreparedWindow, last: PredictedWindow) -> PredictedWindow:
    """The prediction that a window keeps."""
    return replace(
        last,
        window=replace(window.window, unknown=last.window.unknown, carried=True),
        capture_ms=window.capture_ms,
        encode_ms=None,
        predict_ms=(None,) * len(last.queries),
        encoded_tokens=0,
    )


def _alone(model: Model, window: PreparedWindow, queries: Sequence[str]) -> PredictedWindow:
    begun = time.perf_counter()
    visual = model.encode_on_device(window.patches, window.positions)
    if window.completes:
        visual = replace(visual, tensor=model.complete_batch(visual.tensor, window.positions[None]))
    encode_ms, asked = _ms_since(begun), []
    for query in queries:
        begun = time.perf_counter()
        asked.append((model.predict(visual, query), _ms_since(begun)))
    tokens = pool_tokens(visual) if window.pools else None
    return _predicted(model, window, encode_ms, queries, asked, tokens=tokens)


def _predicted(
    model: Model,
    window: PreparedWindow,
    encode_ms: float,
    queries: Sequence[str],
    asked: Sequence[tuple[Float32, float]],
    *,
    tokens: Float32 | None,
) -> PredictedWindow:
    unknown = None if tokens is None else model.is_unknown(tokens)
    return PredictedWindow(
        window=replace(window.window, unknown=unknown),
        queries=tuple(queries),
        embeddings=np.stack([embedding for embedding, _ in asked]),
        capture_ms=window.capture_ms,
        encode_ms=encode_ms,
        predict_ms=tuple(spent_ms for _, spent_ms in asked),
        encoded_tokens=len(window.patches),
        tokens=tokens,
    )


def _ms_since(begun: float) -> float:
    return (time.perf_counter() - begun) * 1000
