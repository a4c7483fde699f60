"""The Y-decoder's step on a cache of fixed length, which Core ML wants: no shape grows from token to token.

Positions and masks are rows of constant tables, picked by how much of the cache is real; only the new position
comes back.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vljepa_export.errors import ExportError
from vljepa_export.graphs import GraphDefinition
from vljepa_model.layers import HIDDEN
from vljepa_model.y_decoder import YDecoder
from vljepa_runtime.contract import GraphContract, TensorSpec
from vljepa_runtime.decoder import MAX_TOKENS
from vljepa_runtime.engines.fixed_shapes import CACHE_LENGTH

__all__ = ["FixedCacheStep", "fixed_cache_definition"]

COLUMNS = 64  # cache and new position together come in multiples of this


class FixedCacheStep(nn.Module):
    """`YDecoder.step` with a cache whose later part is padding."""

    cos: Tensor
    sin: Tensor
    hidden: Tensor

    def __init__(self, decoder: YDecoder, capacity: int) -> None:
        super().__init__()
        self.decoder, self.stack = decoder, decoder.stack
        self.capacity = capacity
        cos, sin = decoder.stack.tables(0, capacity + 1, torch.float32)
        self.register_buffer("cos", cos[0], persistent=False)
        self.register_buffer("sin", sin[0], persistent=False)
        # Row t hides the columns t .. capacity - 1; the last column is the new position itself.
        hidden = torch.full((capacity + 1, capacity), HIDDEN).triu()
        hidden = torch.cat((hidden, torch.zeros(capacity + 1, 1)), dim=1)
        self.register_buffer("hidden", hidden, persistent=False)

    def forward(self, token: Tensor, length: Tensor, *past: Tensor) -> tuple[Tensor, ...]:
        """Read one more token.

        Args:
            token: (B, 1) integers.
            length: (1,), how many positions of `past` are real.
            past: key 0, value 0, key 1, ..., each (B, kv_heads, capacity, head_dim).

        Returns:
            Logits (B, V), then the new keys and values, each (B, kv_heads, 1, head_dim).
        """
        x = self.decoder.embed(token)
        tables = (
            self.cos.index_select(0, length).unsqueeze(0),
            self.sin.index_select(0, length).unsqueeze(0),
        )
        bias = self.hidden.index_select(0, length).unsqueeze(1).unsqueeze(1)
        new: list[Tensor] = []
        for index, block in enumerate(self.stack.blocks):
            turned = None if index in self.stack.unturned_blocks else tables
            x, (key, value) = block(x, turned, bias=bias, past=(past[2 * index], past[2 * index + 1]))
            new += [key[:, :, self.capacity :], value[:, :, self.capacity :]]
        return (self.decoder.logits(self.stack.norm(x)[:, -1]), *new)


def fixed_cache_definition(contract: GraphContract, decoder: nn.Module) -> GraphDefinition:
    """The step graph with a fixed cache, long enough for every text that the runtime decodes.

    Raises:
        ExportError: the network is not our own Y-decoder, or some of its blocks see only their neighbourhood.
    """
    if not isinstance(decoder, YDecoder):
        raise ExportError(f"{contract.name}: expected the Y-decoder, got {type(decoder).__name__}")
    if decoder.stack.local_blocks:
        raise ExportError(
            f"{contract.name}: expected a Y-decoder whose blocks see everything, got windows of "
            f"{decoder.stack.window}: a cache of fixed length has none; export to onnx or openvino"
        )
    needed = decoder.prefix_length + 1 + MAX_TOKENS
    capacity = -(-(needed + 1) // COLUMNS) * COLUMNS - 1
    token, *past = contract.inputs
    logits, *grown = contract.outputs
    return GraphDefinition(
        name=contract.name,
        module=FixedCacheStep(decoder, capacity),
        inputs=(
            token,
            TensorSpec(name=CACHE_LENGTH, dtype="int32", shape=(1,)),
            *(_resized(axes, capacity) for axes in past),
        ),
        outputs=(logits, *(_resized(axes, 1) for axes in grown)),
    )


def _resized(axes: TensorSpec, length: int) -> TensorSpec:
    batch, heads, _, width = axes.shape
    return TensorSpec(name=axes.name, dtype=axes.dtype, shape=(batch, heads, length, width))
