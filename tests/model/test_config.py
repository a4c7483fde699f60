"""Configurations: presets, JSON round trip and refusals."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from vljepa_model.config import ModelConfig
from vljepa_model.errors import ConfigError
from vljepa_model.vl_jepa import VLJEPA


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("name", ["tiny", "paper"])
def test_survives_json(name: str) -> None:
    config = ModelConfig.preset(name)
    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_paper_preset_has_the_published_sizes() -> None:
    with torch.device("meta"):
        model = VLJEPA(ModelConfig.preset("paper"))
    # V-JEPA 2 ViT-L and eight layers of Llama-3.2-1B (with one final norm), counted in the published files.
    assert count(model.x_encoder) == 303_885_312
    assert count(model.predictor.stack) == 8 * 60_821_504 + 2048
    assert count(model.predictor.embed) == 262_668_288
    trainable = count(model.predictor) - count(model.predictor.embed)
    assert trainable == pytest.approx(490e6, rel=0.01)
    assert count(model.y_encoder) == pytest.approx(304e6, rel=0.02)
    assert count(model) == pytest.approx(1.6e9, rel=0.02)


def test_tiny_preset_is_small_and_fits_the_default_preprocess() -> None:
    config = ModelConfig.preset("tiny")
    assert config.x_encoder.grid == (4, 8, 8)
    assert config.x_encoder.patch_dim == 864
    assert count(VLJEPA(config)) < 10_000_000


def test_unknown_preset() -> None:
    with pytest.raises(ConfigError, match=r"expected a preset of \['paper', 'tiny'\], got 'huge'"):
        ModelConfig.preset("huge")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("surprise", 1, "^ModelConfig: unknown keys surprise; known: x_encoder, "),
        ("x_encoder.surprise", 1, "^x_encoder: unknown keys surprise; known: width, "),
        ("y_decoder.stack.surprise", 1, r"^y_decoder\.stack: unknown keys surprise; known: width, "),
        ("x_encoder.width", 0, r"^x_encoder\.width: expected a whole number above 0, got 0$"),
        ("x_encoder.width", "192", "width: expected a whole number of at least 0"),
        ("x_encoder.size", 97, "size must be a multiple of patch"),
        ("x_encoder.frames", 7, "frames must be a multiple of tubelet"),
        ("x_encoder.std", [0.2, 0.2, 0.0], r"std\[2\]: expected a finite number above 0, got 0.0"),
        ("predictor", 3, "^predictor: expected an object, got 3"),
        ("predictor.kv_heads", 5, "heads must be a multiple of kv_heads"),
        (
            "predictor.rope_scaling",
            {"factor": 2.0},
            r"^predictor\.rope_scaling: `low_freq_factor` is missing",
        ),
        ("x_encoder.rope", "spiral", "rope: expected tiled or paired, got 'spiral'"),
        ("predictor.activation", "relu", "activation: expected silu or gelu_tanh or gelu, got 'relu'"),
        ("y_encoder.window", 4, r"window and local_blocks go together, got 4 and \(\)"),
        ("pad_id", 1024, "pad_id must lie in the vocabulary"),
        ("temperature", 0.0, "temperature: expected a finite number above 0, got 0.0"),
        ("temperature", "warm", "temperature: expected a finite number"),
        ("temperature", 10**400, "temperature: expected a finite number"),
        ("x_encoder.depth", 10**6, "depth: expected at most 256, got 1000000"),
        ("x_encoder.width", 192.0, "width: expected a whole number of at least 0, got 192.0"),
        ("x_encoder.width", True, "width: expected a whole number of at least 0, got True"),
        ("x_encoder.size", 1200, "at most 32768 tubelets"),
        ("x_encoder.size", 4092, "at most 32768 tubelets"),
        ("x_encoder.mean", 0.5, "mean: expected a list, got 0.5"),
        ("x_encoder.mean", [0.5, float("nan"), 0.5], r"mean\[1\]: expected a finite number, got nan"),
        ("x_encoder.norm_eps", float("inf"), "norm_eps: expected a finite number, got inf"),
        ("x_encoder.rope_grid", -3, "rope_grid: expected a whole number of at least 0, got -3"),
        ("predictor.mlp", 2**40, "mlp: expected at most 1048576"),
        ("predictor.rope_theta", None, "rope_theta: expected a finite number, got None"),
        ("predictor.vocab_size", 2**31, "vocab_size: expected at most 2097152"),
        ("predictor.head_dim", 2.5, "head_dim: expected a whole number of at least 0, got 2.5"),
        ("predictor.local_blocks", 7, "local_blocks: expected a list, got 7"),
        ("predictor.local_blocks", ["0"], r"local_blocks\[0\]: expected a whole number of at least 0"),
        ("predictor", None, "^predictor: expected an object, got None"),
        ("y_dense", [10**9], r"y_dense\[0\]: expected at most 65536"),
        ("y_dense", [8] * 1000, "y_dense: expected at most 256 items, got 1000"),
        ("y_decoder.prefix", 10**9, "prefix: expected at most 4096"),
        ("y_decoder.tied", "yes", "tied: expected true or false"),
        ("embedding_dim", 10**9, "embedding_dim: expected at most 65536"),
        ("bos_id", 1.0, "bos_id: expected a whole number of at least 0, got 1.0"),
    ],
)
def test_refuses(path: str, value: Any, message: str) -> None:
    values = ModelConfig.preset("tiny").to_dict()
    *parents, last = path.split(".")
    part = values
    for parent in parents:
        part = part[parent]
    part[last] = value
    with pytest.raises(ConfigError, match=message):
        ModelConfig.from_dict(values)


def test_windows_and_their_blocks() -> None:
    values = ModelConfig.preset("tiny").to_dict()
    values["y_encoder"] |= {"window": 4, "local_blocks": [0, 1]}
    config = ModelConfig.from_dict(values)
    assert config.y_encoder.local_blocks == (0, 1)
    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    values["y_encoder"]["local_blocks"] = [3]
    with pytest.raises(ConfigError, match=r"local_blocks must lie in 0..2, got \(3,\)"):
        ModelConfig.from_dict(values)


def test_what_families_do_otherwise() -> None:
    values = ModelConfig.preset("tiny").to_dict()
    values["y_decoder"] |= {"tied": False, "output_bias": True, "logit_cap": 30.0}
    values["y_decoder"]["stack"] |= {
        "norm": "layer", "residual": "parallel", "gated": False, "qkv_bias": True, "rotary_dim": 8,
        "unturned_blocks": [2], "score_scale": 0.2, "score_cap": 50.0,
    }  # fmt: skip
    config = ModelConfig.from_dict(values)
    assert config.decoder.stack.score_cap == 50.0
    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rotary_dim": 5}, "rotary_dim must be a multiple of 2, got 5"),
        ({"rotary_dim": 34}, r"rotary_dim must lie in 0..32, got 34"),
        ({"unturned_blocks": [3]}, r"unturned_blocks must lie in 0..2, got \(3,\)"),
        (
            {"unturned_blocks": [0], "local_blocks": [0], "window": 4},
            "a block is local or unturned, not both",
        ),
        ({"residual": "parallel", "sandwich_norms": True}, "sandwich_norms belong to a sequential residual"),
        ({"norm": "batch"}, "norm: expected rms or layer, got 'batch'"),
    ],
)
def test_blocks_that_there_are_not(changes: dict[str, Any], message: str) -> None:
    values = ModelConfig.preset("tiny").to_dict()
    values["predictor"] |= changes
    with pytest.raises(ConfigError, match=message):
        ModelConfig.from_dict(values)


def test_an_output_bias_without_a_matrix() -> None:
    values = ModelConfig.preset("tiny").to_dict()
    values["y_decoder"]["output_bias"] = True
    with pytest.raises(ConfigError, match="output_bias needs an output matrix of its own"):
        ModelConfig.from_dict(values)


def test_a_model_without_a_decoder() -> None:
    values = ModelConfig.preset("tiny").to_dict()
    values["y_decoder"] = None
    config = ModelConfig.from_dict(values)
    assert ModelConfig.from_dict(config.to_dict()) == config
    assert not hasattr(VLJEPA(config), "y_decoder")
    with pytest.raises(ConfigError, match="this model has no Y-decoder"):
        _ = config.decoder


def test_missing_key() -> None:
    values = ModelConfig.preset("tiny").to_dict()
    del values["embedding_dim"]
    with pytest.raises(ConfigError, match="ModelConfig: `embedding_dim` is missing"):
        ModelConfig.from_dict(values)
