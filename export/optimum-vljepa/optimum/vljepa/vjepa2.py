"""How Optimum exports V-JEPA 2: tubelets and where they lie in, visual tokens out, through vljepa-edge's exporter.

Optimum traces a model itself, then compares what lies on disk with the model. What it traces is thrown away, so this
is as little as will do; ours lies on disk afterwards, and is compared with transformers' own layers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from optimum.exporters.onnx.base import OnnxConfig
from optimum.exporters.onnx.model_patcher import ModelPatcher
from optimum.utils import NormalizedVisionConfig
from torch import Tensor, nn

from vljepa_export.x_encoder_file import export_x_encoder
from vljepa_model.config import XEncoderConfig
from vljepa_model.families.published_config import PublishedConfig
from vljepa_model.families.vjepa2 import pixels_last, vjepa2_config, vjepa2_converters
from vljepa_model.x_encoder import XEncoder

__all__ = ["VJEPA2OnnxConfig"]

AXES = {0: "B", 1: "N"}


class VJEPA2OnnxConfig(OnnxConfig):
    """Inputs and outputs are those of the X-encoder in a vljepa-edge bundle."""

    NORMALIZED_CONFIG_CLASS = NormalizedVisionConfig
    ATOL_FOR_VALIDATION = 1e-3

    @property
    def inputs(self) -> dict[str, dict[int, str]]:
        """Raw pixels of tubelets (B, N, patch_dim) and their places (B, N, 3)."""
        return {"patches": AXES, "positions": AXES}

    @property
    def outputs(self) -> dict[str, dict[int, str]]:
        """Visual tokens (B, N, width)."""
        return {"visual": AXES}

    @property
    def sizes(self) -> XEncoderConfig:
        """Ours, of a window as long as the model was trained with.

        Raises:
            CheckpointError: the model asks for something that our encoder lacks.
        """
        published = PublishedConfig(Path(self._config._name_or_path or "vjepa2"), self._config.to_dict())
        frames = self._config.frames_per_clip
        return vjepa2_config(published, frames=max(frames, self._config.tubelet_size))

    def generate_dummy_inputs(self, framework: str = "pt", **kwargs: Any) -> dict[str, Any]:
        """Two windows, some of whose tubelets are left out."""
        sizes, draw = self.sizes, torch.Generator().manual_seed(0)
        places = torch.cartesian_prod(*(torch.arange(side) for side in sizes.grid)).int()
        kept = torch.randperm(len(places), generator=draw)[: len(places) * 3 // 4 + 1].sort().values
        pixels = torch.randint(0, 256, (2, len(kept), sizes.patch_dim), generator=draw, dtype=torch.uint8)
        made = {"patches": pixels, "positions": places[kept].expand(2, -1, -1).contiguous()}
        return made if framework == "pt" else {name: value.numpy() for name, value in made.items()}

    def patch_model_for_export(
        self, model: nn.Module, model_kwargs: dict[str, Any] | None = None
    ) -> ModelPatcher:
        """Let the model take tubelets for the time of an export or a comparison.

        Raises:
            ValueError: another type than float32 was asked for.
        """
        if self.float_dtype != "fp32":
            raise ValueError(
                f"expected --dtype fp32, got {self.float_dtype}: other precisions are written by `vljepa export`"
            )
        self._model = model
        return _TubeletPatcher(self, model, model_kwargs=model_kwargs)

    def fix_dynamic_axes(self, model_path: Path, *args: Any, **kwargs: Any) -> None:
        """What Optimum does between tracing and comparing: here our graph takes the place of the traced one.

        Raises:
            ParityError: our graph is not what torch computes.
        """
        state = {name: tensor.float().cpu() for name, tensor in self._model.state_dict().items()}
        sizes = self.sizes
        network = XEncoder(sizes).eval()
        converters = vjepa2_converters(sizes, biases=self._config.qkv_bias)
        network.load_state_dict({name: converter.convert(state) for name, converter in converters.items()})
        for beside in model_path.parent.glob(f"{model_path.name}_data"):
            beside.unlink()
        export_x_encoder(network, sizes, model_path)

    def post_process_exported_models(
        self, path: Path, models_and_onnx_configs: dict[str, Any], onnx_files_subpaths: list[str]
    ) -> tuple[dict[str, Any], list[str]]:
        """Nothing is left to do: no weights are shared."""
        return models_and_onnx_configs, onnx_files_subpaths


class _TubeletPatcher(ModelPatcher):
    """transformers' layers over the tubelets that are there."""

    def __init__(
        self, config: VJEPA2OnnxConfig, model: nn.Module, model_kwargs: dict[str, Any] | None = None
    ) -> None:
        super().__init__(config, model, model_kwargs=model_kwargs)
        encoder, sizes = model.encoder, config.sizes
        repeats = sizes.patch_dim // 3

        def forward(patches: Tensor, positions: Tensor) -> dict[str, Tensor]:
            embedding = encoder.embeddings.patch_embeddings.proj
            kernel = pixels_last(embedding.weight)
            mean, std = (torch.tensor(three).repeat(repeats).to(kernel) for three in (sizes.mean, sizes.std))
            hidden = F.linear((patches.to(kernel) / 255 - mean) / std, kernel, embedding.bias)
            if torch.jit.is_tracing():
                return {"visual": hidden}
            _, rows, columns = sizes.grid
            time, row, column = positions.long().unbind(-1)
            numbers = (time * rows + row) * columns + column
            for layer in encoder.layer:
                out = layer(hidden, numbers)
                hidden = out[0] if isinstance(out, tuple) else out
            return {"visual": encoder.layernorm(hidden)}

        self.patched_forward = forward
