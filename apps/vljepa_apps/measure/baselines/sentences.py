"""What the texts alone give away: the candidate nearest to the question, the video never looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from vljepa_apps.measure.baselines.environment import activate
from vljepa_apps.measure.baselines.protocol import Float32, UInt8
from vljepa_apps.measure.cells import WINDOW
from vljepa_data.world import PROMPTS
from vljepa_evaluation.tasks import CannotError
from vljepa_runtime.contract import Y_ENCODER
from vljepa_runtime.errors import InputError
from vljepa_runtime.norms import unit_rows
from vljepa_runtime.preprocessing import Clip, Unfitted

if TYPE_CHECKING:
    from vljepa_apps.measure.latency import Cells

__all__ = ["Sentences", "open_sentences"]

TEXTS_AT_ONCE = 64
LONGEST = 256  # tokens of a text, as sentence-transformers takes MiniLM's


def open_sentences(place: str, *, threads: int | None) -> Sentences:
    """A sentence encoder that averages its tokens, such as all-MiniLM-L6-v2, in eager float32 PyTorch.

    Raises:
        InputError: the folder has none.
        MissingExtraError: a library is not installed.
    """
    if not (Path(place) / "config.json").is_file():
        raise InputError(f"expected a folder with config.json of a sentence encoder, got {place}")
    activate()
    import torch
    from transformers import AutoModel, AutoTokenizer

    if threads is not None:
        torch.set_num_threads(threads)
    local = {"local_files_only": True, "trust_remote_code": False}
    try:
        model = AutoModel.from_pretrained(place, use_safetensors=True, dtype=torch.float32, **local)
        return Sentences(Path(place), model.eval(), AutoTokenizer.from_pretrained(place, **local))
    except (OSError, ValueError) as error:
        raise InputError(f"transformers cannot load {place}: {str(error).strip().splitlines()[0]}") from error


class Sentences:
    """See `Baseline`.

    Args:
        folder: Where it lies.
        model: Of transformers.
        tokenizer: Of the same folder.
    """

    has_decoder = False

    def __init__(self, folder: Path, model: Any, tokenizer: Any) -> None:
        from vljepa_apps.measure.baselines.loading import torch_detail

        self._folder, self._model, self._tokenizer = folder, model, tokenizer
        self.engine_name = f"{torch_detail()}, texts alone"
        self.preprocess = Unfitted(frames=1, tubelet=1)
        self._texts: dict[str, Float32] = {}

    def encode(self, frames: UInt8 | Clip) -> Float32:
        """Nothing of any frames: (1, 1) zeros."""
        return np.zeros((1, 1), np.float32)

    def predict(self, visual: Float32, query: str | None = None) -> Float32:
        """The query's own embedding (S,)."""
        row: Float32 = self.embed_text([query or PROMPTS["caption"]])[0]
        return row

    def embed(self, frames: UInt8 | Clip, query: str | None = None) -> Float32:
        """The same."""
        return self.predict(self.encode(frames), query)

    def embed_text(self, texts: Sequence[str]) -> Float32:
        """Texts -> embeddings (B, S), L2-normalised; each is embedded once."""
        fresh = [text for text in dict.fromkeys(texts) if text not in self._texts]
        for start in range(0, len(fresh), TEXTS_AT_ONCE):
            chunk = fresh[start : start + TEXTS_AT_ONCE]
            self._texts.update(zip(chunk, self._embedded(chunk)))
        return np.stack([self._texts[text] for text in texts])

    def decode(self, embedding: Float32) -> NoReturn:
        """There is nothing to word an embedding with."""
        raise CannotError("a sentence encoder ranks texts and words none")

    def cells(self, frames: UInt8) -> Cells:
        """One text; and the window that is none."""
        text = partial(self._embedded, [PROMPTS["caption"]])
        return {Y_ENCODER: text, WINDOW: text}

    def facts(self) -> Mapping[str, Any]:
        """See `Baseline`."""
        size = sum(file.stat().st_size for file in self._folder.glob("*.safetensors"))
        return {
            "parameters": self._model.num_parameters(),
            "size_bytes": size,
            "precision": {"all": "fp32"},
        }

    def _embedded(self, texts: Sequence[str]) -> Float32:
        import torch

        feeds = self._tokenizer(
            list(texts), padding=True, truncation=True, max_length=LONGEST, return_tensors="pt"
        )
        with torch.inference_mode():
            tokens = self._model(**feeds).last_hidden_state
        mask = feeds["attention_mask"][..., None].to(tokens.dtype)
        return unit_rows(((tokens * mask).sum(dim=1) / mask.sum(dim=1)).numpy())
