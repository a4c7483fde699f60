"""What the tasks need from a model. `vljepa_runtime.Model` offers it; so can a PyTorch model or a fake."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from vljepa_runtime.errors import VljepaError
from vljepa_runtime.preprocessing import Clip

__all__ = ["CannotError", "Evaluable", "Float32", "Scoring", "UInt8", "nearness", "worded"]

Float32 = npt.NDArray[np.float32]
UInt8 = npt.NDArray[np.uint8]


class Evaluable(Protocol):
    """A model under test."""

    def encode(self, frames: UInt8 | Clip, /) -> Float32:
        """Frames (T, H, W, 3) uint8 RGB, or a fitted clip -> visual tokens (N, Dv)."""

    def predict(self, visual: Float32, query: str, /) -> Float32:
        """Visual tokens (N, Dv) and a query -> embedding (S,), L2-normalised."""

    def embed_text(self, texts: Sequence[str], /) -> Float32:
        """Texts -> embeddings (B, S), L2-normalised."""

    def decode(self, embedding: Float32, /) -> str:
        """An embedding (S,) -> text."""


@runtime_checkable
class Scoring(Protocol):
    """A model that rates texts itself, as a token VLM does by their likelihood: what it predicts is no embedding."""

    def score_texts(self, predicted: Float32, texts: Sequence[str], /) -> Float32:
        """What `predict` gave, and A texts -> (A,), the likeliest highest."""


class CannotError(VljepaError):
    """A model has nothing to do this with, such as no decoder: the task is marked so, and nothing failed."""


def nearness(model: Evaluable, predicted: Float32, texts: Sequence[str]) -> Float32:
    """How well each of A texts answers what a model predicted.

    Args:
        model: Rates them itself, or embeds them.
        predicted: What its `predict` gave.
        texts: The candidates.

    Returns:
        (A,) cosines, or what a model that rates texts itself says of them.
    """
    if isinstance(model, Scoring):
        return model.score_texts(predicted, texts)
    return model.embed_text(texts) @ predicted


def worded(model: Evaluable, predicted: Sequence[Float32]) -> list[str]:
    """What a model predicted, in its words.

    Raises:
        CannotError: it has no decoder.
    """
    if not getattr(model, "has_decoder", True):
        raise CannotError("it ranks texts and words none")
    return [model.decode(each) for each in predicted]
