"""A vision-language model in token space, the baseline that VL-JEPA is compared with (arXiv 2512.10942, section 4.4).

One causal stack reads [visual tokens, query, BOS, answer] and is trained on the answer's tokens alone.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vljepa_model.config import TextStackConfig
from vljepa_model.layers import HIDDEN, KeyValue, TextStack, initialise

__all__ = ["TokenVLM"]


class TokenVLM(nn.Module):
    """A causal language model behind projected visual tokens; the output matrix is the token table."""

    def __init__(self, stack: TextStackConfig, *, visual_width: int, vocab_size: int) -> None:
        super().__init__()
        self.visual = nn.Linear(visual_width, stack.width)
        self.embed = nn.Embedding(vocab_size, stack.width)
        self.stack = TextStack(stack)
        initialise(self, stack.depth)

    def forward(self, visual: Tensor, ids: Tensor) -> Tensor:
        """Score every token after the first of known texts (teacher forcing).

        Args:
            visual: (B, N, Dv) from the X-encoder.
            ids: (B, L) integers: query, BOS, answer, EOS, then padding, which no earlier position sees.

        Returns:
            (B, L - 1, V) logits; position i predicts ids[:, i + 1].
        """
        x = torch.cat((self.visual(visual), self.embed(ids[:, :-1])), dim=1)
        return self._logits(self.stack(x, causal=True)[:, visual.shape[1] :])

    def read(self, visual: Tensor, prompt: Tensor) -> tuple[Tensor, list[KeyValue]]:
        """Read video and query.

        Args:
            visual: (B, N, Dv).
            prompt: (1, L) integers, query and BOS, the same for all B.

        Returns:
            Logits (B, V) of the answer's first token, and the cache of N + L positions.
        """
        words = self.embed(prompt).expand(visual.shape[0], -1, -1)
        x = torch.cat((self.visual(visual), words), dim=1)
        x, past = self.stack.with_cache(x, bias=_causal(x.shape[1], 0, x))
        return self._logits(x[:, -1]), past

    def step(self, token: Tensor, past: list[KeyValue]) -> tuple[Tensor, list[KeyValue]]:
        """Read one more token (B, 1); returns logits (B, V) of the next one and the longer cache."""
        x, past = self.stack.with_cache(self.embed(token), past)
        return self._logits(x[:, -1]), past

    def generate(self, visual: Tensor, prompt: Tensor, *, eos_id: int, limit: int) -> list[list[int]]:
        """Answer greedily.

        Args:
            visual: (B, N, Dv).
            prompt: (1, L) query and BOS.
            eos_id: the token that ends an answer.
            limit: tokens at most.

        Returns:
            Token ids of each answer, without EOS.
        """
        logits, past = self.read(visual, prompt)
        columns: list[Tensor] = []
        done = torch.zeros(len(visual), dtype=torch.bool, device=visual.device)
        for _ in range(limit):
            token = logits.argmax(dim=-1, keepdim=True).masked_fill(done[:, None], eos_id)
            done = done | (token[:, 0] == eos_id)
            if bool(done.all()):
                break
            columns.append(token)
            logits, past = self.step(token, past)
        rows = torch.cat(columns, dim=1).tolist() if columns else [[] for _ in visual]
        return [row[: row.index(eos_id)] if eos_id in row else row for row in rows]

    def score(self, visual: Tensor, prompt: Tensor, answers: Tensor, mask: Tensor) -> Tensor:
        """Mean log-likelihood per token of candidate answers to one video: the highest has the lowest perplexity.

        Args:
            visual: (1, N, Dv).
            prompt: (1, L) query and BOS.
            answers: (A, M) integers, each ending in EOS and padded at the end.
            mask: (A, M), 1 for a token and 0 for padding.

        Returns:
            (A,) float32.
        """
        first, past = self.read(visual, prompt)
        count, length = answers.shape
        wide = [(k.expand(count, -1, -1, -1), v.expand(count, -1, -1, -1)) for k, v in past]
        x = self.embed(answers[:, :-1])
        hidden, _ = self.stack.with_cache(x, wide, bias=_causal(length - 1, past[0][0].shape[2], x))
        logits = torch.cat((first[:, None].expand(count, -1, -1), self._logits(hidden)), dim=1)
        chosen = F.log_softmax(logits.float(), dim=-1).gather(-1, answers.long()[..., None])[..., 0]
        return (chosen * mask).sum(dim=1) / mask.sum(dim=1)

    def _logits(self, x: Tensor) -> Tensor:
        return F.linear(x, self.embed.weight)


def _causal(count: int, earlier: int, like: Tensor) -> Tensor:
    """(count, earlier + count) scores to add: position i sees all earlier ones and 0..i of the new."""
    later = torch.ones(count, count, dtype=like.dtype, device=like.device).triu(1) * HIDDEN
    return F.pad(later, (earlier, 0))
