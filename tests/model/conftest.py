"""Small seeded models and inputs that the tests of the model package share."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import vljepa_model
from vljepa_model.checkpoint import save_checkpoint
from vljepa_model.config import ModelConfig, TextStackConfig, XEncoderConfig, YDecoderConfig
from vljepa_model.vl_jepa import VLJEPA


@pytest.fixture
def config() -> ModelConfig:
    """A model of a few thousand weights, with every size different."""
    return ModelConfig(
        x_encoder=XEncoderConfig(width=32, depth=2, heads=2, mlp=48, patch=4, size=16, frames=4),
        predictor=TextStackConfig(width=24, depth=2, heads=4, kv_heads=2, head_dim=8, mlp=40),
        y_encoder=TextStackConfig(width=20, depth=1, heads=2, kv_heads=2, mlp=28),
        y_decoder=YDecoderConfig(
            stack=TextStackConfig(width=16, depth=2, heads=4, kv_heads=2, mlp=36), prefix=3
        ),
        embedding_dim=12,
        vocab_size=50,
    )


@pytest.fixture
def model(config: ModelConfig) -> VLJEPA:
    """The model of `config`, seeded, with weights large enough for differences to show."""
    torch.manual_seed(0)
    model = VLJEPA(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(8)
    return model


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a few ten thousand untrained weights with the shipped tokenizer."""
    stack = TextStackConfig(width=24, depth=2, heads=4, kv_heads=2, head_dim=8, mlp=40)
    config = ModelConfig(
        x_encoder=XEncoderConfig(width=32, depth=2, heads=2, mlp=48, patch=8, size=32, frames=4),
        predictor=stack,
        y_encoder=stack,
        y_decoder=YDecoderConfig(stack=stack, prefix=2),
        embedding_dim=16,
        vocab_size=1024,
    )
    shipped = Path(vljepa_model.__file__).parent / "checkpoints" / "tiny"
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("small")
    return save_checkpoint(VLJEPA(config), folder, tokenizer_file=shipped / "tokenizer.json", dtype="fp32")
