"""Batches of annotated clips: they depend on recipe and step alone, and every process takes its rows of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from vljepa_data.annotations import Example, Segment, read_segment
from vljepa_model.finetuning.recipe import FineTuneRecipe, Only
from vljepa_model.finetuning.texts import Tokenizers, decoder_ids, meaning_of, tokenise
from vljepa_model.finetuning.visual_cache import VisualCache
from vljepa_model.runs.epochs import epoch_rows
from vljepa_runtime.preprocessing import Preprocess, patchify

__all__ = ["ClipBatch", "ClipBatches", "Clips", "load_clips"]


@dataclass(frozen=True, slots=True)
class Clips:
    """Clips on their way to the predictor: some are encoded already.

    Attributes:
        segments: Which part of which video, for each of B clips.
        visual: Tokens (N, Dv) float16 per clip, None where they are not known yet.
        patches: (M, N, P) uint8 of the M others, in order.
        positions: (1, N, 3) int32, those of every clip.
    """

    segments: tuple[Segment, ...]
    visual: tuple[Tensor | None, ...]
    patches: Tensor
    positions: Tensor

    def to(self, device: torch.device) -> Clips:
        """The same with pixels and positions on a device."""
        return replace(self, patches=self.patches.to(device), positions=self.positions.to(device))


@dataclass(frozen=True, slots=True)
class ClipBatch:
    """One process's rows of a step.

    Attributes:
        clips: None where only the Y-decoder learns.
        query_ids: (B, L) int64.
        query_mask: (B, L) int64.
        text_ids: (B, L) int64.
        text_mask: (B, L) int64.
        word_ids: (B, L) int64, the texts as the Y-decoder writes them, EOS at the end.
        word_mask: (B, L) int64.
        keys: (B,) int64; texts with equal keys mean the same.
        first: Number of the first row in the whole batch.
    """

    clips: Clips | None
    query_ids: Tensor
    query_mask: Tensor
    text_ids: Tensor
    text_mask: Tensor
    word_ids: Tensor
    word_mask: Tensor
    keys: Tensor
    first: int


class ClipBatches(Dataset[ClipBatch]):
    """One batch per step. A clip is in it once, with one of its texts, so that no text is its own negative.

    Args:
        units: Per clip its texts; where only the Y-decoder learns, per text.
        recipe: Decides size and order of the batches; settled with `for_clips`.
        pre: Geometry of the frames.
        tokenizers: For the predictor's queries, the Y-encoder's texts and the Y-decoder's words.
        cache: Where frozen features are kept, if anywhere.
        rank: The part of each batch that this process takes, from 0.
        ranks: How many equal parts a batch has.
    """

    def __init__(
        self,
        units: Sequence[Sequence[Example]],
        recipe: FineTuneRecipe,
        pre: Preprocess,
        tokenizers: Tokenizers,
        *,
        cache: VisualCache | None = None,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        self.units, self.recipe, self.pre, self.tokenizers, self.cache = units, recipe, pre, tokenizers, cache
        self.rows = recipe.rows // ranks
        self.first = rank * self.rows

    def __len__(self) -> int:
        return self.recipe.steps

    def __getitem__(self, step: int) -> ClipBatch:
        rng = np.random.default_rng([self.recipe.seed, step])
        drawn = rng.random(self.recipe.rows)
        whole = epoch_rows(step, len(self.units), self.recipe.rows, seed=self.recipe.seed)
        picks = whole[self.first : self.first + self.rows]
        examples = [
            self.units[pick][int(share * len(self.units[pick]))]
            for pick, share in zip(picks, drawn[self.first :], strict=False)
        ]
        limit, texts = self.recipe.max_tokens, [example.text for example in examples]
        query = tokenise(self.tokenizers.query, [example.query for example in examples], limit)
        text = tokenise(self.tokenizers.text, texts, limit)
        words = decoder_ids(self.tokenizers.words, texts, limit)
        keys = torch.tensor([meaning_of(text) for text in texts])
        clips = None
        if self.recipe.only is not Only.DECODER:
            clips = load_clips([e.segment for e in examples], self.pre, self.cache)
        return ClipBatch(clips, *query, *text, *words, keys, self.first)


def load_clips(segments: Sequence[Segment], pre: Preprocess, cache: VisualCache | None) -> Clips:
    """Look clips up in the cache and read the videos of the others.

    Raises:
        SourceError: a video cannot be read.
    """
    visual = tuple(cache.get(segment) if cache else None for segment in segments)
    missing = [segment for segment, known in zip(segments, visual, strict=True) if known is None]
    cut = [torch.from_numpy(patchify(read_segment(segment, pre))[0]) for segment in missing]
    positions = np.indices(pre.grid, dtype=np.int32).reshape(3, -1).T
    patches = torch.stack(cut) if cut else torch.empty(0, pre.tokens, pre.patch_dim, dtype=torch.uint8)
    return Clips(tuple(segments), visual, patches, torch.from_numpy(np.ascontiguousarray(positions))[None])
