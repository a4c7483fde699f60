"""The two transformer blocks: V-JEPA 2's vision block, and the text block of causal language models.

They know nothing of pixels or tokens. Written for export too: no in-place operation, no branch on data, and
masks are floats that are added.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vljepa_model.config import TextStackConfig, XEncoderConfig
from vljepa_model.rotary import Tables, rotate, text_frequencies, text_tables

__all__ = [
    "HIDDEN",
    "KeyValue",
    "RMSNorm",
    "TextBlock",
    "TextStack",
    "TokenTable",
    "VisionBlock",
    "attend",
    "capped",
    "initialise",
    "masked_mean",
    "pad_bias",
    "working_dtype",
]

KeyValue = tuple[Tensor, Tensor]

# Added to the scores of columns that must not be seen: weight zero, and yet a float16.
HIDDEN = -1e4


class RMSNorm(nn.Module):
    """Root-mean-square normalisation with a learned scale."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last dimension of x."""
        return x * torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + self.eps) * self.weight


class HeadNorm(nn.Module):
    """RMSNorm of every query and key head; queries share one scale, keys another."""

    def __init__(self, config: TextStackConfig) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.ones(config.head_dim))
        self.key = nn.Parameter(torch.ones(config.head_dim))
        self.heads, self.kv_heads, self.eps = config.heads, config.kv_heads, config.norm_eps

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, N, heads + kv_heads, head_dim), the queries first -> the same shape."""
        scale = torch.cat((self.query.expand(self.heads, -1), self.key.expand(self.kv_heads, -1)))
        return x * torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + self.eps) * scale


class TokenTable(nn.Embedding):
    """Token embeddings, multiplied by a fixed scale where the family does so."""

    def __init__(self, vocabulary: int, config: TextStackConfig) -> None:
        super().__init__(vocabulary, config.width)
        self.scale = config.embedding_scale

    def forward(self, input: Tensor) -> Tensor:
        """(B, L) ids -> (B, L, width)."""
        rows = super().forward(input)
        return rows if self.scale == 1.0 else rows * self.scale

    def row(self, token: int) -> Tensor:
        """The embedding (width,) of one token known beforehand."""
        row = self.weight[token]
        return row if self.scale == 1.0 else row * self.scale


class VisionBlock(nn.Module):
    """Pre-norm attention and GELU MLP, as in V-JEPA 2; query, key and value are one matrix."""

    def __init__(self, config: XEncoderConfig) -> None:
        super().__init__()
        width = config.width
        self.heads, self.head_dim = config.heads, config.head_dim
        self.norm1 = nn.LayerNorm(width, eps=config.norm_eps)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width, eps=config.norm_eps)
        self.fc1 = nn.Linear(width, config.mlp)
        self.fc2 = nn.Linear(config.mlp, width)

    def forward(self, x: Tensor, tables: Tables) -> Tensor:
        """x: (B, N, width) -> the same shape."""
        x = x + self._attention(self.norm1(x), tables)
        hidden: Tensor = self.fc2(F.gelu(self.fc1(self.norm2(x))))
        return x + hidden

    def _attention(self, x: Tensor, tables: Tables) -> Tensor:
        query, key, value = _split_heads(self.qkv(x), self.heads, self.heads, self.head_dim, tables)
        mixed = attend(query, key, value)
        out: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return out


def make_norm(config: TextStackConfig) -> nn.Module:
    """A norm of the stack's kind over a hidden state."""
    if config.norm == "layer":
        return nn.LayerNorm(config.width, eps=config.norm_eps)
    return RMSNorm(config.width, config.norm_eps)


