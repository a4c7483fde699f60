"""Seeded inputs for the parity check: real windows and texts of the procedural world, not noise.

Dynamic axes are exercised: full and partial token sets, one and several rows, short and long queries, growing caches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from vljepa_data.world import PROMPTS, Split, captioned, make_clip
from vljepa_model.checkpoint import Checkpoint
from vljepa_model.config import ModelConfig, TextStackConfig
from vljepa_model.y_decoder import YDecoder
from vljepa_runtime.patches import Preprocess, fit_frames
from vljepa_runtime.token_selection import clip_tokens
from vljepa_runtime.tokenizer import Tokenizer

__all__ = ["ParitySamples", "parity_samples"]

Array = npt.NDArray[Any]
Feeds = dict[str, Array]
QUERIES = (*PROMPTS.values(), "What colour is the ball?", "How many objects are there?")
STEPS = 6
JOINED = 8  # captions of the long text


def parity_samples(
    checkpoint: Checkpoint, *, clips: int = 8, seed: int = 0, sizes: Sequence[int] = ()
) -> dict[str, list[Feeds]]:
    """Inputs per graph, of a model that is in memory as a whole.

    Args:
        checkpoint: Whose geometry and tokenizer are used; its torch model makes the inputs of later graphs.
        clips: How many windows, and as many texts.
        seed: Of the world's test split.
        sizes: See `ParitySamples`.
    """
    model = checkpoint.model
    samples = ParitySamples(
        checkpoint.config, checkpoint.preprocess, checkpoint.tokenizers, clips=clips, seed=seed, sizes=sizes
    )
    windows, texts = samples.x_encoder(), samples.y_encoder()
    with torch.no_grad():
        visual = [model.x_encoder(*map(torch.from_numpy, feeds.values())).numpy() for feeds in windows]
        embeddings = model.y_encoder(*map(torch.from_numpy, texts[0].values())).numpy()
    made = {"x_encoder": windows, "predictor": samples.predictor(visual), "y_encoder": texts}
    if checkpoint.config.y_decoder is not None:
        made["y_decoder_prefill"] = samples.y_decoder_prefill(embeddings)
        made["y_decoder_step"] = samples.y_decoder_step(model.y_decoder, embeddings)
    return made


class ParitySamples:
    """Inputs graph by graph, so that no two networks need to be in memory at once.

    Args:
        config: Sizes of the networks.
        preprocess: The geometry.
        tokenizers: Tokenizer file per role.
        clips: How many windows, and as many texts.
        seed: Of the world's test split.
        sizes: Tokens of the windows, in turn; empty for all and half of them.
    """

    def __init__(
        self,
        config: ModelConfig,
        preprocess: Preprocess,
        tokenizers: Mapping[str, Path],
        *,
        clips: int = 8,
        seed: int = 0,
        sizes: Sequence[int] = (),
    ) -> None:
        self._config = config
        self._readers = {role: Tokenizer.from_file(tokenizers[role]) for role in ("predictor", "y_encoder")}
        rng = np.random.default_rng(seed)
        made = [
            make_clip(seed + i, Split.TEST, size=preprocess.size, frames=preprocess.frames)
            for i in range(clips)
        ]
        captions = [captioned(clip, "caption", rng).target for clip in made]
        sizes = sizes or (preprocess.tokens, max(1, preprocess.tokens // 2))
        self._windows = [
            _window(clip.frames, preprocess, sizes[i % len(sizes)]) for i, clip in enumerate(made)
        ]
        # All captions together, then some alone, then one that is longer than the first padding length.
        batches = [list(captions), *([text] for text in captions[:3]), [" and ".join(captions[:JOINED])]]
        self._texts = [self._ids("y_encoder", batch, config.y_encoder) for batch in batches]

    def x_encoder(self) -> list[Feeds]:
        """Full and partial windows."""
        return self._windows

    def predictor(self, visual: Sequence[Array]) -> list[Feeds]:
        """What the X-encoder made of the windows, with a long and several short queries."""
        return [self._query(tokens, index) for index, tokens in enumerate(visual)]

    def y_encoder(self) -> list[Feeds]:
        """Batches of texts."""
        return self._texts

    def y_decoder_prefill(self, embeddings: Array) -> list[Feeds]:
        """The first batch of texts as the Y-encoder embedded it, together and alone."""
        return [{"embedding": embeddings}, *({"embedding": row[None]} for row in embeddings[:2])]

    def y_decoder_step(self, decoder: YDecoder, embeddings: Array) -> list[Feeds]:
        """Teacher-forced steps over the first batch: torch's own caches, so that errors do not add up."""
        largest = self._config.vocabulary(self._config.decoder.stack) - 1
        ids = np.minimum(self._texts[0]["ids"], largest).astype(np.int32)
        feeds: list[Feeds] = []
        with torch.no_grad():
            _, keys, values = decoder.prefill(torch.from_numpy(embeddings))
            for step in range(min(STEPS, ids.shape[1])):
                token = np.ascontiguousarray(ids[:, step : step + 1])
                past = {f"past_k_{i}": key.numpy() for i, key in enumerate(keys)}
                past |= {f"past_v_{i}": value.numpy() for i, value in enumerate(values)}
                feeds.append({"token": token, **past})
                _, keys, values = decoder.step(torch.from_numpy(token), keys, values)
        return feeds

    def _query(self, visual: Array, index: int) -> Feeds:
        text = QUERIES[index % len(QUERIES)] if index else " ".join(QUERIES)
        feeds = self._ids("predictor", [text], self._config.predictor)
        return {"visual": visual, "query_ids": feeds["ids"], "query_mask": feeds["mask"]}

    def _ids(self, role: str, texts: Sequence[str], stack: TextStackConfig) -> Feeds:
        ids, mask = self._readers[role].encode(texts)
        largest = self._config.vocabulary(stack) - 1
        return {"ids": np.minimum(ids, largest).astype(np.int32), "mask": mask}


def _window(frames: Array, preprocess: Preprocess, tokens: int) -> Feeds:
    patches, positions = clip_tokens(fit_frames(frames, preprocess), keep=tokens)
    return {"patches": patches[None], "positions": positions[None]}
