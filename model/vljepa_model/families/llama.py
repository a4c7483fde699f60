"""Llama and the families that share its block: Mistral without a window, and Qwen 3 with normalised heads."""

from __future__ import annotations

from vljepa_model.config import TextStackConfig
from vljepa_model.families.rope import rope_fields
from vljepa_model.families.settings import Settings

__all__ = ["FAMILIES", "llama_config"]

FAMILIES = ("llama", "mistral", "qwen3")


def llama_config(settings: Settings, *, last: int) -> TextStackConfig:
    """Our sizes of the last layers of a Llama-style config.

    Raises:
        CheckpointError: it asks for something our stack lacks.
    """
    for key in ("attention_bias", "mlp_bias"):
        settings.require(key, (False, None), False, "our blocks have no biases")
    settings.require("hidden_act", ("silu",), "silu", "Llama's gate is SiLU")
    slides = settings.get("use_sliding_window", bool, settings.family == "mistral")
    if slides:
        settings.require("sliding_window", (None,), None, "Llama-style layers see everything here")
    width, heads = settings.get("hidden_size", int), settings.get("num_attention_heads", int)
    return TextStackConfig(
        width=width,
        depth=last,
        heads=heads,
        kv_heads=settings.get("num_key_value_heads", int, heads),
        mlp=settings.get("intermediate_size", int),
        head_dim=settings.get("head_dim", int, 128 if settings.family == "qwen3" else width // heads),
        norm_eps=settings.get("rms_norm_eps", float, 1e-6),
        vocab_size=settings.get("vocab_size", int),
        head_norms=settings.family == "qwen3",
        **rope_fields(settings, settings.get("rope_parameters", dict, {}), theta=10000.0),
    )
