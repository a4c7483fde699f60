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
from vljepa_model.runs.epochs import epoch_rows
from vljepa_model.versus.bank import LEVELS, Bank
from vljepa_model.versus.plan import Plan

__all__ = ["Lessons", "Samples"]


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
        picks = epoch_rows(step, len(self.bank.entries), self.plan.batch, seed=self.seed)
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

    def _ids(self, texts: list[str]) -> list[list[int]]:
        return [encoding.ids for encoding in self._encode(texts, add_special_tokens=False)]
