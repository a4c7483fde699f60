"""V-JEPA 2.1 against a plain twin written from the authors' description: no other implementation is installed."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from vljepa_model.errors import CheckpointError
from vljepa_model.families.vision import crop_offset, open_vision
from vljepa_model.x_encoder import XEncoder
from vljepa_runtime.preprocessing.patches import fit_frames, patchify
from vljepa_runtime.preprocessing.preprocess import Preprocess

WIDTH, HEADS, DEPTH, PATCH = 128, 2, 2, 4


def random_state(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes: dict[str, tuple[int, ...]] = {
        "patch_embed.proj.weight": (WIDTH, 3, 2, PATCH, PATCH),
        "patch_embed.proj.bias": (WIDTH,),
        "patch_embed_img.proj.weight": (WIDTH, 3, 1, PATCH, PATCH),
        "patch_embed_img.proj.bias": (WIDTH,),
        "video_mod_embed": (1, 1, WIDTH),
        "img_mod_embed": (1, 1, WIDTH),
    }
    for i in range(4):
        shapes |= {f"norms_block.{i}.{kind}": (WIDTH,) for kind in ("weight", "bias")}
    for i in range(DEPTH):
        matrices = {"attn.qkv": 3 * WIDTH, "attn.proj": WIDTH, "mlp.fc1": 4 * WIDTH, "mlp.fc2": WIDTH}
        for name, rows in matrices.items():
            shapes[f"blocks.{i}.{name}.weight"] = (rows, 4 * WIDTH if name == "mlp.fc2" else WIDTH)
            shapes[f"blocks.{i}.{name}.bias"] = (rows,)
        for name in ("norm1", "norm2"):
            shapes |= {f"blocks.{i}.{name}.{kind}": (WIDTH,) for kind in ("weight", "bias")}
    return {name: torch.randn(shape, generator=generator) * 0.15 for name, shape in shapes.items()}


def write(path: Path, state: dict[str, torch.Tensor], key: str = "ema_encoder") -> None:
    wrapped = {f"module.backbone.{name}": tensor for name, tensor in state.items()}
    torch.save({key: wrapped, "predictor": {"x": torch.zeros(1)}, "epoch": 1}, path)


def turned(x: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
    """Each neighbouring pair of a part's dimensions turned by its own frequency, as complex numbers."""
    half = x.shape[-1] // 2
    angle = position[:, None] / 10000 ** (torch.arange(half) / half)
    pairs = torch.view_as_complex(x.unflatten(-1, (half, 2)).contiguous())
    return torch.view_as_real(pairs * torch.polar(torch.ones_like(angle), angle)).flatten(-2)


def twin(state: dict[str, torch.Tensor], video: torch.Tensor) -> torch.Tensor:
    """video: (3, T, S, S) normalised -> (N, WIDTH)."""

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        return F.layer_norm(x, (WIDTH,), state[f"{name}.weight"], state[f"{name}.bias"], 1e-6)

    def linear(x: torch.Tensor, name: str) -> torch.Tensor:
        return F.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])

    kernel, bias = state["patch_embed.proj.weight"], state["patch_embed.proj.bias"]
    grid = F.conv3d(video[None], kernel, bias, stride=kernel.shape[2:])[0]
    _, frames, rows, columns = grid.shape
    x = grid.flatten(1).T + state["video_mod_embed"][0]
    places = torch.cartesian_prod(torch.arange(frames), torch.arange(rows), torch.arange(columns)).float()
    axes = [places[:, 0], places[:, 1] * 15 / (rows - 1), places[:, 2] * 15 / (columns - 1)]
    for i in range(DEPTH):
        packed = linear(norm(x, f"blocks.{i}.norm1"), f"blocks.{i}.attn.qkv")
        query, key, value = packed.unflatten(-1, (3, HEADS, 64)).permute(1, 2, 0, 3)
        query, key = (
            torch.cat([*(turned(h[..., 20 * a : 20 * a + 20], axes[a]) for a in range(3)), h[..., 60:]], -1)
            for h in (query, key)
        )
        scores = torch.softmax(query @ key.transpose(1, 2) / math.sqrt(64), dim=-1)
        x = x + linear((scores @ value).transpose(0, 1).flatten(1), f"blocks.{i}.attn.proj")
        hidden = F.gelu(linear(norm(x, f"blocks.{i}.norm2"), f"blocks.{i}.mlp.fc1"))
        x = x + linear(hidden, f"blocks.{i}.mlp.fc2")
    return norm(x, "norms_block.3")


@pytest.mark.parametrize("size", [16, 24], ids=["grid-4", "grid-6"])
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_its_twin(size: int, seed: int, tmp_path: Path) -> None:
    state = random_state(seed)
    write(tmp_path / "vjepa2_1.pt", state)
    config, files, converters = open_vision(tmp_path / "vjepa2_1.pt", frames=4, size=size)
    assert (config.width, config.depth, config.heads, config.rope) == (WIDTH, DEPTH, HEADS, "paired")
    assert crop_offset(tmp_path / "vjepa2_1.pt") == "nearest"  # as the authors' own transforms
    ours = XEncoder(config).eval()
    ours.load_state_dict({name: c.convert(files).float() for name, c in converters.items()})
    pre = Preprocess(frames=4, size=size, patch=PATCH)
    raw = np.random.default_rng(seed).integers(0, 256, (4, size, size, 3), dtype=np.uint8)
    patches, positions = map(torch.from_numpy, patchify(fit_frames(raw, pre)))
    video = (torch.from_numpy(raw).float() / 255 - torch.tensor(pre.mean)) / torch.tensor(pre.std)
    with torch.no_grad():
        got, expected = ours(patches[None], positions[None])[0], twin(state, video.permute(3, 0, 1, 2))
    assert torch.cosine_similarity(got.double(), expected.double(), dim=-1).min().item() >= 0.99999


def test_other_files_are_refused(tmp_path: Path) -> None:
    state = random_state(0)
    write(tmp_path / "other.pt", {"w": torch.zeros(1)})
    with pytest.raises(CheckpointError, match=r"holds no V-JEPA 2\.1 encoder"):
        open_vision(tmp_path / "other.pt", frames=4)
    del state["blocks.1.mlp.fc2.bias"]
    write(tmp_path / "damaged.pt", state, key="target_encoder")
    with pytest.raises(CheckpointError, match=r"1 tensors missing, first blocks.1.mlp.fc2.bias"):
        open_vision(tmp_path / "damaged.pt", frames=4)
