"""The Y-decoder: an embedding in, text out, one token at a time.

The paper does not describe its decoder; this small causal stack sees the embedding as learned positions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vljepa_model.config import ModelConfig
from vljepa_model.layers import HIDDEN, TextStack, TokenTable, capped, initialise

__all__ = ["YDecoder"]


class YDecoder(nn.Module):
    """Sequence [prefix made of the embedding, BOS, tokens]; the output matrix is the token table, or its own."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        sizes = config.decoder
        stack, self.prefix_length = sizes.stack, sizes.prefix
        self.bos_id = config.bos_id if sizes.bos_id is None else sizes.bos_id
        self.prefix = nn.Linear(config.embedding_dim, self.prefix_length * stack.width)
        self.embed = TokenTable(config.vocabulary(stack), stack)
        self.stack = TextStack(stack)
        if not sizes.tied:
            self.output = nn.Linear(stack.width, config.vocabulary(stack), bias=sizes.output_bias)
        self.tied, self.logit_cap = sizes.tied, sizes.logit_cap
        initialise(self, stack.depth)

    def forward(self, embedding: Tensor, ids: Tensor) -> Tensor:
        """Score every token of known texts (teacher forcing).

        Args:
            embedding: (B, S).
            ids: (B, L) integers, ending in EOS and padded at the end.

        Returns:
            (B, L, V) logits; position i predicts ids[:, i] from the embedding and ids[:, :i].
        """
        x = torch.cat((self._opening(embedding), self.embed(ids[:, :-1])), dim=1)
        return self.logits(self.stack(x, causal=True)[:, self.prefix_length :])

    def prefill(self, embedding: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Read the embedding and BOS.

        Args:
            embedding: (B, S).

        Returns:
            Logits (B, V) of the first token, then per block the keys and the values, each (B, kv_heads,
            prefix + 1, head_dim).
        """
        x = self._opening(embedding)
        later = torch.ones(x.shape[1], x.shape[1], dtype=x.dtype, device=x.device).triu(1)
        x, caches = self.stack.with_cache(x, bias=later * HIDDEN)
        return self.logits(x[:, -1]), [key for key, _ in caches], [value for _, value in caches]

    def step(
        self, token: Tensor, past_k: list[Tensor], past_v: list[Tensor]
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Read one more token.

        Args:
            token: (B, 1) integers.
            past_k: per block (B, kv_heads, T, head_dim).
            past_v: per block (B, kv_heads, T, head_dim).

        Returns:
            Logits (B, V) of the next token, and keys and values of T + 1 positions.
        """
        x, caches = self.stack.with_cache(self.embed(token), list(zip(past_k, past_v)))
        return self.logits(x[:, -1]), [key for key, _ in caches], [value for _, value in caches]

    def generate(
        self, embedding: Tensor, *, eos_id: int, limit: int, banned: Sequence[int] = ()
    ) -> list[list[int]]:
        """Write greedily.

        Args:
            embedding: (B, S).
            eos_id: The token that ends a text.
            limit: Tokens at most.
            banned: Tokens that are never written.

        Returns:
            Token ids of each text, without EOS.
        """
        logits, keys, values = self.prefill(embedding)
        columns: list[Tensor] = []
        done = torch.zeros(len(embedding), dtype=torch.bool, device=embedding.device)
        while len(columns) < limit:
            logits[:, list(banned)] = -torch.inf
            token = logits.argmax(dim=-1, keepdim=True).masked_fill(done[:, None], eos_id)
            done = done | (token[:, 0] == eos_id)
            if bool(done.all()):
                break
            columns.append(token)
            logits, keys, values = self.step(token, keys, values)
        rows = torch.cat(columns, dim=1).tolist() if columns else [[] for _ in embedding]
        return [row[: row.index(eos_id)] if eos_id in row else row for row in rows]

    def _opening(self, embedding: Tensor) -> Tensor:
        """(B, S) -> (B, prefix + 1, width): the prefix and BOS."""
        prefix = self.prefix(embedding).unflatten(-1, (self.prefix_length, -1))
        bos = self.embed.row(self.bos_id).expand(prefix.shape[0], 1, -1)
        return torch.cat((prefix, bos), dim=1)

    def logits(self, x: Tensor) -> Tensor:
        """(..., width) normalised hidden states -> (..., V) scores of the next token."""
        logits: Tensor = F.linear(x, self.embed.weight) if self.tied else self.output(x)
        return logits if self.logit_cap is None else capped(logits, self.logit_cap)
