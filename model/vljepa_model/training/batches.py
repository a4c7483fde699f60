"""Batches made from seeds: a batch depends on recipe, step and rank alone, so training resumes exactly."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.utils.data import Dataset

from vljepa_data.world import (
    DENSE_CLASSES,
    IGNORE,
    Clip,
    HandBank,
    Split,
    draw_lesson,
    make_clip,
    tubelet_truth,
)
from vljepa_model.padding import padded
from vljepa_model.training.recipe import Recipe
from vljepa_runtime.preprocessing import Preprocess, clip_tokens, fit_frames, saliency

__all__ = ["Batch", "WorldBatches", "encode_texts"]

MOVING = [list(DENSE_CLASSES).index(name) for name in ("action", "direction")]
"""Columns of the truth that one instant does not show."""


@dataclass(frozen=True, slots=True)
class Batch:
    """B clips with R lessons each; texts are distinct and pointed at by index.

    Attributes:
        patches: (B, M, P) uint8, the tokens kept.
        positions: (B, M, 3) int32.
        truth: (B, M, 6) int64, see `tubelet_truth`.
        query_ids: (B*R, L) int64, clip-major.
        query_mask: (B*R, L) int64.
        text_ids: (B*R + K, L) int64: the targets, then the wrong texts.
        text_mask: (B*R + K, L) int64.
        keys: (B*R + K,) int64, meanings of the texts.
        word_ids: (B, L) int64: what the Y-decoder is to say for the first lesson of each clip.
        word_mask: (B, L) int64.
    """

    patches: Tensor
    positions: Tensor
    truth: Tensor
    query_ids: Tensor
    query_mask: Tensor
    text_ids: Tensor
    text_mask: Tensor
    keys: Tensor
    word_ids: Tensor
    word_mask: Tensor


class WorldBatches(Dataset[Batch]):
    """The batches of a training run, one per step."""

    def __init__(
        self,
        recipe: Recipe,
        pre: Preprocess,
        tokenizer: Tokenizer,
        *,
        hands: Path | None = None,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        self.recipe, self.pre, self.tokenizer = recipe, pre, tokenizer
        self.hand_folder, self.rank, self.ranks = hands, rank, ranks
        self._hands: HandBank | None = None
        self._blocks: dict[int, list[Clip]] = {}

    def __len__(self) -> int:
        return self.recipe.steps

    def __getitem__(self, step: int) -> Batch:
        recipe = self.recipe
        rng = np.random.default_rng([recipe.seed, 1 + self.rank, step])
        clips = [*self._block(step), *self._block(step + 1)]
        keep = recipe.budget(step, np.random.default_rng([recipe.seed, 0, step]))  # all ranks alike
        glimpses = recipe.glimpses if step < recipe.stage_zero else 0.0
        tokens = [self._tokens(clip, keep, rng, glimpse=rng.random() < glimpses) for clip in clips]
        questions = recipe.questions if step >= recipe.stage_one else 0.0
        lessons = [
            draw_lesson(clip, rng, questions=questions) for clip in clips for _ in range(recipe.lessons)
        ]
        query_ids, query_mask = encode_texts(self.tokenizer, [lesson.query for lesson in lessons])
        texts = [lesson.target for lesson in lessons] + [
            lesson.wrong for lesson in lessons[:: recipe.lessons]
        ]
        text_ids, text_mask = encode_texts(self.tokenizer, texts)
        words = encode_texts(self.tokenizer, [lesson.canonical for lesson in lessons[:: recipe.lessons]])
        keys = [lesson.key for lesson in lessons] + [
            lesson.wrong_key for lesson in lessons[:: recipe.lessons]
        ]
        patches, positions, truth = (torch.from_numpy(np.stack(part)) for part in zip(*tokens, strict=True))
        return Batch(
            patches, positions, truth, query_ids, query_mask, text_ids, text_mask, torch.tensor(keys), *words
        )

    def _block(self, number: int) -> list[Clip]:
        """Half a batch of clips; each is seen in two batches, with other tokens, queries and companions."""
        if number not in self._blocks:
            if self.hand_folder and self._hands is None:
                self._hands = HandBank.load(self.hand_folder, "train")
            half = self.recipe.clips // 2
            first = self.recipe.seed * 10**9 + (number * self.ranks + self.rank) * half
            clips = [
                make_clip(first + i, Split.TRAIN, hands=self._hands, size=self.pre.size) for i in range(half)
            ]
            self._blocks = {key: block for key, block in self._blocks.items() if key >= number - 1}
            self._blocks[number] = clips
        return self._blocks[number]

    def _tokens(
        self, clip: Clip, keep: int, rng: np.random.Generator, *, glimpse: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        patches, positions = clip_tokens(fit_frames(clip.frames, self.pre))
        truth = tubelet_truth(clip, self.pre.grid)
        if keep >= self.pre.tokens:
            return patches, positions, truth
        if glimpse:
            now = positions[:, 0] == rng.integers(self.pre.grid[0])
            if keep <= now.sum():
                patches, positions, truth = patches[now], positions[now], truth[now]
                truth[:, MOVING] = IGNORE
        order = rng.random(len(patches))
        if rng.random() < self.recipe.salient:  # most salient tokens first, a quarter of the budget at random
            wanted = saliency(patches, positions) + 1e-3 * order
            top = np.argsort(-wanted)[: keep * 3 // 4]
            order[top] -= 1
        picks = np.sort(np.argpartition(order, keep - 1)[:keep])
        return patches[picks], positions[picks], truth[picks]


def encode_texts(tokenizer: Tokenizer, texts: list[str], *, limit: int = 64) -> tuple[Tensor, Tensor]:
    """Tokenize and pad to the longest: ids (B, L) int64 and mask (B, L) int64."""
    encodings = tokenizer.encode_batch(texts, add_special_tokens=False)
    return padded([encoding.ids[:limit] for encoding in encodings], 0)
