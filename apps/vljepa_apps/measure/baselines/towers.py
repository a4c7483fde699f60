"""The two towers of a dual encoder: in eager PyTorch, or as Optimum exported them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from vljepa_apps.measure.baselines.folder import Folder
from vljepa_apps.measure.baselines.loading import load_model, onnx_detail, onnx_session, torch_detail
from vljepa_apps.measure.baselines.processing import Feeds
from vljepa_apps.measure.baselines.protocol import Float32
from vljepa_runtime.files import parse_json

__all__ = ["OnnxTowers", "TorchTowers", "Towers", "clip_features"]


class Towers(Protocol):
    """Two encoders into one space; neither normalises."""

    detail: str
    parameters: int

    def image(self, feeds: Feeds) -> Float32:
        """Pictures, or one clip -> (B, S)."""

    def text(self, feeds: Feeds) -> Float32:
        """Texts -> (B, S)."""


def clip_features(model: Any, pixel_values: Any) -> Any:
    """X-CLIP's embeddings (B, S) of clips (B, T, 3, H, W); its `get_video_features` fails in transformers 4.57."""
    pooled = model.vision_model(pixel_values=pixel_values.flatten(0, 1)).pooler_output
    pictures = model.visual_projection(pooled).unflatten(0, pixel_values.shape[:2])
    return model.mit(pictures, return_dict=True).pooler_output


class TorchTowers:
    """See `Towers`."""

    def __init__(self, folder: Folder, *, threads: int | None) -> None:
        self._model = load_model(folder, threads=threads)
        self._clip = folder.family.clip
        self.detail = torch_detail()
        self.parameters = self._model.num_parameters()

    def image(self, feeds: Feeds) -> Float32:
        """See `Towers`."""
        see = partial(clip_features, self._model) if self._clip else self._model.get_image_features
        return self._run(see, feeds)

    def text(self, feeds: Feeds) -> Float32:
        """See `Towers`."""
        return self._run(self._model.get_text_features, feeds)

    def _run(self, call: Any, feeds: Feeds) -> Float32:
        import torch

        with torch.inference_mode():
            found = call(**{name: torch.from_numpy(array) for name, array in feeds.items()})
        rows: Float32 = getattr(
            found, "pooler_output", found
        ).numpy()  # transformers 5 gives more than the rows
        return rows


class OnnxTowers:
    """See `Towers`.

    Args:
        graphs: Folder that `exported` gave.
        threads: Threads inside an operator; None takes one per core.
    """

    def __init__(self, graphs: Path, *, threads: int | None) -> None:
        self._sessions = {name: onnx_session(graphs / f"{name}.onnx", threads) for name in ("image", "text")}
        self.detail = onnx_detail()
        self.parameters = int(parse_json((graphs / "facts.json").read_text(encoding="utf-8"))["parameters"])

    def image(self, feeds: Feeds) -> Float32:
        """See `Towers`."""
        return self._run("image", feeds)

    def text(self, feeds: Feeds) -> Float32:
        """See `Towers`."""
        return self._run("text", feeds)

    def _run(self, name: str, feeds: Feeds) -> Float32:
        (rows,) = self._sessions[name].run(None, dict(feeds))
        return np.asarray(rows, np.float32)