class TextBlock(nn.Module):
    """Norm, grouped-query attention with rotary positions, gated MLP: Llama's block.

    Other families differ in what `TextStackConfig` names: norms, biases, gate, and in what the MLP reads.
    """

    def __init__(self, config: TextStackConfig) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = config.heads, config.kv_heads, config.head_dim
        self.scale, self.cap = config.score_scale, config.score_cap
        packed = (config.heads + 2 * config.kv_heads) * config.head_dim
        self.norm1 = make_norm(config)
        self.qkv = nn.Linear(config.width, packed, bias=config.qkv_bias)
        self.proj = nn.Linear(config.heads * config.head_dim, config.width, bias=config.proj_bias)
        self.norm2 = None if config.residual == "parallel_one_norm" else make_norm(config)
        if config.gated:
            self.gate_up = nn.Linear(config.width, 2 * config.mlp, bias=config.mlp_bias)
        else:
            self.up = nn.Linear(config.width, config.mlp, bias=config.mlp_bias)
        self.down = nn.Linear(config.mlp, config.width, bias=config.mlp_bias)
        self.head_norm = HeadNorm(config) if config.head_norms else None
        self.after1 = make_norm(config) if config.sandwich_norms else None
        self.after2 = make_norm(config) if config.sandwich_norms else None
        self.activation, self.gated = config.activation, config.gated
        self.parallel = config.residual != "sequential"

    def forward(
        self,
        x: Tensor,
        tables: Tables | None,
        *,
        bias: Tensor | None = None,
        causal: bool = False,
        past: KeyValue | None = None,
    ) -> tuple[Tensor, KeyValue]:
        """Run one block.

        Args:
            x: (B, N, width).
            tables: rotary tables of these N positions; None for heads that know no position.
            bias: added to the attention scores, broadcastable to (B, heads, N, T + N); None for no mask.
            causal: let position i see 0..i only; not together with `bias` or `past`.
            past: keys and values (B, kv_heads, T, head_dim) of earlier positions.

        Returns:
            (B, N, width), and the keys and values of all T + N positions.
        """
        first = self.norm1(x)
        mixed, cache = self._attention(first, tables, bias, causal, past)
        after = x + (mixed if self.after1 is None else self.after1(mixed))
        hidden = self._mlp(first if self.norm2 is None else self.norm2(x if self.parallel else after))
        return after + (hidden if self.after2 is None else self.after2(hidden)), cache

    def _mlp(self, x: Tensor) -> Tensor:
        if self.gated:
            gate, up = self.gate_up(x).chunk(2, dim=-1)
            hidden = self._activated(gate) * up
        else:
            hidden = self._activated(self.up(x))
        out: Tensor = self.down(hidden)
        return out

    def _activated(self, x: Tensor) -> Tensor:
        if self.activation == "silu":
            return F.silu(x)
        return F.gelu(x, approximate="tanh" if self.activation == "gelu_tanh" else "none")

    def _attention(
        self, x: Tensor, tables: Tables | None, bias: Tensor | None, causal: bool, past: KeyValue | None
    ) -> tuple[Tensor, KeyValue]:
        query, key, value = _split_heads(
            self.qkv(x), self.heads, self.kv_heads, self.head_dim, tables, self.head_norm
        )
        if past is not None:
            key, value = torch.cat((past[0], key), dim=2), torch.cat((past[1], value), dim=2)
        if causal or (bias is not None and bias.shape[-2] > 1):
            groups = self.heads // self.kv_heads
            key_each, value_each = _repeat_heads(key, groups), _repeat_heads(value, groups)
            mixed = attend(query, key_each, value_each, bias, causal, scale=self.scale, cap=self.cap)
        else:  # every query sees the same columns: stack a group's queries instead of copying its keys
            stacked = query.reshape(query.shape[0], self.kv_heads, -1, self.head_dim)
            mixed = attend(stacked, key, value, bias, scale=self.scale, cap=self.cap).reshape(query.shape)
        return self.proj(mixed.transpose(1, 2).flatten(2)), (key, value)


class View(NamedTuple):
    """What a block is shown: rotary tables, if it knows positions, and a mask."""

    tables: Tables | None
    bias: Tensor | None
    causal: bool


