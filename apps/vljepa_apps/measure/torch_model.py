"""The checkpoint in eager float32 PyTorch behind a loaded bundle's interface: what bundles are measured against."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vljepa_apps.measure.cells import QUERY_TOKENS, end_to_end
from vljepa_model.shipped import checkpoint_folder
from vljepa_runtime.contract import PREDICTOR, PREFILL, STEP, X_ENCODER, Y_ENCODER
from vljepa_runtime.decoder import MAX_TOKENS
from vljepa_runtime.errors import MissingExtraError
from vljepa_runtime.preprocessing import Clip, Preprocess, fit_frames, patchify
from vljepa_runtime.tokenizer import Tokenizer

if TYPE_CHECKING:
    import torch

__all__ = ["TorchModel", "open_checkpoint"]

Float32 = npt.NDArray[np.float32]
UInt8 = npt.NDArray[np.uint8]
TEXTS_AT_ONCE = 64


def open_checkpoint(place: str, *, threads: int | None) -> TorchModel:
    """A checkpoint by its folder, or the shipped one by its name."""
    return TorchModel(checkpoint_folder(place), threads=threads)


class TorchModel:
    """Encodes, predicts, embeds texts and decodes greedily with a cache, one window at a time.

    Args:
        folder: The checkpoint's.
        threads: Threads of torch; None takes its own choice.
    """

    def __init__(self, folder: str | Path, *, threads: int | None = None) -> None:
        try:
            import torch

            from vljepa_model.checkpoint import open_checkpoint as open_folder
        except ImportError as error:
            raise MissingExtraError("torch", "train") from error
        checkpoint = open_folder(folder)
        if threads is not None:
            torch.set_num_threads(threads)
        self._torch = torch
        self.engine_name = (
            f"torch {torch.__version__.split('+')[0]} eager fp32, {torch.get_num_threads()} threads"
        )
        self.folder = Path(folder)
        self.network = checkpoint.model().float().eval()
        self.preprocess: Preprocess = checkpoint.preprocess
        self.prompts: Mapping[str, str] = checkpoint.prompts
        self.boundaries = checkpoint.boundaries
        self.has_decoder = checkpoint.config.y_decoder is not None
        self._tokenizer = Tokenizer.from_file(checkpoint.tokenizers["predictor"])
        self._texts: dict[str, Float32] = {}

    def facts(self) -> Mapping[str, Any]:
        """See `Baseline`."""
        return {
            "parameters": sum(parameter.numel() for parameter in self.network.parameters()),
            "size_bytes": sum(file.stat().st_size for file in self.folder.iterdir()),
            "precision": {"all": "fp32 (eager)"},
        }

    def encode(self, frames: UInt8 | Clip) -> Float32:
        """Frames (T, H, W, 3), or a fitted clip -> visual tokens (N, Dv)."""
        return self._numpy(self._encode(frames)[0])

    def predict(self, visual: Float32, query: str | None = None) -> Float32:
        """Visual tokens (N, Dv) and a query -> embedding (S,)."""
        return self._predict(self._torch.from_numpy(visual)[None], query)

    def embed(self, frames: UInt8 | Clip, query: str | None = None) -> Float32:
        """Frames (T, H, W, 3) and a query -> embedding (S,)."""
        return self._predict(self._encode(frames), query)

    def embed_text(self, texts: Sequence[str]) -> Float32:
        """Texts -> embeddings (B, S)."""
        fresh = [text for text in dict.fromkeys(texts) if text not in self._texts]
        for start in range(0, len(fresh), TEXTS_AT_ONCE):
            chunk = fresh[start : start + TEXTS_AT_ONCE]
            with self._torch.inference_mode():
                rows = self.network.y_encoder(*self._tokens(chunk))
            self._texts.update(zip(chunk, self._numpy(rows)))
        return np.stack([self._texts[text] for text in texts])

    def decode(self, embedding: Float32) -> str:
        """An embedding (S,) -> text, always taking the likeliest token."""
        tokenizer, row = self._tokenizer, self._torch.from_numpy(embedding)[None]
        with self._torch.inference_mode():
            (tokens,) = self.network.y_decoder.generate(
                row, eos_id=tokenizer.eos_id, limit=MAX_TOKENS, banned=(tokenizer.pad_id, tokenizer.bos_id)
            )
        return tokenizer.decode(tokens)

    def cells(self, frames: UInt8) -> dict[str, Callable[[], object]]:
        """Each network alone on the inputs of one window, named as the graphs; and a window and a text whole."""
        torch, network = self._torch, self.network
        with torch.inference_mode():
            patches, positions = self._patches(frames)
            visual = self._encode(frames)
            ids = torch.full((1, QUERY_TOKENS), self._tokenizer.vocab_size - 1, dtype=torch.int32)
            mask = torch.ones_like(ids)
        calls: dict[str, Callable[[], object]] = {
            X_ENCODER: partial(network.x_encoder, patches, positions),
            PREDICTOR: partial(network.predictor, visual, ids, mask),
            Y_ENCODER: partial(network.y_encoder, ids, mask),
        }
        if self.has_decoder:
            calls |= self._decoder_calls(visual, ids, mask)
        quiet = {name: partial(self._quietly, call) for name, call in calls.items()}
        return {**quiet, **end_to_end(self, frames)}

    def _decoder_calls(self, visual: Any, ids: Any, mask: Any) -> dict[str, Callable[[], object]]:
        torch, decoder = self._torch, self.network.y_decoder
        with torch.inference_mode():
            embedding = self.network.predictor(visual, ids, mask)
            _, keys, values = decoder.prefill(embedding)
        token = torch.tensor([[self._tokenizer.vocab_size - 1]])
        return {
            PREFILL: partial(decoder.prefill, embedding),
            STEP: partial(decoder.step, token, keys, values),
        }

    def _quietly(self, call: Callable[[], object]) -> object:
        with self._torch.inference_mode():
            return call()

    def _patches(self, frames: UInt8 | Clip) -> tuple[torch.Tensor, torch.Tensor]:
        patches, positions = patchify(fit_frames(frames, self.preprocess))
        return self._torch.from_numpy(patches)[None], self._torch.from_numpy(positions)[None]

    def _encode(self, frames: UInt8 | Clip) -> torch.Tensor:
        with self._torch.inference_mode():
            visual: torch.Tensor = self.network.x_encoder(*self._patches(frames))
        return visual

    def _predict(self, visual: torch.Tensor, query: str | None) -> Float32:
        with self._torch.inference_mode():
            ids, mask = self._tokens([query or self.prompts["caption"]])
            return self._numpy(self.network.predictor(visual, ids, mask)[0])

    def _tokens(self, texts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        ids, mask = self._tokenizer.encode(texts)
        return self._torch.from_numpy(ids), self._torch.from_numpy(mask)

    def _numpy(self, tensor: Any) -> Float32:
        return np.asarray(tensor.detach().numpy(), np.float32)
