"""The Y-encoder: a text in, its embedding in the shared space out."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from vljepa_model.config import ModelConfig
from vljepa_model.layers import TextStack, initialise, masked_mean, pad_bias

__all__ = ["YEncoder"]


class YEncoder(nn.Module):
    """Bidirectional text blocks, mean over the tokens, linear head."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        stack = config.y_encoder
        self.embed = nn.Embedding(config.vocabulary(stack), stack.width)
        self.stack = TextStack(stack)
        self.head = nn.Linear(stack.width, config.embedding_dim)
        initialise(self, stack.depth)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Embed texts.

        Args:
            ids: (B, L) integers, padded at the end.
            mask: (B, L), 1 for a token and 0 for padding.

        Returns:
            (B, S) of length one. Padding never changes it.
        """
        x = self.embed(ids)
        x = self.stack(x, bias=pad_bias(mask, x.dtype))
        return F.normalize(self.head(masked_mean(x, mask)).float(), dim=-1)
