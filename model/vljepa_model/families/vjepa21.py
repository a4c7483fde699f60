"""V-JEPA 2.1 as its authors publish it: one torch file with the encoder under `ema_encoder` or `target_encoder`.

transformers 5.23 has no such model, so the layout was read in the authors' source (facebookresearch/vjepa2:
`app/vjepa_2_1/models/vision_transformer.py`, `.../utils/modules.py`, `src/hub/backbones.py`). It is V-JEPA 2's
encoder but for four things: neighbouring dimensions share a rotary frequency; rows and columns count as the 16 of
the 256-pixel pretraining, whatever the resolution; a learned vector is added to all video patches (here it goes
into the patch embedding's bias); and the last of four norms is the output's.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from vljepa_model.config import XEncoderConfig
from vljepa_model.errors import CheckpointError
from vljepa_model.families.conversion import Converters, WeightConverter, check_tensors
from vljepa_model.families.vjepa2 import pixels_last, turned_halves
from vljepa_model.tensor_files import TensorFiles, open_tensors

__all__ = ["open_vjepa21", "vjepa21_config", "vjepa21_converters"]

ENCODERS = ("ema_encoder", "target_encoder")
WRAPPERS = ("", "module.", "module.backbone.", "backbone.")
HEAD_DIM = 64  # of every published size, from ViT-B to ViT-G
SIZE, ROPE_GRID, NORMS = 384, 16, 4
# Images of one frame have their own patch embedding, and deep supervision three norms that the output does not use.
IGNORED = (r"patch_embed_img\.", r"img_mod_embed$", r"norms_block\.[0-2]\.", r"pos_embed$")


def open_vjepa21(
    file: str | Path, *, frames: int, size: int | None = None
) -> tuple[XEncoderConfig, TensorFiles, Converters]:
    """Open a V-JEPA 2.1 file.

    Args:
        file: As published, `vjepa2_1_*.pt`.
        frames: Frames in a window.
        size: Height and width in pixels; None for 384.

    Raises:
        CheckpointError: it holds no V-JEPA 2.1 encoder.
    """
    whole = open_tensors(file)
    places = [f"{name}.{wrapper}" for name in ENCODERS for wrapper in WRAPPERS] + list(WRAPPERS)
    found = next((place for place in places if f"{place}video_mod_embed" in whole), None)
    if found is None:
        raise CheckpointError(
            f"{file} holds no V-JEPA 2.1 encoder: expected `video_mod_embed` under {' or '.join(ENCODERS)}; "
            "for V-JEPA 2 name the Hugging Face folder"
        )
    files = whole.beneath(found)
    config = vjepa21_config(files, frames=frames, size=size or SIZE)
    converters = vjepa21_converters(config)
    check_tensors(files, converters, what=f"a V-JEPA 2.1 encoder of {config.depth} layers", ignore=IGNORED)
    return config, files, converters


def vjepa21_config(files: TensorFiles, *, frames: int, size: int) -> XEncoderConfig:
    """Our sizes, read off the tensors: the file holds no config.

    Raises:
        CheckpointError: the patch embedding or the first MLP is missing or has odd shapes.
    """
    kernel, mlp = "patch_embed.proj.weight", "blocks.0.mlp.fc1.weight"
    if kernel not in files or mlp not in files or len(files.shape(kernel)) != 5:
        raise CheckpointError(f"{files.where}: expected {kernel} and {mlp} of a video transformer")
    width, _, tubelet, patch, _ = files.shape(kernel)
    depth = 1 + max(int(name.split(".")[1]) for name in files if name.startswith("blocks."))
    return XEncoderConfig(
        width=width,
        depth=depth,
        heads=max(1, width // HEAD_DIM),
        mlp=files.shape(mlp)[0],
        patch=patch,
        tubelet=tubelet,
        size=size,
        frames=frames,
        rope="paired",
        rope_grid=ROPE_GRID,
    )


def vjepa21_converters(config: XEncoderConfig) -> Converters:
    """How `XEncoder`'s tensors are made of V-JEPA 2.1's."""
    width, mlp = config.width, config.mlp
    kernel = (width, 3, config.tubelet, config.patch, config.patch)
    last = f"norms_block.{NORMS - 1}"
    out = {
        "patch_embedding.weight": WeightConverter(
            sources={"patch_embed.proj.weight": kernel}, make=pixels_last
        ),
        "patch_embedding.bias": WeightConverter(
            sources={"patch_embed.proj.bias": (width,), "video_mod_embed": (1, 1, width)},
            make=_summed,
            exact=True,
        ),
        "norm.weight": WeightConverter(sources={f"{last}.weight": (width,)}, exact=True),
        "norm.bias": WeightConverter(sources={f"{last}.bias": (width,)}, exact=True),
    }
    rows = {"attn.proj": (width, width), "mlp.fc1": (mlp, width), "mlp.fc2": (width, mlp)}
    for index in range(config.depth):
        block = f"blocks.{index}"
        for name in ("norm1", "norm2"):
            for kind in ("weight", "bias"):
                key = f"{block}.{name}.{kind}"
                out[key] = WeightConverter(sources={key: (width,)}, exact=True)
        for name, shape in rows.items():
            ours = f"{block}.{name.rsplit('.', 1)[1]}"
            out[f"{ours}.weight"] = WeightConverter(sources={f"{block}.{name}.weight": shape})
            out[f"{ours}.bias"] = WeightConverter(sources={f"{block}.{name}.bias": shape[:1]}, exact=True)
        turn = _Turned(config.heads, config.head_dim)
        out[f"{block}.qkv.weight"] = WeightConverter(
            sources={f"{block}.attn.qkv.weight": (3 * width, width)}, make=turn
        )
        out[f"{block}.qkv.bias"] = WeightConverter(
            sources={f"{block}.attn.qkv.bias": (3 * width,)}, make=turn, exact=True
        )
    return out


def _summed(bias: Tensor, video: Tensor) -> Tensor:
    return bias + video.flatten()


class _Turned:
    """One packed matrix of query, key and value rows, the first two reordered."""

    def __init__(self, heads: int, head_dim: int) -> None:
        self.heads, self.head_dim = heads, head_dim

    def __call__(self, packed: Tensor) -> Tensor:
        query, key, value = packed.chunk(3)
        turned = [turned_halves(rows, self.heads, self.head_dim) for rows in (query, key)]
        return torch.cat((*turned, value))
