"""Families with LayerNorm, biases and an MLP without a gate: Phi, GPT-NeoX (Pythia) and StarCoder 2."""

from __future__ import annotations

from collections.abc import Mapping

from vljepa_model.config import TextStackConfig
from vljepa_model.families.layout import Layout
from vljepa_model.families.published_config import PublishedConfig
from vljepa_model.families.rope import rope_fields
from vljepa_model.families.windows import SLIDING, window_fields

__all__ = ["FAMILIES", "phi_config"]

PHI, NEOX, STARCODER2 = "phi", "gpt_neox", "starcoder2"
FAMILIES = {
    PHI: Layout(
        norm="final_layernorm",
        norms={"norm1": "input_layernorm"},
        proj="self_attn.dense",
        up=("mlp.fc1",),
        down="mlp.fc2",
    ),
    NEOX: Layout(
        table="embed_in",
        norm="final_layer_norm",
        output="embed_out",
        qkv=("attention.query_key_value",),
        interleaved=True,
        proj="attention.dense",
        up=("mlp.dense_h_to_4h",),
        down="mlp.dense_4h_to_h",
        ignored=(r"layers\.\d+\.attention\.(bias|masked_bias)$",),
    ),
    STARCODER2: Layout(up=("mlp.c_fc",), down="mlp.c_proj"),
}
ACTIVATIONS: Mapping[str, str] = {"gelu": "gelu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh"}
USUAL = {PHI: "gelu_new", NEOX: "gelu", STARCODER2: "gelu_pytorch_tanh"}
TURNED = {PHI: 0.5, NEOX: 0.25}  # of a head, where the config is silent


def phi_config(published: PublishedConfig, *, last: int) -> TextStackConfig:
    """Our sizes of the last layers of a Phi-style config.

    Raises:
        CheckpointError: it asks for something our stack lacks.
    """
    family = published.family
    published.require("qk_layernorm", (False, None), False, "heads are normalised by their mean square here")
    activation = published.get("hidden_act", str, USUAL[family])
    published.require("hidden_act", tuple(ACTIVATIONS), activation, "the MLP has GELU")
    width, heads = published.get("hidden_size", int), published.get("num_attention_heads", int)
    head_dim = published.get("head_dim", int, width // heads)
    rope = rope_fields(
        published,
        published.get("rope_parameters", dict, {}),
        theta=published.get("rotary_emb_base", float, 10000.0),
        head_dim=head_dim,
        turned=published.get("rotary_pct", float, TURNED.get(family, 1.0)),
    )
    biased = published.get("use_bias", bool, True)
    window = published.get("sliding_window", int, 0) if family == STARCODER2 else 0
    usual = [SLIDING] * published.get("num_hidden_layers", int)
    return TextStackConfig(
        width=width,
        depth=last,
        heads=heads,
        kv_heads=heads if family == NEOX else published.get("num_key_value_heads", int, heads),
        mlp=published.get("intermediate_size", int),
        head_dim=head_dim,
        norm="layer",
        norm_eps=published.get("layer_norm_eps", float, published.get("norm_epsilon", float, 1e-5)),
        vocab_size=published.get("vocab_size", int),
        activation=ACTIVATIONS[activation],
        gated=False,
        qkv_bias=published.get("attention_bias", bool, biased),
        proj_bias=published.get("attention_bias", bool, biased),
        mlp_bias=biased,
        residual=_residual(published),
        **rope,
        **(
            window_fields(published, usual, last=last, window=window, theta=rope["rope_theta"])
            if window
            else {}
        ),
    )


def _residual(published: PublishedConfig) -> str:
    if published.family == PHI:
        return "parallel_one_norm"
    parallel = published.family == NEOX and published.get("use_parallel_residual", bool, True)
    return "parallel" if parallel else "sequential"
