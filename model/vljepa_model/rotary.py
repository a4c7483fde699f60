"""Rotary position tables: V-JEPA 2's three-axis kind and Llama's, in one layout.

Both end as `x * cos + swap(x) * sin`, where `swap` exchanges the two halves of a head and `sin` carries the
sign. V-JEPA 2 rotates neighbouring dimensions instead of halves; its query and key rows are stored reordered
(first the even, then the odd dimensions of each head), which alters no dot product and spares strided copies.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from vljepa_model.config import RopeScaling

__all__ = [
    "CPU",
    "Tables",
    "half_order",
    "rotary_order",
    "rotate",
    "text_frequencies",
    "text_tables",
    "tubelet_frequencies",
    "tubelet_tables",
]

Tables = tuple[Tensor, Tensor]

# Constants are made here even where a model is built on another device (`meta`, to fill it from a file later).
CPU = torch.device("cpu")


def rotate(x: Tensor, tables: Tables) -> Tensor:
    """Turn heads by their positions.

    Args:
        x: (B, N, heads, head_dim).
        tables: cos and signed sin, each (B or 1, N, 1, head_dim).
    """
    cos, sin = tables
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((second, first), dim=-1) * sin


def half_order(head_dim: int) -> Tensor:
    """Order of a head's dimensions that turns neighbouring rotary pairs into halves: (head_dim,) int64."""
    return torch.arange(head_dim, device=CPU).view(-1, 2).T.reshape(-1)


def tubelet_frequencies(head_dim: int, *, paired: bool = False, row_step: float = 1.0) -> Tensor:
    """Angle per unit of (t, h, w) for every head dimension, in `half_order`: (3, head_dim) float32.

    Each axis owns 2 * ((head_dim // 3) // 2) dimensions, the rest is not rotated.

    Args:
        head_dim: Dimensions of a head.
        paired: Neighbours that are rotated together have one frequency, as in V-JEPA 2.1. V-JEPA 2 was trained
            with two equal halves instead, although its rotation pairs neighbours.
        row_step: How much a row or a column counts.
    """
    part = 2 * ((head_dim // 3) // 2)
    half = part // 2
    omega = 1.0 / 10000 ** (torch.arange(half, dtype=torch.float32, device=CPU) / half)
    own = omega.repeat_interleave(2) if paired else omega.repeat(2)
    frequencies = torch.zeros(3, head_dim, device=CPU)
    for axis in range(3):
        frequencies[axis, axis * part : (axis + 1) * part] = own * (row_step if axis else 1.0)
    return frequencies[:, half_order(head_dim)]


def tubelet_tables(positions: Tensor, frequencies: Tensor, dtype: torch.dtype) -> Tables:
    """Tables for tubelets at positions (B, N, 3); frequencies as `tubelet_frequencies` gives them."""
    # Not a matmul: autocast would round the frequencies to bfloat16.
    steps = positions.to(frequencies.dtype).unsqueeze(-1)
    return _signed((steps * frequencies).sum(dim=-2), dtype)


def text_frequencies(
    head_dim: int, theta: float, scaling: RopeScaling | None = None, stretch: float = 1.0, rotary_dim: int = 0
) -> Tensor:
    """Llama's rotary frequencies, both halves: (head_dim,) float32.

    Args:
        head_dim: Dimensions of a head.
        theta: Base.
        scaling: Llama's rule for long contexts.
        stretch: Positions are divided by this.
        rotary_dim: How many dimensions turn; 0 for all. The others, in `rotary_order`, have the frequency 0.
    """
    turned = rotary_dim or head_dim
    half = 1.0 / theta ** (torch.arange(0, turned, 2, dtype=torch.float32, device=CPU) / turned)
    if stretch != 1.0:
        half = half / stretch
    if scaling is not None:
        half = _stretch(half, scaling)
    return F.pad(half, (0, (head_dim - turned) // 2)).repeat(2)


def rotary_order(head_dim: int, rotary_dim: int) -> Tensor:
    """Order of a head's dimensions where only the first turn: half of them, half of the others, and the same again.

    So what turns together lies half a head apart, as in a head that turns whole: (head_dim,) int64.
    """
    dims = torch.arange(head_dim, device=CPU)
    return torch.cat((dims[:rotary_dim].view(2, -1), dims[rotary_dim:].view(2, -1)), dim=1).flatten()


def text_tables(positions: Tensor, frequencies: Tensor, dtype: torch.dtype) -> Tables:
    """Tables for text positions (N,)."""
    return _signed((positions.to(frequencies.dtype).unsqueeze(-1) * frequencies).unsqueeze(0), dtype)


def _signed(angle: Tensor, dtype: torch.dtype) -> Tables:
    """(B, N, head_dim) angles -> cos and sin (B, N, 1, head_dim), the first half of sin negated."""
    first, second = angle.chunk(2, dim=-1)
    sin = torch.cat((-first.sin(), second.sin()), dim=-1)
    return angle.cos().to(dtype).unsqueeze(-2), sin.to(dtype).unsqueeze(-2)


def _stretch(frequencies: Tensor, scaling: RopeScaling) -> Tensor:
    """Divide slow frequencies by `factor`, keep fast ones, blend in between (Llama 3.1's rule)."""
    turns = scaling.original_positions * frequencies / (2 * math.pi)
    low, high = scaling.low_freq_factor, scaling.high_freq_factor
    keep = ((turns - low) / (high - low)).clamp(0.0, 1.0)
    return keep * frequencies + (1.0 - keep) * frequencies / scaling.factor
