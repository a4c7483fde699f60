"""Llama and the families that share its block: Mistral without a window, and Qwen 3 with normalised heads."""

from __future__ import annotations

from vljepa_model.config import TextStackConfig
from vljepa_model.families.published_config import PublishedConfig
from vljepa_model.families.rope import rope_fields

__all__ = ["FAMILIES", "llama_config"]

FAMILIES = ("llama", "mistral", "qwen3")


def llama_config(published: PublishedConfig, *, last: int) -> TextStackConfig:
    """Our sizes of the last layers of a Llama-style config.

    Raises:
        CheckpointError: it asks for something our stack lacks.
    """
    for key in ("attention_bias", "mlp_bias"):
        published.require(key, (False, None), False, "our blocks have no biases")
    published.require("hidden_act", ("silu",), "silu", "Llama's gate is SiLU")
    slides = published.get("use_sliding_window", bool, published.family == "mistral")
    if slides:
        published.require("sliding_window", (None,), None, "Llama-style layers see everything here")
    width, heads = published.get("hidden_size", int), published.get("num_attention_heads", int)
    return TextStackConfig(
        width=width,
        depth=last,
        heads=heads,
        kv_heads=published.get("num_key_value_heads", int, heads),
        mlp=published.get("intermediate_size", int),
        head_dim=published.get("head_dim", int, 128 if published.family == "qwen3" else width // heads),
        norm_eps=published.get("rms_norm_eps", float, 1e-6),
        vocab_size=published.get("vocab_size", int),
        head_norms=published.family == "qwen3",
        **rope_fields(published, published.get("rope_parameters", dict, {}), theta=10000.0),
    )