class TextStack(nn.Module):
    """Text blocks and the last norm; embeddings in, hidden states out."""

    frequencies: Tensor
    local_frequencies: Tensor

    def __init__(self, config: TextStackConfig) -> None:
        super().__init__()
        self.window, self.local_blocks = config.window, frozenset(config.local_blocks)
        self.unturned_blocks = frozenset(config.unturned_blocks)
        self.blocks = nn.ModuleList([TextBlock(config) for _ in range(config.depth)])
        self.norm = make_norm(config)
        frequencies = text_frequencies(
            config.head_dim, config.rope_theta, config.rope_scaling, config.rope_stretch, config.rotary_dim
        )
        self.register_buffer("frequencies", frequencies, persistent=False)
        if config.local_blocks:
            local = text_frequencies(config.head_dim, config.local_rope_theta, rotary_dim=config.rotary_dim)
            self.register_buffer("local_frequencies", local, persistent=False)

    def tables(self, start: int, stop: int, dtype: torch.dtype) -> Tables:
        """Rotary tables of positions start .. stop - 1."""
        positions = torch.arange(start, stop, device=self.frequencies.device)
        return text_tables(positions, self.frequencies, dtype)

    def _views(self, x: Tensor, start: int, bias: Tensor | None, causal: bool) -> list[View]:
        """Per block; those of one kind share theirs, so tables and masks are computed once."""
        stop, dtype = start + x.shape[1], working_dtype(x)
        everywhere = View(self.tables(start, stop, dtype), bias, causal)
        unturned = View(None, bias, causal)
        views = [unturned if i in self.unturned_blocks else everywhere for i in range(len(self.blocks))]
        if not self.local_blocks:
            return views
        columns = torch.arange(stop, device=x.device)
        distance = columns[start:].unsqueeze(1) - columns
        hidden = distance.abs() >= self.window
        if causal:
            hidden = hidden | (distance < 0)
        near = (hidden.to(x.dtype) * HIDDEN).unsqueeze(0).unsqueeze(0)
        tables = text_tables(columns[start:], self.local_frequencies, dtype)
        local = View(tables, near if bias is None else near + bias, False)
        return [local if index in self.local_blocks else view for index, view in enumerate(views)]

    def forward(self, x: Tensor, *, bias: Tensor | None = None, causal: bool = False) -> Tensor:
        """x: (B, N, width) at positions 0 .. N - 1 -> the same shape, normalised."""
        for block, view in zip(self.blocks, self._views(x, 0, bias, causal)):
            x, _ = block(x, view.tables, bias=view.bias, causal=view.causal)
        out: Tensor = self.norm(x)
        return out

    def with_cache(
        self, x: Tensor, past: list[KeyValue] | None = None, *, bias: Tensor | None = None
    ) -> tuple[Tensor, list[KeyValue]]:
        """x: (B, N, width) after `past` -> hidden states and the caches that now include x."""
        start = 0 if past is None else past[0][0].shape[2]
        caches: list[KeyValue] = []
        for index, (block, view) in enumerate(zip(self.blocks, self._views(x, start, bias, False))):
            x, cache = block(x, view.tables, bias=view.bias, past=None if past is None else past[index])
            caches.append(cache)
        return self.norm(x), caches


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor | None = None,
    causal: bool = False,
    *,
    scale: float | None = None,
    cap: float | None = None,
) -> Tensor:
    """Scaled dot-product attention over (B, heads, N, head_dim).

    Args:
        query: (B, heads, N, head_dim).
        key: (B, heads, T, head_dim).
        value: (B, heads, T, head_dim).
        bias: Added to the scores.
        causal: Position i sees 0..i only; not together with `bias`.
        scale: Of the scores; None for head_dim ** -0.5.
        cap: Scores are bent to lie within this before anything is hidden.
    """
    slow = query.device.type == "cpu" and query.dtype == torch.bfloat16
    training = query.requires_grad and torch.is_grad_enabled()
    if cap is None and not (training and slow):
        return F.scaled_dot_product_attention(
            query, key, value, attn_mask=bias, is_causal=causal, scale=scale
        )
    # The fused backward in bfloat16 is slow on CPUs. Two-core EPYC, torch 2.13, B=16, head_dim 32, both
    # passes: 6 heads of 256 tokens 47 ms fused, 37 ms like this; 8 heads of 288 tokens 74-98 and 34-41 ms.
    scores = (query * (scale or query.shape[-1] ** -0.5)) @ key.transpose(-1, -2)
    if cap is not None:
        scores = capped(scores, cap)
    if causal:
        later = torch.ones(scores.shape[-2:], dtype=scores.dtype, device=scores.device).triu(1)
        bias = later * HIDDEN
    if bias is not None:
        scores = scores + bias.to(scores.dtype)
    return torch.softmax(scores, dim=-1) @ value


def capped(x: Tensor, cap: float) -> Tensor:
    """Bent to lie within -cap..cap, nearly unchanged around 0 (Gemma 2)."""
    return torch.tanh(x * (1.0 / cap)) * cap


def pad_bias(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Turn a mask (B, L), 1 for a token and 0 for padding, into scores to add: (B, 1, 1, L)."""
    return ((1.0 - mask.to(dtype)) * HIDDEN).unsqueeze(1).unsqueeze(1)


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Mean of x (B, L, width) over the positions where mask (B, L) is 1: (B, width)."""
    weights = mask.to(x.dtype).unsqueeze(-1)
    return (x * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1.0)


def initialise(module: nn.Module, depth: int) -> None:
    """Draw weights: normal of std 0.02, zero biases, and residual outputs scaled down by sqrt(2 * depth)."""
    for name, child in module.named_modules():
        if isinstance(child, nn.Linear):
            residual = name.rsplit(".", 1)[-1] in ("proj", "fc2", "down")
            nn.init.trunc_normal_(child.weight, std=0.02 / math.sqrt(2 * depth) if residual else 0.02)
            if child.bias is not None:
                nn.init.zeros_(child.bias)
        elif isinstance(child, nn.Embedding):
            nn.init.normal_(child.weight, std=0.02)


def working_dtype(x: Tensor) -> torch.dtype:
    """Type that matrix products of x come out in, so that tables are cast once and not in every block."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


def _split_heads(
    packed: Tensor,
    heads: int,
    kv_heads: int,
    head_dim: int,
    tables: Tables | None,
    head_norm: HeadNorm | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Cut (B, N, (heads + 2 kv_heads) * head_dim) into query, key (rotated) and value (B, h, N, head_dim)."""
    batch, count, _ = packed.shape
    apart = packed.reshape(batch, count, heads + 2 * kv_heads, head_dim)
    turning, value = torch.split(apart, [heads + kv_heads, kv_heads], dim=2)
    if head_norm is not None:
        turning = head_norm(turning)
    if tables is not None:
        turning = rotate(turning, tables)
    query, key = torch.split(turning, [heads, kv_heads], dim=2)
    return query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)


def _repeat_heads(x: Tensor, groups: int) -> Tensor:
    """(B, kv_heads, T, head_dim) -> (B, kv_heads * groups, T, head_dim), each head repeated in place."""
    if groups == 1:
        return x
    return x.unsqueeze(2).expand(-1, -1, groups, -1, -1).flatten(1, 2)
