"""Rows of token ids of several lengths as tensors, padded at the end."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["decoder_targets", "padded"]


def padded(rows: Sequence[Sequence[int]], pad_id: int) -> tuple[Tensor, Tensor]:
    """Rows of ids -> ids (B, L) int64 and mask (B, L) int64."""
    ids = torch.full((len(rows), max(map(len, rows))), pad_id)
    mask = torch.zeros_like(ids)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = torch.tensor(row)
        mask[index, : len(row)] = 1
    return ids, mask


def decoder_targets(ids: Tensor, mask: Tensor, eos: int) -> Tensor:
    """Append EOS to padded ids (B, L): (B, L + 1)."""
    out = F.pad(ids * mask, (0, 1)).long()
    return out.scatter(1, mask.sum(dim=1, keepdim=True).long(), eos)
