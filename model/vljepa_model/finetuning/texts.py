"""Texts as the networks read them: tokenised as the runtime does, padded no further than needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vljepa_data.world import meaning
from vljepa_model.checkpoint import Checkpoint
from vljepa_model.padding import padded
from vljepa_runtime.tokenizer import Tokenizer

__all__ = ["Tokenizers", "decoder_ids", "meaning_of", "tokenise"]


@dataclass(frozen=True, slots=True)
class Tokenizers:
    """Of the predictor's queries, the Y-encoder's texts and the Y-decoder's words."""

    query: Tokenizer
    text: Tokenizer
    words: Tokenizer

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> Tokenizers:
        """Those of a checkpoint; a model without a Y-decoder needs none for words and gets the queries'."""
        files = checkpoint.tokenizers
        names = (files["predictor"], files["y_encoder"], files.get("y_decoder", files["predictor"]))
        return cls(*(Tokenizer.from_file(name) for name in names))


def tokenise(tokenizer: Tokenizer, texts: Sequence[str], limit: int) -> tuple[Tensor, Tensor]:
    """Texts -> ids (B, L) int64 and mask (B, L) int64, cut at `limit` tokens and padded at the end."""
    ids, mask = tokenizer.encode(texts, lengths=(limit,))
    longest = int(mask.sum(axis=1).max())
    return torch.from_numpy(ids[:, :longest]).long(), torch.from_numpy(mask[:, :longest]).long()


def decoder_ids(tokenizer: Tokenizer, texts: Sequence[str], limit: int) -> tuple[Tensor, Tensor]:
    """Texts as a Y-decoder writes them: no opening token, EOS at the end; shapes as from `tokenise`."""
    ids, mask = tokenizer.encode(texts, lengths=(limit,))
    special = {tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id}
    rows = [
        [i for i in row[kept > 0].tolist() if i not in special] for row, kept in zip(ids, mask, strict=True)
    ]
    return padded([[*row, tokenizer.eos_id] for row in rows], tokenizer.pad_id)


def meaning_of(text: str) -> int:
    """A number that is equal for texts that differ in case and blanks alone."""
    return meaning(" ".join(text.lower().split()))
