"""Optimum exports the parts of a model that are timed one by one. Imports torch, transformers and Optimum."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from optimum.exporters.onnx import export
from optimum.exporters.onnx.base import OnnxConfig
from optimum.utils import NormalizedConfig
from torch import Tensor, nn

from vljepa_apps.measure.baselines.folder import Folder
from vljepa_apps.measure.baselines.loading import load_model
from vljepa_apps.measure.baselines.processing import ClipProcessor, VlmProcessor
from vljepa_apps.measure.baselines.towers import clip_features
from vljepa_apps.measure.baselines.vlm_stages import ends_of, image_token_of, visual_rows
from vljepa_runtime.errors import InputError

__all__ = ["export_model"]

Axes = Mapping[str, Mapping[int, str]]
OPSET = 18
GREY = np.full((8, 64, 64, 3), 128, np.uint8)
TEXTS = ("a door opens", "nobody is there")


def export_model(folder: Folder, out: Path) -> None:
    """Write a model's graphs and what else is needed to run them.

    Args:
        folder: The model.
        out: An empty folder.

    Raises:
        InputError: Optimum or torch cannot export it.
    """
    model = load_model(folder)
    try:
        facts = _token_vlm(folder, model, out) if folder.family.words else _dual_encoder(folder, model, out)
    except Exception as error:  # tracing fails in many ways
        what = str(error).strip().splitlines() or [""]
        raise InputError(
            f"Optimum cannot export {folder.path}: {type(error).__name__}: {what[0]}: take hf-torch:{folder.path}"
        ) from error
    (out / "facts.json").write_text(
        json.dumps({"parameters": model.num_parameters(), **facts}), encoding="utf-8"
    )


def _dual_encoder(folder: Folder, model: Any, out: Path) -> Mapping[str, Any]:
    inputs = ClipProcessor(folder)
    shown, text = inputs.pictures(GREY), inputs.tokens(TEXTS)
    part = _Clip(model) if folder.family.clip else _Image(model)
    _write(part, shown, {"pixel_values": {0: "batch"}}, out / "image.onnx")
    axes = {0: "texts"} if folder.family.padded else {0: "texts", 1: "length"}
    _write(_Text(model), text, dict.fromkeys(text, axes), out / "text.onnx")
    return {}


def _token_vlm(folder: Folder, model: Any, out: Path) -> Mapping[str, Any]:
    feeds = VlmProcessor(folder).pictures(GREY)
    if hasattr(model.model, "vision_model"):
        _fix_positions(model, feeds)
    _write(_Tokens(model), feeds, {name: {} for name in feeds}, out / "image.onnx")
    text = model.config.get_text_config()
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    size = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    past = [tuple(torch.zeros(1, heads, 3, size) for _ in range(2)) for _ in range(text.num_hidden_layers)]
    names = [f"{layer}.{part}" for layer in range(text.num_hidden_layers) for part in ("key", "value")]
    inputs: dict[str, Mapping[int, str]] = {"inputs_embeds": {0: "batch", 1: "length"}}
    inputs |= {f"past_key_values.{name}": {0: "batch", 2: "past"} for name in names}
    outputs: dict[str, Mapping[int, str]] = {"logits": {0: "batch", 1: "length"}}
    outputs |= {f"present.{name}": {0: "batch", 2: "past + length"} for name in names}
    sample = {"inputs_embeds": torch.randn(1, 2, text.hidden_size), "past_key_values": past}
    _export(_Reader(model), sample, inputs, outputs, out / "reader.onnx")
    np.save(out / "words.npy", model.get_input_embeddings().weight.detach().numpy())
    return {
        "image_token": image_token_of(model.config),
        "ends": ends_of(model),
        "empty": [1, heads, 0, size],
    }


def _fix_positions(model: Any, feeds: Mapping[str, Any]) -> None:
    """Keep the positions that pictures of this size get: Idefics3 counts them in a loop that torch cannot trace."""
    embeddings, seen = model.model.vision_model.embeddings, list[Tensor]()
    table = embeddings.position_embedding
    hook = table.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    with torch.inference_mode(False), torch.no_grad():
        model.get_image_features(**{name: torch.from_numpy(array) for name, array in feeds.items()})
    hook.remove()
    positions = seen[0][:1]

    def forward(pixel_values: Tensor, patch_attention_mask: Tensor) -> Tensor:
        patches: Tensor = embeddings.patch_embedding(pixel_values).flatten(2).transpose(1, 2)
        places: Tensor = table(positions)
        return patches + places

    embeddings.forward = forward


class _Part(nn.Module):
    """What one graph computes of a model."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model, self.config = model, model.config


class _Image(_Part):
    def forward(self, pixel_values: Tensor) -> dict[str, Tensor]:
        found = self.model.get_image_features(pixel_values=pixel_values)
        return {"embeds": getattr(found, "pooler_output", found)}


class _Clip(_Part):
    def forward(self, pixel_values: Tensor) -> dict[str, Tensor]:
        return {"embeds": clip_features(self.model, pixel_values)}


class _Tokens(_Part):
    def forward(self, pixel_values: Tensor, pixel_attention_mask: Tensor | None = None) -> dict[str, Tensor]:
        given = {} if pixel_attention_mask is None else {"pixel_attention_mask": pixel_attention_mask}
        return {"embeds": visual_rows(self.model.get_image_features(pixel_values=pixel_values, **given))}


class _Text(_Part):
    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> dict[str, Tensor]:
        found = self.model.get_text_features(input_ids=input_ids, attention_mask=attention_mask)
        return {"embeds": getattr(found, "pooler_output", found)}


class _Reader(_Part):
    def forward(self, inputs_embeds: Tensor, past_key_values: Any = None) -> dict[str, Any]:
        found = self.model(inputs_embeds=inputs_embeds, past_key_values=past_key_values, use_cache=True)
        return {"logits": found.logits, "past_key_values": found.past_key_values}


class _Config(OnnxConfig):  # type: ignore[misc]
    """What goes in and out of a part, for Optimum."""

    NORMALIZED_CONFIG_CLASS = NormalizedConfig

    def __init__(self, config: Any, sample: Mapping[str, Any], inputs: Axes, outputs: Axes) -> None:
        super().__init__(config, task="feature-extraction")
        self._sample, self._inputs, self._outputs = sample, inputs, outputs

    @property
    def inputs(self) -> dict[str, dict[int, str]]:
        return {name: dict(axes) for name, axes in self._inputs.items()}

    @property
    def outputs(self) -> dict[str, dict[int, str]]:
        return {name: dict(axes) for name, axes in self._outputs.items()}

    @property
    def torch_to_onnx_output_map(self) -> dict[str, str]:
        return {"past_key_values": "present"}

    def generate_dummy_inputs(self, framework: str = "pt", **shapes: Any) -> dict[str, Any]:
        return dict(self._sample)


def _write(part: nn.Module, feeds: Mapping[str, Any], inputs: Axes, path: Path) -> None:
    sample = {name: torch.from_numpy(array) for name, array in feeds.items()}
    _export(part, sample, inputs, {"embeds": {0: "rows"}}, path)


def _export(part: nn.Module, sample: Mapping[str, Any], inputs: Axes, outputs: Axes, path: Path) -> None:
    config = _Config(part.config, sample, inputs, outputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tracing; tests compare what a part gives
        export(part, config, path, opset=OPSET, disable_dynamic_axes_fix=True)
