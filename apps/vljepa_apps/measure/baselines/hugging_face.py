"""A folder of Hugging Face's as a line: in eager PyTorch, or as Optimum exports it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vljepa_apps.measure.baselines.environment import activate
from vljepa_apps.measure.baselines.folder import Folder
from vljepa_runtime.errors import InputError

if TYPE_CHECKING:
    from vljepa_apps.measure.baselines.protocol import Baseline

__all__ = ["open_onnx", "open_torch", "prepare_onnx"]


def open_torch(place: str, *, threads: int | None) -> Baseline:
    """The model in eager float32 PyTorch.

    Raises:
        InputError: it is no such folder.
        MissingExtraError: a library is not installed.
        EnvironmentMissingError: transformers and Optimum could not be fetched.
    """
    folder = Folder.of(place)
    activate()
    if folder.family.words:
        from vljepa_apps.measure.baselines.vlm_stages import TorchStages

        return _token_vlm(folder, TorchStages(folder, threads=threads))
    from vljepa_apps.measure.baselines.towers import TorchTowers

    return _dual_encoder(folder, TorchTowers(folder, threads=threads))


def open_onnx(place: str, *, threads: int | None) -> Baseline:
    """The model as Optimum exports it, on ONNX Runtime with the settings of this project's engine.

    Raises:
        InputError: it is no such folder, or of a family that is not exported.
        MissingExtraError: a library is not installed.
        EnvironmentMissingError: transformers and Optimum could not be fetched.
    """
    folder, graphs = Folder.of(place), prepare_onnx(place)
    if folder.family.words:
        from vljepa_apps.measure.baselines.vlm_stages import OnnxStages

        return _token_vlm(folder, OnnxStages(graphs, threads=threads))
    from vljepa_apps.measure.baselines.towers import OnnxTowers

    return _dual_encoder(folder, OnnxTowers(graphs, threads=threads))


def prepare_onnx(place: str) -> Path:
    """Export a model, once; see `open_onnx`."""
    folder = Folder.of(place)
    if not folder.family.exported:
        raise InputError(
            f"{place} cannot be exported: a {folder.config['model_type']} model resizes its positions to each "
            f"picture in Python: take hf-torch:{place}"
        )
    activate()
    from vljepa_apps.measure.baselines.exported import exported

    return exported(folder)


def _dual_encoder(folder: Folder, towers: Any) -> Baseline:
    from vljepa_apps.measure.baselines.dual_encoder import DualEncoder

    return DualEncoder(folder, towers)


def _token_vlm(folder: Folder, stages: Any) -> Baseline:
    from vljepa_apps.measure.baselines.token_vlm import TokenVlm

    return TokenVlm(folder, stages)
