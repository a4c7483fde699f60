"""A checkpoint is a folder: model.safetensors, config.json and tokenizer.json.

Nothing else is read, and nothing is unpickled.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from vljepa_model.config import ModelConfig
from vljepa_model.errors import CheckpointError, ConfigError
from vljepa_model.vl_jepa import VLJEPA
from vljepa_runtime.errors import InputError
from vljepa_runtime.patches import Preprocess

__all__ = ["FORMAT", "Checkpoint", "load_checkpoint", "save_checkpoint"]

FORMAT = 1
WEIGHTS, CONFIG, TOKENIZER = "model.safetensors", "config.json", "tokenizer.json"
DTYPES = {"fp16": torch.float16, "float16": torch.float16, "fp32": torch.float32, "float32": torch.float32}
CONFIG_KEYS = {"format", "model", "preprocess", "prompts", "metadata"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What a checkpoint folder holds; the model is in float32 and in evaluation mode.

    Attributes:
        model: The four networks.
        config: Their sizes.
        tokenizer_file: Path of tokenizer.json inside the folder.
        preprocess: How frames become the tokens that the model was trained on.
        prompts: Query text per task.
        metadata: Whatever the training run recorded.
    """

    model: VLJEPA
    config: ModelConfig
    tokenizer_file: Path
    preprocess: Preprocess
    prompts: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)


def save_checkpoint(
    model: VLJEPA,
    folder: str | Path,
    *,
    tokenizer_file: str | Path,
    dtype: str | torch.dtype = "fp16",
    preprocess: Preprocess | None = None,
    prompts: Mapping[str, str] | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Path:
    """Write a checkpoint, each file under a temporary name first.

    Args:
        model: The networks to write.
        folder: Created when it does not exist; an earlier checkpoint in it is replaced.
        tokenizer_file: A tokenizers JSON file to copy.
        dtype: `fp16` (half the size) or `fp32`.
        preprocess: Defaults to the X-encoder's geometry at Preprocess's own frame rate.
        prompts: Query text per task.
        metadata: JSON values.

    Returns:
        The folder.

    Raises:
        CheckpointError: for an unknown dtype, weights that float16 cannot hold, a preprocess of another
            geometry, or values that are not JSON.
    """
    folder = Path(folder)
    preprocess = preprocess or _default_preprocess(model.config)
    _check_geometry(preprocess, model.config)
    weights = safetensors.torch.save(_stored(model, _dtype(dtype)), {"format": "pt"})
    plain = {
        "format": FORMAT,
        "model": model.config.to_dict(),
        "preprocess": preprocess.to_dict(),
        "prompts": dict(prompts or {}),
        "metadata": dict(metadata or {}),
    }
    try:
        config = json.dumps(plain, indent=2, allow_nan=False) + "\n"
        tokenizer = Path(tokenizer_file).read_bytes()
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"prompts and metadata must be plain JSON values: {error}") from error
    except OSError as error:
        raise CheckpointError(f"cannot read the tokenizer {tokenizer_file}: {error}") from error
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in ((WEIGHTS, weights), (TOKENIZER, tokenizer), (CONFIG, config.encode())):
        _replace(folder / name, content)
    return folder


def load_checkpoint(folder: str | Path) -> Checkpoint:
    """Read a checkpoint folder.

    Raises:
        CheckpointError: when a file is missing or damaged, the format is unknown, or the tensors are not
            those of the configuration.
    """
    folder = Path(folder)
    for name in (CONFIG, WEIGHTS, TOKENIZER):
        if not (folder / name).is_file():
            raise CheckpointError(
                f"expected {WEIGHTS}, {CONFIG} and {TOKENIZER} in {folder}, {name} is missing"
            )
    plain = _read_config(folder / CONFIG)
    try:
        config, preprocess = ModelConfig.from_dict(plain["model"]), Preprocess.from_dict(plain["preprocess"])
    except (ConfigError, InputError, TypeError) as error:
        raise CheckpointError(
            f"{folder / CONFIG} does not describe a model of this version: {error}"
        ) from error
    _check_geometry(preprocess, config)
    return Checkpoint(
        model=_load_model(folder / WEIGHTS, config),
        config=config,
        tokenizer_file=folder / TOKENIZER,
        preprocess=preprocess,
        prompts=plain["prompts"],
        metadata=plain["metadata"],
    )


