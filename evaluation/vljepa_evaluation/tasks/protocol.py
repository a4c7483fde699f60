"""What the tasks need from a model. `vljepa_runtime.Model` offers it; so can a PyTorch model or a fake."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vljepa_runtime.preprocessing import Clip

__all__ = ["Evaluable", "Float32", "UInt8"]

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
