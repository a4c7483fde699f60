"""The batches that both contenders read: they depend on the plan, the seed and the step alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.utils.data import Dataset

from vljepa_data.world import PROMPTS
from vljepa_model.versus.bank import LEVELS, Bank
from vljepa_model.versus.plan import Plan

__all__ = ["Lessons", "Samples", "padded"]


@dataclass(frozen=True, slots=True)
class Samples:
    """B samples, tokenised.

    Attributes:
        visual: (B, N, Dv) float32.
        queries: Token ids of each query.
        answers: Token ids of each answer.
        keys: (B,) int64; answers with equal keys mean the same.
    """

    visual: Tensor
    queries: Sequence[list[int]]
    answers: Sequence[list[int]]
    keys: Tensor


class Lessons(Dataset[Samples]):
    """Draws samples: every clip once before any comes again, each time with another kind of answer or wording."""

    def __init__(self, bank: Bank, tokenizer: Tokenizer, plan: Plan, seed: int) -> None:
        self.bank, self.plan, self.seed = bank, plan, seed
        self._encode = tokenizer.encode_batch
        self._prompts = {level: self._ids([PROMPTS[level]])[0] for level in LEVELS}

    def __len__(self) -> int:
        return self.plan.steps

    def __getitem__(self, step: int) -> Samples:
        rng = np.random.default_rng([self.seed, step])
        picks = self._picks(step)
        levels = [LEVELS[i] for i in rng.integers(len(LEVELS), size=len(picks))]
        entries = [self.bank.entries[i] for i in picks]
        texts = [
            entry.wordings[level][int(rng.integers(len(entry.wordings[level])))]
            for entry, level in zip(entries, levels, strict=True)
        ]
        keys = [entry.meanings[level] for entry, level in zip(entries, levels, strict=True)]
        return Samples(
            visual=self.bank.visual[picks].float(),
            queries=[self._prompts[level] for level in levels],
            answers=self._ids(texts),
            keys=torch.tensor(keys),
        )

    def _picks(self, step: int) -> list[int]:
        """Clips of a step, from a new order of all clips in every pass; a pass's odd rest is left out."""
        per_pass = len(self.bank.entries) // self.plan.batch
        order = np.random.default_rng([self.seed, step // per_pass, 1]).permutation(len(self.bank.entries))
        start = step % per_pass * self.plan.batch
        picks: list[int] = order[start : start + self.plan.batch].tolist()
        return picks

    def _ids(self, texts: list[str]) -> list[list[int]]:
        return [encoding.ids for encoding in self._encode(texts, add_special_tokens=False)]


def padded(rows: Sequence[Sequence[int]], pad_id: int) -> tuple[Tensor, Tensor]:
    """Rows of ids -> ids (B, L) int64 and mask (B, L) int64, padded at the end."""
    ids = torch.full((len(rows), max(map(len, rows))), pad_id)
    mask = torch.zeros_like(ids)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = torch.tensor(row)
        mask[index, : len(row)] = 1
    return ids, mask
