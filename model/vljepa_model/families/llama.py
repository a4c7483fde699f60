"""Llama and the families that share its block: Mistral, Qwen 2 and 3, SmolLM 3, and Phi-3 with packed matrices."""

from __future__ import annotations

from typing import Any

from vljepa_model.config import TextStackConfig
from vljepa_model.errors import CheckpointError
from vljepa_model.families.layout import LLAMA, Layout
from vljepa_model.families.published_config import PublishedConfig
from vljepa_model.families.rope import rope_fields
from vljepa_model.families.windows import FULL, SLIDING, window_fields

__all__ = ["FAMILIES", "llama_config"]

MISTRAL, QWEN2, QWEN3, SMOLLM3, PHI3 = "mistral", "qwen2", "qwen3", "smollm3", "phi3"
PACKED = Layout(qkv=("self_attn.qkv_proj",), up=("mlp.gate_up_proj",))
FAMILIES = {"llama": LLAMA, MISTRAL: LLAMA, QWEN2: LLAMA, QWEN3: LLAMA, SMOLLM3: LLAMA, PHI3: PACKED}
BASES = {SMOLLM3: 2000000.0}
ALWAYS_SLIDE = (MISTRAL, PHI3)  # wherever they name a window


def llama_config(published: PublishedConfig, *, last: int) -> TextStackConfig:
    """Our sizes of the last layers of a Llama-style config.

    Raises:
        CheckpointError: it asks for something our stack lacks.
    """
    published.require("hidden_act", ("silu",), "silu", "the gate of Llama-style blocks is SiLU")
    width, heads = published.get("hidden_size", int), published.get("num_attention_heads", int)
    head_dim = published.get("head_dim", int, 128 if published.family == QWEN3 else width // heads)
    biased = published.get("attention_bias", bool, False)
    rope = rope_fields(
        published,
        published.get("rope_parameters", dict, {}),
        theta=BASES.get(published.family, 10000.0),
        head_dim=head_dim,
    )
    return TextStackConfig(
        width=width,
        depth=last,
        heads=heads,
        kv_heads=published.get("num_key_value_heads", int, heads),
        mlp=published.get("intermediate_size", int),
        head_dim=head_dim,
        norm_eps=published.get("rms_norm_eps", float, 1e-5 if published.family == PHI3 else 1e-6),
        vocab_size=published.get("vocab_size", int),
        qkv_bias=biased or published.family == QWEN2,
        proj_bias=biased,
        mlp_bias=published.get("mlp_bias", bool, False),
        head_norms=published.family == QWEN3,
        unturned_blocks=_unturned(published, last),
        **rope,
        **_local_fields(published, last, rope),
    )


def _unturned(published: PublishedConfig, last: int) -> tuple[int, ...]:
    """SmolLM 3 turns no heads in every fourth layer; its list has a 0 there."""
    if published.family != SMOLLM3:
        return ()
    layers, every = published.get("num_hidden_layers", int), published.get("no_rope_layer_interval", int, 4)
    turned = published.get("no_rope_layers", list, [int((i + 1) % every != 0) for i in range(layers)])
    if len(turned) != layers or not set(turned) <= {0, 1}:
        raise CheckpointError(f"{published.where}: expected {layers} no_rope_layers of 0 or 1, got {turned}")
    return tuple(i for i, on in enumerate(turned[layers - last :]) if not on)


def _local_fields(published: PublishedConfig, last: int, rope: dict[str, Any]) -> dict[str, Any]:
    slides = published.get("use_sliding_window", bool, published.family in ALWAYS_SLIDE)
    window, layers = published.get("sliding_window", int, 0), published.get("num_hidden_layers", int)
    if not slides or not window:
        return {}
    if published.family == SMOLLM3:
        raise CheckpointError(
            f"{published.where}: use_sliding_window = True is not supported: SmolLM 3 would slide where heads "
            "know no position"
        )
    first = 0 if published.family in ALWAYS_SLIDE else published.get("max_window_layers", int, 28)
    if rope.keys() & {"rope_scaling", "rope_stretch"}:
        raise CheckpointError(
            f"{published.where}: a window together with scaled rotary positions is not supported"
        )
    usual = [SLIDING if i >= first else FULL for i in range(layers)]
    return window_fields(published, usual, last=last, window=window, theta=rope["rope_theta"])
