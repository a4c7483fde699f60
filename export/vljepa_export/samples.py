"""Seeded inputs for the parity check: real windows and texts of the procedural world, not noise.

Dynamic axes are exercised: full and partial token sets, one and several rows, short and long queries, growing caches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from vljepa_data.world import PROMPTS, Split, captioned, make_clip
from vljepa_model.checkpoint import Checkpoint
from vljepa_runtime.patches import Preprocess, fit_frames, patchify
from vljepa_runtime.token_selection import salient_tokens
from vljepa_runtime.tokenizer import Tokenizer

__all__ = ["parity_samples"]

Array = npt.NDArray[Any]
Feeds = dict[str, Array]
QUERIES = (*PROMPTS.values(), "What colour is the ball?", "How many objects are there?")
STEPS = 6


def parity_samples(checkpoint: Checkpoint, *, clips: int = 8, seed: int = 0) -> dict[str, list[Feeds]]:
    """Inputs per graph.

    Args:
        checkpoint: Whose geometry and tokenizer are used; its torch model makes the inputs of later graphs.
        clips: How many windows, and as many texts.
        seed: Of the world's test split.
    """
    tokenizer = Tokenizer.from_file(checkpoint.tokenizer_file)
    rng = np.random.default_rng(seed)
    made = [
        make_clip(seed + i, Split.TEST, size=checkpoint.preprocess.size, frames=checkpoint.preprocess.frames)
        for i in range(clips)
    ]
    captions = [captioned(clip, "caption", rng).target for clip in made]
    windows = [_window(clip.frames, checkpoint.preprocess, partial=i % 2 == 1) for i, clip in enumerate(made)]
    texts = _texts(tokenizer, captions, checkpoint)
    embeddings = _embeddings(checkpoint, texts)
    return {
        "x_encoder": windows,
        "predictor": [_query(checkpoint, tokenizer, feeds, i) for i, feeds in enumerate(windows)],
        "y_encoder": texts,
        "y_decoder_prefill": [
            {"embedding": embeddings},
            *({"embedding": row[None]} for row in embeddings[:2]),
        ],
        "y_decoder_step": _steps(checkpoint, embeddings, texts[0]["ids"]),
    }


def _window(frames: Array, preprocess: Preprocess, *, partial: bool) -> Feeds:
    patches, positions = patchify(fit_frames(frames, preprocess), preprocess)
    if partial:
        keep = salient_tokens(patches, max(1, preprocess.tokens // 2))
        patches, positions = patches[keep], positions[keep]
    return {"patches": patches[None], "positions": positions[None]}


def _texts(tokenizer: Tokenizer, captions: Sequence[str], checkpoint: Checkpoint) -> list[Feeds]:
    """All captions together, then some alone, then one that is longer than the first padding length."""
    batches = [list(captions), *([text] for text in captions[:3]), [" and ".join(captions)]]
    return [_ids(tokenizer, batch, checkpoint) for batch in batches]


def _ids(tokenizer: Tokenizer, texts: Sequence[str], checkpoint: Checkpoint) -> Feeds:
    ids, mask = tokenizer.encode(texts)
    largest = checkpoint.config.vocabulary(checkpoint.config.y_encoder) - 1
    return {"ids": np.minimum(ids, largest).astype(np.int32), "mask": mask}


def _query(checkpoint: Checkpoint, tokenizer: Tokenizer, window: Feeds, index: int) -> Feeds:
    with torch.no_grad():
        visual = checkpoint.model.x_encoder(*map(torch.from_numpy, (window["patches"], window["positions"])))
    text = QUERIES[index % len(QUERIES)]
    feeds = _ids(tokenizer, [text if index else " ".join(QUERIES)], checkpoint)
    return {"visual": visual.numpy(), "query_ids": feeds["ids"], "query_mask": feeds["mask"]}


def _embeddings(checkpoint: Checkpoint, texts: Sequence[Feeds]) -> Array:
    with torch.no_grad():
        result = checkpoint.model.y_encoder(*map(torch.from_numpy, (texts[0]["ids"], texts[0]["mask"])))
    return np.asarray(result.numpy())


def _steps(checkpoint: Checkpoint, embeddings: Array, ids: Array) -> list[Feeds]:
    """Teacher-forced: torch's own caches, so that errors of one step do not hide those of the next."""
    decoder = checkpoint.model.y_decoder
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
