"""Gemma, Gemma 2 and Gemma 3 text, EmbeddingGemma among them: scaled embeddings, centred norms, windows, bounds."""

from __future__ import annotations

import math
from typing import Any

from vljepa_model.config import TextStackConfig
from vljepa_model.families.layout import Layout
from vljepa_model.families.published_config import PublishedConfig
from vljepa_model.families.rope import rope_fields
from vljepa_model.families.windows import FULL, SLIDING, window_fields

__all__ = ["FAMILIES", "gemma_config", "logit_cap"]

GEMMA, GEMMA2, GEMMA3 = "gemma", "gemma2", "gemma3_text"
PLAIN = Layout(centred=True)
SANDWICHED = Layout(
    centred=True,
    norms={
        "norm1": "input_layernorm",
        "after1": "post_attention_layernorm",
        "norm2": "pre_feedforward_layernorm",
        "after2": "post_feedforward_layernorm",
    },
)
FAMILIES = {GEMMA: PLAIN, GEMMA2: SANDWICHED, GEMMA3: SANDWICHED}
PATTERNS = {GEMMA2: 2, GEMMA3: 6}  # every so many layers one sees everything


def gemma_config(published: PublishedConfig, *, last: int) -> TextStackConfig:
    """Our sizes of the last layers of a Gemma config.

    Raises:
        CheckpointError: it asks for something our stack lacks.
    """
    published.require("hidden_activation", (None, "gelu_pytorch_tanh"), None, "Gemma's gate is GELU")
    third, first = published.family == GEMMA3, published.family == GEMMA
    if not third:
        published.require(
            "use_bidirectional_attention", (False, None), None, "Gemma and Gemma 2 look back alone"
        )
    rules = published.get("rope_parameters", dict, {})
    width, head_dim = published.get("hidden_size", int), published.get("head_dim", int, 256)
    scalar = published.get("query_pre_attn_scalar", float, 256.0)
    biased = published.get("attention_bias", bool, False)
    return TextStackConfig(
        width=width,
        depth=last,
        heads=published.get("num_attention_heads", int),
        kv_heads=published.get("num_key_value_heads", int),
        mlp=published.get("intermediate_size", int),
        head_dim=head_dim,
        norm_eps=published.get("rms_norm_eps", float, 1e-6),
        vocab_size=published.get("vocab_size", int),
        embedding_scale=math.sqrt(width),
        activation="gelu_tanh",
        qkv_bias=biased,
        proj_bias=biased,
        head_norms=third,
        sandwich_norms=not first,
        score_scale=None if first or scalar == head_dim else scalar**-0.5,
        score_cap=_bound(published, "attn_logit_softcapping", 50.0),
        **rope_fields(
            published,
            (rules.get(FULL) or {}) if third else rules,
            theta=1e6 if third else 10000.0,
        ),
        **({} if first else _local_fields(published, rules, last)),
    )


def logit_cap(published: PublishedConfig) -> float | None:
    """What a Gemma's logits are bent to lie within."""
    return _bound(published, "final_logit_softcapping", 30.0)


def _bound(published: PublishedConfig, key: str, usual: float) -> float | None:
    """A bound that is given; Gemma 2's own where its config is silent, and none where it says so."""
    if published.family == GEMMA2 and key not in published.values:
        return usual
    return None if published.values.get(key) is None else published.get(key, float)


def _local_fields(published: PublishedConfig, rules: dict[str, Any], last: int) -> dict[str, Any]:
    pattern = published.get("sliding_window_pattern", int, PATTERNS[published.family])
    pattern = published.get("_sliding_window_pattern", int, pattern)
    layers = published.get("num_hidden_layers", int)
    usual = [SLIDING if (i + 1) % pattern else FULL for i in range(layers)]
    window = published.get("sliding_window", int, 4096)
    # transformers halves the window of a bidirectional model: so far to each side, and the token itself
    both = published.get("use_bidirectional_attention", bool, False)
    near = (rules.get(SLIDING) or {}) if published.family == GEMMA3 else rules
    base = near.get("rope_theta", published.get("rope_local_base_freq", float, 10000.0))
    return window_fields(
        published, usual, last=last, window=window // 2 + 1 if both else window, theta=float(base)
    )
