"""V-JEPA 2 as Hugging Face folders hold it (`VJEPA2Model`, and its video classifiers, whose heads are left)."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from vljepa_model.config import XEncoderConfig
from vljepa_model.families.conversion import Converters, WeightConverter, check_tensors, first_prefix
from vljepa_model.families.published_config import PublishedConfig
from vljepa_model.rotary import half_order
from vljepa_model.tensor_files import TensorFiles, open_tensors

__all__ = ["open_vjepa2", "pixels_last", "turned_halves", "vjepa2_config", "vjepa2_converters"]

IGNORED = (r"predictor\.", r"pooler\.", r"classifier\.")


def open_vjepa2(
    folder: str | Path, *, frames: int, size: int | None = None
) -> tuple[XEncoderConfig, TensorFiles, Converters]:
    """Open a V-JEPA 2 folder.

    Args:
        folder: With config.json and weights.
        frames: Frames in a window; any even number, V-JEPA 2 has no learned positions.
        size: Height and width in pixels; None for the folder's `crop_size`.

    Returns:
        Our sizes, the checked tensors, and how they become ours.

    Raises:
        CheckpointError: it is not a V-JEPA 2 folder, or its tensors are not those of its config.
    """
    published = PublishedConfig.read(folder)
    config = vjepa2_config(published, frames=frames, size=size)
    what = f"a V-JEPA 2 encoder of {config.depth} layers"
    start = "encoder.embeddings.patch_embeddings.proj.weight"
    files = first_prefix(open_tensors(folder), ("", "vjepa2."), start, what=what)
    converters = vjepa2_converters(config, biases=published.get("qkv_bias", bool, True))
    check_tensors(files, converters, what=what, ignore=IGNORED)
    return config, files, converters


def vjepa2_config(published: PublishedConfig, *, frames: int, size: int | None = None) -> XEncoderConfig:
    """Our sizes of a `VJEPA2Config`; what it leaves out has transformers' defaults.

    Raises:
        CheckpointError: it is of another family, or asks for something our encoder lacks.
    """
    published.require_family(("vjepa2",), "V-JEPA 2")
    published.require("in_chans", (3,), 3, "frames are RGB")
    published.require("hidden_act", ("gelu",), "gelu", "V-JEPA 2 has GELU")
    width = published.get("hidden_size", int, 1024)
    return XEncoderConfig(
        width=width,
        depth=published.get("num_hidden_layers", int, 24),
        heads=published.get("num_attention_heads", int, 16),
        mlp=int(width * published.get("mlp_ratio", float, 4.0)),
        patch=published.get("patch_size", int, 16),
        tubelet=published.get("tubelet_size", int, 2),
        size=size or published.get("crop_size", int, 256),
        frames=frames,
        norm_eps=published.get("layer_norm_eps", float, 1e-6),
    )


def vjepa2_converters(config: XEncoderConfig, *, biases: bool = True) -> Converters:
    """How `XEncoder`'s tensors are made of V-JEPA 2's encoder (names as in transformers)."""
    width, mlp = config.width, config.mlp
    kernel = (width, 3, config.tubelet, config.patch, config.patch)
    embedding = "encoder.embeddings.patch_embeddings.proj"
    out = {
        "patch_embedding.weight": WeightConverter(sources={f"{embedding}.weight": kernel}, make=pixels_last),
        "patch_embedding.bias": WeightConverter(sources={f"{embedding}.bias": (width,)}, exact=True),
        "norm.weight": WeightConverter(sources={"encoder.layernorm.weight": (width,)}, exact=True),
        "norm.bias": WeightConverter(sources={"encoder.layernorm.bias": (width,)}, exact=True),
    }
    rows = {"norm1": 0, "norm2": 0, "attention.proj": width, "mlp.fc1": width, "mlp.fc2": mlp}
    ours = {"attention.proj": "proj", "mlp.fc1": "fc1", "mlp.fc2": "fc2"}
    for index in range(config.depth):
        layer, block = f"encoder.layer.{index}", f"blocks.{index}"
        for theirs, columns in rows.items():
            name = ours.get(theirs, theirs)
            height = mlp if name == "fc1" else width
            shape = (height, columns) if columns else (height,)
            out[f"{block}.{name}.weight"] = WeightConverter(
                sources={f"{layer}.{theirs}.weight": shape}, exact=not columns
            )
            out[f"{block}.{name}.bias"] = WeightConverter(
                sources={f"{layer}.{theirs}.bias": (height,)}, exact=True
            )
        for kind, shape in (("weight", (width, width)), ("bias", (width,))):
            names = [f"{layer}.attention.{part}.{kind}" for part in ("query", "key", "value")]
            sources = dict.fromkeys(names, shape) if biases or kind == "weight" else {}
            out[f"{block}.qkv.{kind}"] = WeightConverter(
                sources=sources, make=_Packed(config.heads, config.head_dim), exact=kind == "bias"
            )
    return out


def pixels_last(kernel: Tensor) -> Tensor:
    """(width, rgb, tubelet, row, column) -> (width, pixels in the order (tubelet, row, column, rgb))."""
    return kernel.permute(0, 2, 3, 4, 1).flatten(1)


def turned_halves(rows: Tensor, heads: int, head_dim: int) -> Tensor:
    """Rows of a query or key matrix in the order that `rotary.rotate` wants."""
    return rows.reshape(heads, head_dim, *rows.shape[1:])[:, half_order(head_dim)].flatten(0, 1)


class _Packed:
    """Query, key and value rows as one matrix; zeros where a model has no biases."""

    def __init__(self, heads: int, head_dim: int) -> None:
        self.heads, self.head_dim = heads, head_dim

    def __call__(self, *parts: Tensor) -> Tensor:
        if not parts:
            return torch.zeros(3 * self.heads * self.head_dim)
        query, key, value = parts
        turned = [turned_halves(rows, self.heads, self.head_dim) for rows in (query, key)]
        return torch.cat((*turned, value))
