"""The X-encoder: V-JEPA 2's video transformer over a set of tubelets, which need not be complete.

Cutting frames into tubelets is the work of `vljepa_runtime.preprocessing`, so tokens can be left out beforehand.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vljepa_model.config import XEncoderConfig
from vljepa_model.layers import VisionBlock, initialise, working_dtype
from vljepa_model.rotary import CPU, tubelet_frequencies, tubelet_tables

__all__ = ["XEncoder"]


class XEncoder(nn.Module):
    """Raw tubelets and where they lie in, one visual token per tubelet out."""

    mean: Tensor
    std: Tensor
    frequencies: Tensor

    def __init__(self, config: XEncoderConfig) -> None:
        super().__init__()
        self.patch_embedding = nn.Linear(config.patch_dim, config.width)
        self.blocks = nn.ModuleList([VisionBlock(config) for _ in range(config.depth)])
        self.norm = nn.LayerNorm(config.width, eps=config.norm_eps)
        repeats = config.patch_dim // 3
        frequencies = tubelet_frequencies(
            config.head_dim, paired=config.rope == "paired", row_step=config.row_step
        )
        for name, triple in (("mean", config.mean), ("std", config.std)):
            pixels = 255.0 * torch.tensor(triple, device=CPU).repeat(repeats)
            self.register_buffer(name, pixels, persistent=False)
        self.register_buffer("frequencies", frequencies, persistent=False)
        initialise(self, config.depth)

    def folded_patch_embedding(self) -> tuple[Tensor, Tensor]:
        """Weight (width, patch_dim) and bias (width,) that take raw pixels of 0 .. 255."""
        weight = self.patch_embedding.weight / self.std
        return weight, self.patch_embedding.bias - (weight * self.mean).sum(dim=1)

    def forward(self, patches: Tensor, positions: Tensor) -> Tensor:
        """Encode tubelets.

        Args:
            patches: (B, N, patch_dim) raw pixels 0 .. 255, uint8 or float.
            positions: (B, N, 3) or (1, N, 3) integers (t, h, w).

        Returns:
            (B, N, width) visual tokens.
        """
        weight, bias = self.folded_patch_embedding()
        x = F.linear(patches.to(weight.dtype), weight, bias)
        tables = tubelet_tables(positions, self.frequencies, working_dtype(x))
        for block in self.blocks:
            x = block(x, tables)
        out: Tensor = self.norm(x)
        return out
