"""What token VLMs have in common as lines: they answer for a clip and a query at once, and have no embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from vljepa_apps.measure.baselines.protocol import Float32, UInt8
from vljepa_data.world import PROMPTS
from vljepa_evaluation.tasks import CannotError
from vljepa_runtime.preprocessing import Clip

__all__ = ["RatingVlm"]


class RatingVlm:
    """See `Baseline` and `Scoring`; who derives from it encodes, reads and words.

    What it predicts is the number of a clip and a query, which are kept until their text is wanted or rated.
    """

    has_decoder = True

    def __init__(self) -> None:
        self._kept: list[tuple[Float32, str]] = []

    def encode(self, frames: UInt8 | Clip) -> Float32:
        """Frames (T, H, W, 3), or a fitted clip -> visual tokens (N, D) as the language model reads them."""
        raise NotImplementedError

    def predict(self, visual: Float32, query: str) -> Float32:
        """Visual tokens (N, D) and a query -> (1,), their number."""
        self._kept.append((visual, query))
        return np.array([len(self._kept) - 1], np.float32)

    def embed(self, frames: UInt8 | Clip, query: str | None = None) -> Float32:
        """A window: frames (T, H, W, 3) and a query, read up to the first token of the answer -> see `predict`."""
        visual, query = self.encode(frames), query or PROMPTS["caption"]
        self._read(visual, query)
        return self.predict(visual, query)

    def embed_text(self, texts: Sequence[str]) -> NoReturn:
        """Its space has no texts."""
        raise CannotError("a token VLM rates texts for one clip and embeds none")

    def decode(self, predicted: Float32) -> str:
        """What `predict` gave -> text, always taking the likeliest token."""
        return self._worded(*self.asked(predicted))

    def asked(self, predicted: Float32) -> tuple[Float32, str]:
        """The visual tokens and the query behind what `predict` gave."""
        return self._kept[int(predicted[0])]

    def _read(self, visual: Float32, query: str) -> tuple[Any, Any]:
        """The first token of the answer, or what leads to it, and the cache."""
        raise NotImplementedError

    def _worded(self, visual: Float32, query: str) -> str:
        """The answer."""
        raise NotImplementedError
