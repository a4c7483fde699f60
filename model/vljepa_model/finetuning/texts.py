"""Texts as the networks read them: tokenised as the runtime does, padded no further than needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vljepa_data.world.language import meaning
from vljepa_model.checkpoint import Checkpoint
from vljepa_runtime.tokenizer import Tokenizer

__all__ = ["Tokenizers", "meaning_of", "tokenise"]


@dataclass(frozen=True, slots=True)
class Tokenizers:
    """Of the predictor's queries, the Y-encoder's texts and the Y-decoder's words."""

    query: Tokenizer
    text: Tokenizer
    words: Tokenizer

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> Tokenizers:
        """Those of a checkpoint."""
        shared = Tokenizer.from_file(checkpoint.tokenizer_file)
        return cls(shared, shared, shared)


def tokenise(tokenizer: Tokenizer, texts: Sequence[str], limit: int) -> tuple[Tensor, Tensor]:
    """Texts -> ids (B, L) int64 and mask (B, L) int64, cut at `limit` tokens and padded at the end."""
    ids, mask = tokenizer.encode(texts, lengths=(limit,))
    longest = int(mask.sum(axis=1).max())
    return torch.from_numpy(ids[:, :longest]).long(), torch.from_numpy(mask[:, :longest]).long()


def meaning_of(text: str) -> int:
    """A number that is equal for texts that differ in case and blanks alone."""
    return meaning(" ".join(text.lower().split()))
