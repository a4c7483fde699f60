"""The graphs of the contract as torch modules: what is exported, not how."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch.nn.functional as F
from torch import Tensor, nn

from vljepa_model import VLJEPA, ModelConfig
from vljepa_model.config import XEncoderConfig
from vljepa_model.rotary import tubelet_tables
from vljepa_model.x_encoder import XEncoder
from vljepa_model.y_decoder import YDecoder
from vljepa_runtime.contract import (
    CACHED,
    EMBEDDING_DIM,
    GRAPH_NAMES,
    HEAD_DIM,
    HEADS,
    NETWORKS,
    PATCH_DIM,
    PREFILL,
    STEP,
    VISUAL_DIM,
    VOCABULARY,
    X_ENCODER,
    Y_DECODER,
    GraphContract,
    contract_of,
)  # fmt: skip

__all__ = ["GraphDefinition", "graph_definition", "graph_definitions", "graphs_of", "x_encoder_definition"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphDefinition(GraphContract):
    """One graph to export.

    Attributes:
        module: Takes the inputs in order, gives the outputs in order.
    """

    module: nn.Module

    @property
    def contract(self) -> GraphContract:
        """What it promises, without the module."""
        return GraphContract(name=self.name, inputs=self.inputs, outputs=self.outputs)


class RawPixelXEncoder(nn.Module):
    """The X-encoder with pixel normalisation folded into the patch embedding's constants."""

    def __init__(self, encoder: XEncoder) -> None:
        super().__init__()
        weight, bias = encoder.folded_patch_embedding()
        self.patch_weight, self.patch_bias = nn.Parameter(weight.detach()), nn.Parameter(bias.detach())
        self.blocks, self.norm = encoder.blocks, encoder.norm
        self.register_buffer("frequencies", encoder.frequencies, persistent=False)

    def forward(self, patches: Tensor, positions: Tensor) -> Tensor:
        """See `XEncoder.forward`."""
        x = F.linear(patches.to(self.patch_weight.dtype), self.patch_weight, self.patch_bias)
        tables = tubelet_tables(positions, self.get_buffer("frequencies"), x.dtype)
        for block in self.blocks:
            x = block(x, tables)
        out: Tensor = self.norm(x)
        return out


class DecoderPrefill(nn.Module):
    """`YDecoder.prefill` with a flat list of outputs."""

    def __init__(self, decoder: YDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, embedding: Tensor) -> tuple[Tensor, ...]:
        """See `YDecoder.prefill`; the caches come as key 0, value 0, key 1, ..."""
        logits, keys, values = self.decoder.prefill(embedding)
        return (logits, *(cache for pair in zip(keys, values) for cache in pair))


class DecoderStep(nn.Module):
    """`YDecoder.step` with flat lists of inputs and outputs."""

    def __init__(self, decoder: YDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, token: Tensor, *past: Tensor) -> tuple[Tensor, ...]:
        """See `YDecoder.step`; the caches come and go as key 0, value 0, key 1, ..."""
        logits, keys, values = self.decoder.step(token, list(past[0::2]), list(past[1::2]))
        return (logits, *(cache for pair in zip(keys, values) for cache in pair))


def graph_definitions(model: VLJEPA) -> dict[str, GraphDefinition]:
    """Everything to export of a model in evaluation mode, in the order of `GRAPH_NAMES`; a decoder if it has one."""
    config = model.config
    return {
        name: graph_definition(name, getattr(model, NETWORKS[name]), config) for name in graphs_of(config)
    }


def graphs_of(config: ModelConfig) -> tuple[str, ...]:
    """Names of the graphs that a model has, in the order of `GRAPH_NAMES`; the Y-decoder may be missing."""
    missing = Y_DECODER if config.y_decoder is None else ""
    return tuple(name for name in GRAPH_NAMES if NETWORKS[name] != missing)


def graph_definition(name: str, network: nn.Module, config: ModelConfig) -> GraphDefinition:
    """One graph of one network in evaluation mode."""
    if name == X_ENCODER:
        return x_encoder_definition(cast(XEncoder, network), config.x_encoder)
    forms: dict[str, Callable[[Any], nn.Module]] = {PREFILL: DecoderPrefill, STEP: DecoderStep}
    sizes = {VISUAL_DIM: config.x_encoder.width, EMBEDDING_DIM: config.embedding_dim}
    layers = 0
    if NETWORKS[name] == Y_DECODER:
        stack = config.decoder.stack
        sizes |= {VOCABULARY: config.vocabulary(stack), HEADS: stack.kv_heads, HEAD_DIM: stack.head_dim}
        layers = stack.depth
    if name == PREFILL:
        sizes[CACHED] = config.decoder.prefix + 1
    contract = contract_of(name, sizes, layers=layers)
    module = forms[name](network) if name in forms else network
    return GraphDefinition(name=name, inputs=contract.inputs, outputs=contract.outputs, module=module)


def x_encoder_definition(network: XEncoder, config: XEncoderConfig) -> GraphDefinition:
    """The graph of an X-encoder in evaluation mode, which needs none of the other networks."""
    contract = contract_of(X_ENCODER, {PATCH_DIM: config.patch_dim, VISUAL_DIM: config.width})
    module = RawPixelXEncoder(network)
    return GraphDefinition(name=X_ENCODER, inputs=contract.inputs, outputs=contract.outputs, module=module)
