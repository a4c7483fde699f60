"""The Y-encoder: a text in, its embedding in the shared space out."""

from __future__ import annotations

import itertools

import torch.nn.functional as F
from torch import Tensor, nn

from vljepa_model.config import ModelConfig
from vljepa_model.layers import TextStack, TokenTable, initialise, masked_mean, pad_bias

__all__ = ["YEncoder"]


class YEncoder(nn.Module):
    """Bidirectional text blocks, mean over the tokens, linear head; EmbeddingGemma has two matrices in between."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        stack = config.y_encoder
        self.embed = TokenTable(config.vocabulary(stack), stack)
        self.stack = TextStack(stack)
        widths = (stack.width, *config.y_dense)
        self.dense = nn.ModuleList([nn.Linear(a, b, bias=False) for a, b in itertools.pairwise(widths)])
        self.head = nn.Linear(widths[-1], config.embedding_dim)
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
        x = masked_mean(self.stack(x, bias=pad_bias(mask, x.dtype)), mask)
        for dense in self.dense:
            x = dense(x)
        return F.normalize(self.head(x).float(), dim=-1)