def _dtype(dtype: str | torch.dtype) -> torch.dtype:
    found = DTYPES.get(dtype) if isinstance(dtype, str) else dtype
    if found is None or found not in DTYPES.values():
        raise CheckpointError(f"expected dtype fp16 or fp32, got {dtype!r}")
    return found


def _stored(model: VLJEPA, dtype: torch.dtype) -> dict[str, Tensor]:
    stored = {}
    for name, tensor in model.state_dict().items():
        narrow = tensor.detach().to("cpu", dtype).contiguous()
        if not bool(torch.isfinite(narrow).all()):
            raise CheckpointError(
                f"{name} has values that {dtype} cannot hold, or NaN: save as fp32, or mend the training"
            )
        stored[name] = narrow
    return stored


def _default_preprocess(config: ModelConfig) -> Preprocess:
    eyes = config.x_encoder
    return Preprocess(
        frames=eyes.frames,
        size=eyes.size,
        patch=eyes.patch,
        tubelet=eyes.tubelet,
        mean=eyes.mean,
        std=eyes.std,
    )


def _check_geometry(preprocess: Preprocess, config: ModelConfig) -> None:
    for name in ("frames", "size", "patch", "tubelet", "mean", "std"):
        wanted, got = getattr(config.x_encoder, name), getattr(preprocess, name)
        if wanted != got:
            raise CheckpointError(
                f"preprocess does not fit the X-encoder: expected {name} {wanted}, got {got}"
            )


def _replace(path: Path, content: bytes) -> None:
    """Write under a temporary name in the same folder, then rename: readers see the old file or the new."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(temporary).chmod(0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _read_config(path: Path) -> dict[str, Any]:
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not readable JSON: {error}") from error
    if not isinstance(plain, dict) or plain.get("format") != FORMAT:
        found = plain.get("format") if isinstance(plain, dict) else type(plain).__name__
        raise CheckpointError(
            f"{path}: expected checkpoint format {FORMAT}, got {found!r}: use the version that wrote it"
        )
    if set(plain) != CONFIG_KEYS:
        raise CheckpointError(f"{path}: expected the keys {sorted(CONFIG_KEYS)}, got {sorted(plain)}")
    if wrong := [name for name in sorted(CONFIG_KEYS - {"format"}) if not isinstance(plain[name], dict)]:
        raise CheckpointError(f"{path}: expected JSON objects for {wrong}")
    return plain


def _load_model(path: Path, config: ModelConfig) -> VLJEPA:
    with torch.device("meta"):
        wanted = {name: tuple(tensor.shape) for name, tensor in VLJEPA(config).state_dict().items()}
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            names: list[str] = list(file.keys())
            # Shapes first: nothing is allocated for a file that does not fit.
            _check_shapes(path, wanted, {name: tuple(file.get_slice(name).get_shape()) for name in names})
            state = {name: file.get_tensor(name).float() for name in wanted}
    except (safetensors.SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is not a readable safetensors file: {error}") from error
    model = VLJEPA(config)
    model.load_state_dict(state)
    return model.eval()


def _check_shapes(
    path: Path, wanted: Mapping[str, tuple[int, ...]], got: Mapping[str, tuple[int, ...]]
) -> None:
    missing, surplus = sorted(set(wanted) - set(got)), sorted(set(got) - set(wanted))
    shapes = [f"{n} {got[n]} instead of {wanted[n]}" for n in wanted if n in got and got[n] != wanted[n]]
    for what, names in (("missing", missing), ("surplus", surplus), ("misshaped", shapes)):
        if names:
            raise CheckpointError(
                f"{path} does not fit its {CONFIG}: {len(names)} tensors {what}, first {', '.join(names[:3])}"
            )
