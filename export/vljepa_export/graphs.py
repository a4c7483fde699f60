"""The five graphs of a model as torch modules with named inputs: what is exported, not how.

Names, types and axes follow the graph contract that every engine shares (docs/architecture.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from vljepa_export.contract import GRAPH_NAMES, NETWORKS, GraphContract, TensorAxes
from vljepa_model import VLJEPA, ModelConfig
from vljepa_model.predictor import Predictor
from vljepa_model.rotary import tubelet_tables
from vljepa_model.x_encoder import XEncoder
from vljepa_model.y_decoder import YDecoder

__all__ = ["GraphDefinition", "graph_definition", "graph_definitions"]


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
    present = [name for name in GRAPH_NAMES if NETWORKS[name] != "y_decoder" or config.y_decoder is not None]
    return {name: graph_definition(name, getattr(model, NETWORKS[name]), config) for name in present}


def graph_definition(name: str, network: nn.Module, config: ModelConfig) -> GraphDefinition:
    """One graph of one network in evaluation mode."""
    parts: dict[str, Callable[[Any, ModelConfig], GraphDefinition]] = {
        "x_encoder": _x_encoder,
        "predictor": _predictor,
        "y_encoder": _y_encoder,
        "y_decoder_prefill": _decoder_prefill,
        "y_decoder_step": _decoder_step,
    }
    return parts[name](network, config)


def _x_encoder(encoder: XEncoder, config: ModelConfig) -> GraphDefinition:
    sizes = config.x_encoder
    return GraphDefinition(
        name="x_encoder",
        module=RawPixelXEncoder(encoder),
        inputs=(
            TensorAxes(name="patches", dtype="uint8", shape=("B", "N", sizes.patch_dim)),
            TensorAxes(name="positions", dtype="int32", shape=("B", "N", 3)),
        ),
        outputs=(TensorAxes(name="visual", dtype="float32", shape=("B", "N", sizes.width)),),
    )


def _predictor(predictor: Predictor, config: ModelConfig) -> GraphDefinition:
    return GraphDefinition(
        name="predictor",
        module=predictor,
        inputs=(
            TensorAxes(name="visual", dtype="float32", shape=("B", "N", config.x_encoder.width)),
            TensorAxes(name="query_ids", dtype="int32", shape=("B", "L")),
            TensorAxes(name="query_mask", dtype="int32", shape=("B", "L")),
        ),
        outputs=(_embedding(config),),
    )


def _y_encoder(encoder: nn.Module, config: ModelConfig) -> GraphDefinition:
    return GraphDefinition(
        name="y_encoder",
        module=encoder,
        inputs=(
            TensorAxes(name="ids", dtype="int32", shape=("B", "L")),
            TensorAxes(name="mask", dtype="int32", shape=("B", "L")),
        ),
        outputs=(_embedding(config),),
    )


def _decoder_prefill(decoder: YDecoder, config: ModelConfig) -> GraphDefinition:
    return GraphDefinition(
        name="y_decoder_prefill",
        module=DecoderPrefill(decoder),
        inputs=(_embedding(config),),
        outputs=(_logits(config), *_caches("past", config, config.decoder.prefix + 1)),
    )


def _decoder_step(decoder: YDecoder, config: ModelConfig) -> GraphDefinition:
    token = TensorAxes(name="token", dtype="int32", shape=("B", 1))
    return GraphDefinition(
        name="y_decoder_step",
        module=DecoderStep(decoder),
        inputs=(token, *_caches("past", config, "T")),
        outputs=(_logits(config), *_caches("next", config, "T + 1")),
    )


def _embedding(config: ModelConfig) -> TensorAxes:
    return TensorAxes(name="embedding", dtype="float32", shape=("B", config.embedding_dim))


def _logits(config: ModelConfig) -> TensorAxes:
    vocabulary = config.vocabulary(config.decoder.stack)
    return TensorAxes(name="logits", dtype="float32", shape=("B", vocabulary))


def _caches(prefix: str, config: ModelConfig, length: str | int) -> tuple[TensorAxes, ...]:
    stack = config.decoder.stack
    shape = ("B", stack.kv_heads, length, stack.head_dim)
    pairs = [(f"{prefix}_k_{i}", f"{prefix}_v_{i}") for i in range(stack.depth)]
    return tuple(TensorAxes(name=name, dtype="float32", shape=shape) for pair in pairs for name in pair)
