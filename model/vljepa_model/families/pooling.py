"""A sentence-transformers pipeline behind a text model: mean pooling and linear layers (EmbeddingGemma has two)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vljepa_model.errors import CheckpointError
from vljepa_model.families.conversion import WeightConverter, check_tensors
from vljepa_model.families.published_config import PublishedConfig
from vljepa_model.tensor_files import TensorFiles, open_tensors
from vljepa_runtime.files import parse_json

__all__ = ["open_dense_layers"]

KINDS = ("Transformer", "Pooling", "Dense", "Normalize")


def open_dense_layers(folder: str | Path, width: int) -> list[tuple[int, TensorFiles, WeightConverter]]:
    """The pipeline's linear layers, first to last.

    Args:
        folder: With `modules.json` and one folder per module.
        width: Of the hidden states that are pooled.

    Returns:
        Per layer its output width, its opened file, and the converter for its matrix.

    Raises:
        CheckpointError: there is no pipeline, or a module in it does something our Y-encoder does not.
    """
    root = Path(folder)
    layers: list[tuple[int, TensorFiles, WeightConverter]] = []
    for module in _modules(root / "modules.json"):
        kind = str(module.get("type", "")).rsplit(".", 1)[-1]
        place = root / str(module.get("path", ""))
        if kind not in KINDS or root.resolve() not in (place.resolve(), *place.resolve().parents):
            raise CheckpointError(
                f"{root / 'modules.json'}: expected the modules {', '.join(KINDS)}, got {module}"
            )
        if kind == "Pooling":
            _require_mean(place)
        if kind == "Dense":
            layers.append(_dense(place, layers[-1][0] if layers else width))
    return layers


def _dense(place: Path, width: int) -> tuple[int, TensorFiles, WeightConverter]:
    published = PublishedConfig.read(place)
    published.require("bias", (False,), True, "the Y-encoder's inner layers have no bias")
    activation = published.get("activation_function", str, "torch.nn.modules.activation.Tanh")
    if not activation.endswith(".Identity"):
        raise CheckpointError(f"{published.where}: expected an identity activation, got {activation}")
    out, given = published.get("out_features", int), published.get("in_features", int)
    if given != width:
        raise CheckpointError(f"{published.where}: expected {width} in_features, got {given}")
    files = open_tensors(place)
    converter = WeightConverter(sources={"linear.weight": (out, width)})
    check_tensors(files, {"weight": converter}, what="a linear layer of a sentence-transformers pipeline")
    return out, files, converter


def _require_mean(place: Path) -> None:
    published = PublishedConfig.read(place)
    modes = [key for key, on in published.values.items() if key.startswith("pooling_mode_") and on]
    mode = published.values.get("pooling_mode", "mean")
    if modes not in ([], ["pooling_mode_mean_tokens"]) or mode != "mean":
        raise CheckpointError(f"{published.where}: expected mean pooling, got {modes or mode}")


def _modules(path: Path) -> list[dict[str, Any]]:
    try:
        modules = parse_json(path.read_bytes())
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{path.parent} has no sentence-transformers pipeline (modules.json): choose mean pooling"
        ) from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is not readable JSON: {error}") from error
    if not isinstance(modules, list) or not all(isinstance(module, dict) for module in modules):
        raise CheckpointError(f"{path}: expected a list of modules")
    return modules
