"""A token VLM as a line: it generates the text that answers, and rates texts by their likelihood."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vljepa_apps.measure.baselines.folder import Folder
from vljepa_apps.measure.baselines.processing import VlmProcessor
from vljepa_apps.measure.baselines.protocol import Float32, UInt8
from vljepa_apps.measure.baselines.rating import RatingVlm
from vljepa_apps.measure.baselines.vlm_stages import Stages
from vljepa_apps.measure.cells import DECODE, WINDOW
from vljepa_data.world import PROMPTS
from vljepa_runtime.contract import STEP, X_ENCODER
from vljepa_runtime.decoder import MAX_TOKENS
from vljepa_runtime.errors import InputError
from vljepa_runtime.preprocessing import Clip, Unfitted

if TYPE_CHECKING:
    from vljepa_apps.measure.latency import Cells

__all__ = ["TokenVlm"]

TEXTS_AT_ONCE = 32
Int64 = npt.NDArray[np.int64]


class TokenVlm(RatingVlm):
    """See `Baseline` and `Scoring`: SmolVLM, LLaVA and the like.

    Args:
        folder: Gives the processor.
        stages: Run the model.
    """

    def __init__(self, folder: Folder, stages: Stages) -> None:
        super().__init__()
        self._folder, self._stages, self._inputs = folder, stages, VlmProcessor(folder)
        self.engine_name = stages.detail
        self.preprocess = Unfitted(frames=self._inputs.frames, tubelet=1)
        self._prompts: dict[str, Int64] = {}

    def encode(self, frames: UInt8 | Clip) -> Float32:
        """Frames (T, H, W, 3) -> visual tokens (N, D) as the language model reads them."""
        return self._stages.see(self._inputs.pictures(frames))

    def score_texts(self, predicted: Float32, texts: Sequence[str]) -> Float32:
        """Mean log-likelihood per token (A,) of A texts as the answer: the highest has the lowest perplexity."""
        first, past = self._read(*self.asked(predicted))
        rows = [[*self._inputs.ids(f" {text}"), *self._stages.ends[:1]] for text in texts]
        parts = [rows[start : start + TEXTS_AT_ONCE] for start in range(0, len(rows), TEXTS_AT_ONCE)]
        return np.concatenate([self._rated(part, first, past) for part in parts])

    def cells(self, frames: UInt8) -> Cells:
        """The vision tower, one step of the decoder, a window up to the first token, and a whole text."""
        shown, query = self._inputs.pictures(frames), PROMPTS["caption"]
        visual = self._stages.see(shown)
        logits, past = self._read(visual, query)
        token = self._stages.words(np.array([[int(logits.argmax())]]))
        return {
            X_ENCODER: partial(self._stages.see, shown),
            STEP: lambda: self._stages.read(token, self._stages.widened(past, 1)),
            WINDOW: lambda: self._read(self.encode(frames), query),
            DECODE: partial(self._worded, visual, query),
        }

    def facts(self) -> Mapping[str, Any]:
        """See `Baseline`."""
        return {
            "parameters": self._stages.parameters,
            "size_bytes": self._folder.size_bytes,
            "precision": {"all": "fp32"},
        }

    def _worded(self, visual: Float32, query: str) -> str:
        logits, past = self._read(visual, query)
        tokens: list[int] = []
        while len(tokens) < MAX_TOKENS and (token := int(logits.argmax())) not in self._stages.ends:
            tokens.append(token)
            rows, past = self._stages.read(self._stages.words(np.array([[token]])), past)
            logits = rows[0, -1]
        return self._inputs.words(tokens)

    def _rated(self, rows: Sequence[Sequence[int]], first: Float32, past: Any) -> Float32:
        """Of tokens (A, M) padded at the end, given the logits (V,) of the first one and what was read before."""
        longest = max(map(len, rows))
        ids = np.array([[*row, *[row[-1]] * (longest - len(row))] for row in rows])
        mask = np.arange(longest) < np.array([len(row) for row in rows])[:, None]
        wide = self._stages.widened(past, len(rows))
        later, _ = self._stages.read(self._stages.words(ids[:, :-1]), wide)
        logits = np.concatenate([np.broadcast_to(first, (len(rows), 1, len(first))), later], axis=1)
        top = logits.max(axis=-1, keepdims=True)
        total = top[..., 0] + np.log(np.exp(logits - top).sum(axis=-1))
        chosen = np.take_along_axis(logits, ids[..., None], axis=-1)[..., 0] - total
        return np.asarray((chosen * mask).sum(axis=1) / mask.sum(axis=1), np.float32)

    def _read(self, visual: Float32, query: str) -> tuple[Float32, Any]:
        """Logits (V,) of the first token of the answer, and what was read."""
        ids = self._prompt(query)
        places = ids[0] == self._stages.image_token
        if places.sum() != len(visual):
            raise InputError(
                f"{self._folder.path}: its processor writes {places.sum()} places for pictures, and the "
                f"vision tower gives {len(visual)} tokens: do they belong together?"
            )
        embeds = np.array(self._stages.words(ids))
        embeds[0, places] = visual
        logits, past = self._stages.read(embeds, None)
        return logits[0, -1], past

    def _prompt(self, query: str) -> Int64:
        if query not in self._prompts:
            self._prompts[query] = self._inputs.prompt(query)
        return self._prompts[query]
