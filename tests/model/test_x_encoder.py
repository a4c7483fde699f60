"""The X-encoder against transformers' V-JEPA 2, with all tokens and with some left out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import VJEPA2Config, VJEPA2Model

from vljepa_model.config import ModelConfig, XEncoderConfig
from vljepa_model.families.vjepa2 import vjepa2_converters
from vljepa_model.vl_jepa import VLJEPA
from vljepa_model.x_encoder import XEncoder
from vljepa_runtime.preprocessing.patches import fit_frames, patchify
from vljepa_runtime.preprocessing.preprocess import Preprocess

# width, heads, depth, patch, size; head_dim 24 (8 dimensions an axis, none left), 16 (4 and 4), 64 (20 and 4)
SHAPES = [(48, 2, 3, 4, 16), (64, 4, 2, 8, 32), (128, 2, 2, 4, 12)]


def make_pair(
    width: int, heads: int, depth: int, patch: int, size: int, frames: int
) -> tuple[VJEPA2Model, XEncoder]:
    torch.manual_seed(width + frames)
    oracle = VJEPA2Model(
        VJEPA2Config(
            patch_size=patch,
            crop_size=size,
            frames_per_clip=frames,
            hidden_size=width,
            num_attention_heads=heads,
            num_hidden_layers=depth,
            pred_hidden_size=12,
            pred_num_attention_heads=2,
            pred_num_hidden_layers=1,
            initializer_range=0.15,  # attention far from uniform, so that a wrong rotation shows
        )
    ).eval()
    config = XEncoderConfig(
        width=width, depth=depth, heads=heads, mlp=4 * width, patch=patch, size=size, frames=frames
    )
    ours = XEncoder(config).eval()
    state = oracle.state_dict()
    ours.load_state_dict(
        {name: converter.convert(state) for name, converter in vjepa2_converters(config).items()}
    )
    return oracle, ours


def make_clip(oracle: VJEPA2Model, frames: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Normalised video (2, T, 3, S, S) for the oracle; raw patches and positions for ours."""
    size, patch = oracle.config.crop_size, oracle.config.patch_size
    pre = Preprocess(frames=frames, size=size, patch=patch)
    rng = np.random.default_rng(frames)
    raw = rng.integers(0, 256, (2, frames, size, size, 3), dtype=np.uint8)
    cut = [patchify(fit_frames(video, pre)) for video in raw]
    video = (torch.from_numpy(raw).float() / 255 - torch.tensor(pre.mean)) / torch.tensor(pre.std)
    patches = torch.from_numpy(np.stack([patches for patches, _ in cut]))
    positions = torch.from_numpy(np.stack([positions for _, positions in cut]))
    return video.permute(0, 1, 4, 2, 3), patches, positions


def worst_cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    return torch.cosine_similarity(a.double(), b.double(), dim=-1).min().item()


@pytest.mark.parametrize("frames", [2, 6, 8])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_vjepa2(shape: tuple[int, int, int, int, int], frames: int) -> None:
    oracle, ours = make_pair(*shape, frames=frames)
    video, patches, positions = make_clip(oracle, frames)
    with torch.no_grad():
        expected = oracle.get_vision_features(video)
        got = ours(patches, positions)
    assert worst_cosine(got, expected) >= 0.99999
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_left_out_tokens_equal_vjepa2_with_a_position_mask(shape: tuple[int, int, int, int, int]) -> None:
    oracle, ours = make_pair(*shape, frames=8)
    video, patches, positions = make_clip(oracle, 8)
    count = patches.shape[1]
    generator = torch.Generator().manual_seed(1)
    picks = [torch.randperm(count, generator=generator)[: count // 3].sort().values for _ in range(2)]
    kept = torch.stack(picks)  # each clip keeps others
    rows = torch.arange(2)[:, None]
    with torch.no_grad():
        hidden = oracle.encoder.embeddings(video)[rows, kept]
        for layer in oracle.encoder.layer:
            hidden = layer(hidden, kept)[0]
        expected = oracle.encoder.layernorm(hidden)
        got = ours(patches[rows, kept], positions[rows, kept])
        dense = ours(patches, positions)[rows, kept]
    assert worst_cosine(got, expected) >= 0.99999
    assert worst_cosine(got, dense) < 0.9999  # the comparison could have failed


def test_order_of_tokens_does_not_matter(model: VLJEPA, config: ModelConfig) -> None:
    patches, positions = random_tokens(config)
    order = torch.randperm(patches.shape[1])
    whole = model.x_encoder(patches, positions)
    shuffled = model.x_encoder(patches[:, order], positions[:, order])
    torch.testing.assert_close(shuffled, whole[:, order], atol=1e-5, rtol=1e-5)


def test_folded_embedding_equals_normalising_first(model: VLJEPA, config: ModelConfig) -> None:
    patches, _ = random_tokens(config)
    sizes = config.x_encoder
    pixels = patches.double().unflatten(-1, (-1, 3)) / 255
    normal = ((pixels - torch.tensor(sizes.mean)) / torch.tensor(sizes.std)).flatten(-2)
    plain = model.x_encoder.patch_embedding.double()
    expected = plain(normal)
    weight, bias = model.x_encoder.float().folded_patch_embedding()
    torch.testing.assert_close((patches.float() @ weight.T + bias).double(), expected, atol=1e-3, rtol=1e-4)


def test_float_patches_are_raw_pixels_too(model: VLJEPA, config: ModelConfig) -> None:
    patches, positions = random_tokens(config)
    torch.testing.assert_close(
        model.x_encoder(patches.float(), positions), model.x_encoder(patches, positions[:1]), atol=0, rtol=0
    )


def random_tokens(config: ModelConfig) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    t, h, w = config.x_encoder.grid
    positions = torch.cartesian_prod(torch.arange(t), torch.arange(h), torch.arange(w)).int()
    patches = torch.randint(0, 256, (2, len(positions), config.x_encoder.patch_dim), dtype=torch.uint8)
    return patches, positions.expand(2, -1, -1)
