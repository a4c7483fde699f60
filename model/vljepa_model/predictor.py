"""The predictor: visual tokens and a question in, the embedding of the text that would answer it out."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vljepa_model.config import ModelConfig
from vljepa_model.layers import TextStack, TokenTable, initialise, masked_mean, pad_bias

__all__ = ["Predictor"]


class Predictor(nn.Module):
    """Bidirectional text blocks over [visual, query] tokens, averaged (arXiv 2512.10942, section 3.1)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        stack = config.predictor
        self.visual = nn.Linear(config.x_encoder.width, stack.width)
        self.embed = TokenTable(config.vocabulary(stack), stack)
        self.stack = TextStack(stack)
        self.head = nn.Linear(stack.width, config.embedding_dim)
        initialise(self, stack.depth)

    def forward(self, visual: Tensor, query_ids: Tensor, query_mask: Tensor) -> Tensor:
        """Predict an embedding.

        Args:
            visual: (B, N, Dv) from the X-encoder.
            query_ids: (B, L) integers, padded at the end.
            query_mask: (B, L), 1 for a token and 0 for padding.

        Returns:
            (B, S) of length one. Padding never changes it.
        """
        x = torch.cat((self.visual(visual), self.embed(query_ids)), dim=1)
        seen = torch.ones_like(visual[:, :, 0])
        mask = torch.cat((seen, query_mask.to(seen.dtype)), dim=1)
        x = self.stack(x, bias=pad_bias(mask, x.dtype))
        return F.normalize(self.head(masked_mean(x, mask)).float(), dim=-1)
