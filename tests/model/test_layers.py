"""The text stack against transformers' Llama layers, and attention's slow twin."""

from __future__ import annotations

import pytest
import torch
from transformers import LlamaConfig, LlamaModel

from vljepa_model.config import RopeScaling, TextStackConfig
from vljepa_model.families.layout import stack_converters
from vljepa_model.layers import RMSNorm, TextStack, attend, masked_mean, pad_bias

SCALING = RopeScaling(factor=32.0, low_freq_factor=1.0, high_freq_factor=4.0, original_positions=64)


def make_pair(scaling: RopeScaling | None, first_layer: int = 0) -> tuple[LlamaModel, TextStack]:
    torch.manual_seed(3)
    rope: dict[str, object] = {"rope_type": "default", "rope_theta": 10000.0}
    if scaling is not None:
        rope = {
            "rope_type": "llama3",
            "rope_theta": 10000.0,
            "factor": scaling.factor,
            "low_freq_factor": scaling.low_freq_factor,
            "high_freq_factor": scaling.high_freq_factor,
            "original_max_position_embeddings": scaling.original_positions,
        }
    oracle = LlamaModel(
        LlamaConfig(
            vocab_size=10,
            hidden_size=48,
            intermediate_size=80,
            num_hidden_layers=3,
            num_attention_heads=6,
            num_key_value_heads=2,
            max_position_embeddings=512,
            rms_norm_eps=1e-5,
            rope_parameters=rope,
            initializer_range=0.2,
        )
    ).eval()
    config = TextStackConfig(
        width=48, depth=3 - first_layer, heads=6, kv_heads=2, mlp=80, rope_scaling=scaling
    )
    ours = TextStack(config).eval()
    state = oracle.state_dict()
    ours.load_state_dict(
        {k: c.convert(state) for k, c in stack_converters(config, first=first_layer).items()}
    )
    return oracle, ours


def run_llama(oracle: LlamaModel, x: torch.Tensor, bias: torch.Tensor, first_layer: int = 0) -> torch.Tensor:
    """Call the layers one by one with an additive mask, so that no causal mask is made."""
    tables = oracle.rotary_emb(x, torch.arange(x.shape[1])[None])
    for layer in oracle.layers[first_layer:]:
        x = layer(x, attention_mask=bias, position_embeddings=tables)
    return oracle.norm(x)


@pytest.mark.parametrize("first_layer", [0, 1])
@pytest.mark.parametrize("scaling", [None, SCALING], ids=["plain", "llama3"])
def test_bidirectional_stack_equals_llama(scaling: RopeScaling | None, first_layer: int) -> None:
    oracle, ours = make_pair(scaling, first_layer)
    x = torch.randn(2, 90, 48)
    mask = torch.ones(2, 90)
    mask[1, 70:] = 0
    bias = pad_bias(mask, x.dtype)
    with torch.no_grad():
        expected = run_llama(oracle, x, bias.expand(-1, 1, 90, -1), first_layer)
        got = ours(x, bias=bias)
    torch.testing.assert_close(got, expected, atol=2e-5, rtol=1e-4)


def test_causal_stack_equals_llama() -> None:
    oracle, ours = make_pair(None)
    x = torch.randn(2, 12, 48)
    with torch.no_grad():
        expected = oracle(inputs_embeds=x).last_hidden_state
        torch.testing.assert_close(ours(x, causal=True), expected, atol=2e-5, rtol=1e-4)


def test_stack_in_pieces_equals_the_whole() -> None:
    _, ours = make_pair(None)
    x = torch.randn(2, 9, 48)
    with torch.no_grad():
        whole = ours(x, causal=True)
        parts, caches = [], None
        for i in range(9):
            part, caches = ours.with_cache(x[:, i : i + 1], caches)
            parts.append(part)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("masking", ["none", "causal", "pad"])
def test_training_attention_equals_the_fused_one(masking: str) -> None:
    torch.manual_seed(0)
    query, key, value = (torch.randn(2, 3, 7, 8) for _ in range(3))
    mask = torch.ones(2, 7)
    mask[0, 5:] = 0
    options = {"none": {}, "causal": {"causal": True}, "pad": {"bias": pad_bias(mask, torch.float32)}}[
        masking
    ]
    expected = attend(query, key, value, **options)
    narrow = [x.bfloat16().requires_grad_() for x in (query, key, value)]
    got = attend(*narrow, **options)
    torch.testing.assert_close(got.float(), expected, atol=0.03, rtol=0.03)


def test_rms_norm_equals_torch() -> None:
    ours, theirs = RMSNorm(16, 1e-5), torch.nn.RMSNorm(16, 1e-5)
    torch.nn.init.normal_(ours.weight)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(3, 16)
    torch.testing.assert_close(ours(x), theirs(x))


def test_masked_mean_of_nothing_is_zero() -> None:
    x = torch.ones(2, 3, 4)
    mean = masked_mean(x, torch.tensor([[1, 1, 0], [0, 0, 0]]))
    assert mean.tolist() == [[1.0] * 4, [0.0] * 4]
