"""Published tensors in this package's layout: V-JEPA 2's encoder and Llama-style layers.

Only names and shapes are translated here; opening files of whatever origin is the importer's work.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from vljepa_model.config import TextStackConfig, XEncoderConfig
from vljepa_model.errors import CheckpointError
from vljepa_model.rotary import half_order

__all__ = ["llama_stack_tensors", "vjepa2_tensors"]

State = Mapping[str, Tensor]


def vjepa2_tensors(state: State, config: XEncoderConfig) -> dict[str, Tensor]:
    """Translate V-JEPA 2's encoder (names as in transformers) for `XEncoder.load_state_dict`.

    Args:
        state: tensors named `encoder.embeddings...`, `encoder.layer.{i}...`, `encoder.layernorm...`.
        config: the X-encoder they are meant for.

    Raises:
        CheckpointError: when a tensor is missing.
    """
    kernel = _get(state, "encoder.embeddings.patch_embeddings.proj.weight")
    out = {
        # (width, rgb, tubelet, row, column) -> pixels in the order (tubelet, row, column, rgb)
        "patch_embedding.weight": kernel.permute(0, 2, 3, 4, 1).flatten(1),
        "patch_embedding.bias": _get(state, "encoder.embeddings.patch_embeddings.proj.bias"),
    }
    plain = {"norm1": "norm1", "norm2": "norm2", "proj": "attention.proj", "fc1": "mlp.fc1", "fc2": "mlp.fc2"}
    order = half_order(config.head_dim)
    for kind in ("weight", "bias"):
        out[f"norm.{kind}"] = _get(state, f"encoder.layernorm.{kind}")
        for index in range(config.depth):
            layer = f"encoder.layer.{index}"
            for ours, theirs in plain.items():
                out[f"blocks.{index}.{ours}.{kind}"] = _get(state, f"{layer}.{theirs}.{kind}")
            query, key, value = (
                _get(state, f"{layer}.attention.{name}.{kind}") for name in ("query", "key", "value")
            )
            turned = [_reorder_heads(rows, config.heads, order) for rows in (query, key)]
            out[f"blocks.{index}.qkv.{kind}"] = torch.cat((*turned, value))
    return out


def llama_stack_tensors(state: State, config: TextStackConfig, *, first_layer: int = 0) -> dict[str, Tensor]:
    """Translate Llama layers (names as in transformers' LlamaModel) for `TextStack.load_state_dict`.

    Args:
        state: tensors named `layers.{i}...` and `norm.weight`.
        config: the stack they are meant for; its depth says how many layers are taken.
        first_layer: number of the first layer taken (the paper starts at 8 of 16).

    Raises:
        CheckpointError: when a tensor is missing.
    """
    out = {"norm.weight": _get(state, "norm.weight")}
    plain = {
        "norm1": "input_layernorm",
        "norm2": "post_attention_layernorm",
        "proj": "self_attn.o_proj",
        "down": "mlp.down_proj",
    }
    for index in range(config.depth):
        layer = f"layers.{first_layer + index}"
        for ours, theirs in plain.items():
            out[f"blocks.{index}.{ours}.weight"] = _get(state, f"{layer}.{theirs}.weight")
        packed = [_get(state, f"{layer}.self_attn.{name}_proj.weight") for name in ("q", "k", "v")]
        out[f"blocks.{index}.qkv.weight"] = torch.cat(packed)
        gates = [_get(state, f"{layer}.mlp.{name}_proj.weight") for name in ("gate", "up")]
        out[f"blocks.{index}.gate_up.weight"] = torch.cat(gates)
    return out


def _reorder_heads(rows: Tensor, heads: int, order: Tensor) -> Tensor:
    return rows.reshape(heads, len(order), *rows.shape[1:])[:, order].flatten(0, 1)


def _get(state: State, name: str) -> Tensor:
    if name not in state:
        raise CheckpointError(
            f"expected a tensor named {name!r}, got {len(state)} others: is this the right file?"
        )
    return state[name]
