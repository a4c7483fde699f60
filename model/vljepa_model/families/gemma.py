"""Gemma and Gemma 3 text, EmbeddingGemma among them: scaled embeddings, centred norms, windows, two rotary bases."""

from __future__ import annotations

import math
from typing import Any

from vljepa_model.config import TextStackConfig
from vljepa_model.errors import CheckpointError
from vljepa_model.families.published_config import PublishedConfig
from vljepa_model.families.rope import rope_fields

__all__ = ["FAMILIES", "gemma_config", "query_factor"]

GEMMA, GEMMA3 = "gemma", "gemma3_text"
FAMILIES = (GEMMA, GEMMA3)


def gemma_config(published: PublishedConfig, *, last: int) -> TextStackConfig:
    """Our sizes of the last layers of a Gemma config.

    Raises:
        CheckpointError: it asks for something our stack lacks.
    """
    published.require("attention_bias", (False, None), False, "our blocks have no biases")
    for key in ("attn_logit_softcapping", "final_logit_softcapping"):
        published.require(key, (None,), None, "scores and logits are not capped here")
    published.require("hidden_activation", (None, "gelu_pytorch_tanh"), None, "Gemma's gate is GELU")
    third = published.family == GEMMA3
    rules = published.get("rope_parameters", dict, {})
    width = published.get("hidden_size", int)
    return TextStackConfig(
        width=width,
        depth=last,
        heads=published.get("num_attention_heads", int),
        kv_heads=published.get("num_key_value_heads", int),
        mlp=published.get("intermediate_size", int),
        head_dim=published.get("head_dim", int, 256),
        norm_eps=published.get("rms_norm_eps", float, 1e-6),
        vocab_size=published.get("vocab_size", int),
        embedding_scale=math.sqrt(width),
        activation="gelu_tanh",
        head_norms=third,
        sandwich_norms=third,
        **rope_fields(
            published,
            (rules.get("full_attention") or {}) if third else rules,
            theta=1e6 if third else 10000.0,
        ),
        **(_local_fields(published, rules, last) if third else {}),
    )


def query_factor(published: PublishedConfig) -> float:
    """What Gemma 3 multiplies attention scores with, beyond the usual head_dim ** -0.5."""
    if published.family != GEMMA3:
        return 1.0
    return math.sqrt(
        published.get("head_dim", int, 256) / published.get("query_pre_attn_scalar", float, 256.0)
    )


def _local_fields(published: PublishedConfig, rules: dict[str, Any], last: int) -> dict[str, Any]:
    """Which of the last blocks see only their neighbourhood, how far, and their rotary base."""
    layers = published.get("num_hidden_layers", int)
    pattern = published.get("_sliding_window_pattern", int, published.get("sliding_window_pattern", int, 6))
    usual = ["sliding_attention" if (i + 1) % pattern else "full_attention" for i in range(layers)]
    kinds = published.get("layer_types", list, usual)
    if len(kinds) != layers or not set(kinds) <= {"full_attention", "sliding_attention"}:
        raise CheckpointError(
            f"{published.where}: expected {layers} layer_types, full_attention or sliding_attention, got {kinds}"
        )
    local = tuple(i for i, kind in enumerate(kinds[layers - last :]) if kind == "sliding_attention")
    if not local:
        return {}
    window = published.get("sliding_window", int, 4096)
    # transformers halves the window of a bidirectional model: so far to each side, and the token itself
    both = published.get("use_bidirectional_attention", bool, False)
    near = rules.get("sliding_attention") or {}
    base = near.get("rope_theta", published.get("rope_local_base_freq", float, 10000.0))
    return {
        "window": window // 2 + 1 if both else window,
        "local_blocks": local,
        "local_rope_theta": float(base),
    }
