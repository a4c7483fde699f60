"""A checkpoint is a folder: model.safetensors, config.json and tokenizer.json, or one tokenizer per network.

Beside them may lie what `vljepa selective` fitted, which tells the events of a stream apart: boundaries.safetensors.
Nothing else is read, and nothing is unpickled. Tensors are mapped one by one, so a network can be taken alone.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from vljepa_model.config import ModelConfig
from vljepa_model.errors import CheckpointError, ConfigError
from vljepa_model.predictor import Predictor
from vljepa_model.tensor_files import TensorFiles, open_tensors, read_json, write_tensors
from vljepa_model.vl_jepa import VLJEPA
from vljepa_model.x_encoder import XEncoder
from vljepa_model.y_decoder import YDecoder
from vljepa_model.y_encoder import YEncoder
from vljepa_runtime.errors import InputError
from vljepa_runtime.files import read_record, replace_file
from vljepa_runtime.files.values import Name, Text
from vljepa_runtime.preprocessing import Preprocess
from vljepa_runtime.selection import BOUNDARIES_FILE, Boundaries

__all__ = [
    "ROLES",
    "Checkpoint",
    "CheckpointFolder",
    "load_checkpoint",
    "open_checkpoint",
    "save_checkpoint",
    "write_config",
]

VERSIONS = (1, 2)  # 2 names a tokenizer per role
ROLES = ("predictor", "y_encoder", "y_decoder")
WEIGHTS, CONFIG, TOKENIZER = "model.safetensors", "config.json", "tokenizer.json"
DTYPES = {"fp16": torch.float16, "float16": torch.float16, "fp32": torch.float32, "float32": torch.float32}

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What a checkpoint folder holds; the model is in float32 and in evaluation mode.

    Attributes:
        model: The four networks.
        config: Their sizes.
        tokenizer_file: Path of the predictor's tokenizer inside the folder.
        tokenizers: Path per role; roles may share a file.
        preprocess: How frames become the tokens that the model was trained on.
        prompts: Query text per task.
        metadata: Whatever the training run recorded.
    """

    model: VLJEPA
    config: ModelConfig
    tokenizer_file: Path
    tokenizers: Mapping[str, Path]
    preprocess: Preprocess
    prompts: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointFolder:
    """An opened checkpoint whose tensors are still on disk.

    Attributes:
        folder: Where it lies.
        config: Sizes of the networks.
        tokenizers: Path per role.
        preprocess: How frames become tokens.
        prompts: Query text per task.
        metadata: Whatever the training run recorded.
        tensors: The weights; their names and shapes fit the configuration.
    """

    folder: Path
    config: ModelConfig
    tokenizers: Mapping[str, Path]
    preprocess: Preprocess
    prompts: Mapping[str, str]
    metadata: Mapping[str, Any]
    tensors: TensorFiles

    @property
    def bytes(self) -> int:
        """Size of the weights on disk."""
        return (self.folder / WEIGHTS).stat().st_size

    @property
    def boundaries(self) -> Boundaries | None:
        """What tells the events of a stream apart (`selection.Boundaries`); None where nothing was fitted.

        Raises:
            BundleError: the file is something else.
        """
        path = self.folder / BOUNDARIES_FILE
        if not path.is_file():
            return None
        return Boundaries.from_bytes(path.read_bytes())

    @property
    def parameters(self) -> dict[str, int]:
        """How many each network has."""
        counts: Counter[str] = Counter()
        for name in self.tensors:
            network, _, inner = name.partition(".")
            if inner:  # the temperature belongs to none
                counts[network] += prod(self.tensors.shape(name))
        return dict(counts)

    def x_encoder(self) -> XEncoder:
        """The X-encoder alone, in float32 and evaluation mode."""
        return self._filled("x_encoder.", _on_meta(lambda: XEncoder(self.config.x_encoder)))

    def predictor(self) -> Predictor:
        """The predictor alone."""
        return self._filled("predictor.", _on_meta(lambda: Predictor(self.config)))

    def y_encoder(self) -> YEncoder:
        """The Y-encoder alone."""
        return self._filled("y_encoder.", _on_meta(lambda: YEncoder(self.config)))

    def y_decoder(self) -> YDecoder:
        """The Y-decoder alone.

        Raises:
            ConfigError: the model has none.
        """
        return self._filled("y_decoder.", _on_meta(lambda: YDecoder(self.config)))

    def model(self) -> VLJEPA:
        """All networks."""
        return self._filled("", _on_meta(lambda: VLJEPA(self.config)))

    def _filled(self, prefix: str, network: Network) -> Network:
        """Give a network without storage the tensors of the file; float32 ones stay mapped."""
        names = network.state_dict().keys()
        state = {name: self.tensors[prefix + name].float() for name in names}
        network.load_state_dict(state, assign=True)
        return network.eval()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Config:
    """What `config.json` says; tokenizers are named from its second version on."""

    format: int
    model: ModelConfig
    preprocess: Preprocess
    prompts: Mapping[Name, Text]
    metadata: Mapping[Name, Any]
    tokenizers: Mapping[Name, Name] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if bool(self.tokenizers) != (self.format == VERSIONS[1]):
            raise InputError(f"expected tokenizers in format {VERSIONS[1]} alone, got format {self.format}")


def save_checkpoint(
    model: VLJEPA,
    folder: str | Path,
    *,
    tokenizer_file: str | Path | Mapping[str, str | Path | bytes],
    dtype: str | torch.dtype = "fp16",
    preprocess: Preprocess | None = None,
    prompts: Mapping[str, str] | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Path:
    """Write a checkpoint, each file under a temporary name first.

    Args:
        model: The networks to write.
        folder: Created when it does not exist; an earlier checkpoint in it is replaced.
        tokenizer_file: A tokenizers JSON file to copy, or one per role (`predictor`, `y_encoder`, `y_decoder`).
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
    preprocess = preprocess or preprocess_of(model.config)
    _check_geometry(preprocess, model.config)
    state, stored = model.state_dict(), _dtype(dtype)
    plan = {name: (stored, tuple(tensor.shape)) for name, tensor in state.items()}
    config, tokenizers = _settle_texts(model.config, tokenizer_file, preprocess, prompts, metadata)
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / WEIGHTS, lambda file: write_tensors(file, plan, state.__getitem__))
    _write_texts(folder, config, tokenizers)
    return folder


def write_config(
    folder: Path,
    config: ModelConfig,
    *,
    tokenizer_file: str | Path | Mapping[str, str | Path | bytes],
    preprocess: Preprocess,
    prompts: Mapping[str, str],
    metadata: Mapping[str, Any],
) -> None:
    """Write all of a checkpoint but its weights; see `save_checkpoint` for the arguments."""
    _check_geometry(preprocess, config)
    _write_texts(folder, *_settle_texts(config, tokenizer_file, preprocess, prompts, metadata))


def open_checkpoint(folder: str | Path) -> CheckpointFolder:
    """Open a checkpoint folder without reading its tensors.

    Raises:
        CheckpointError: when a file is missing or damaged, the format is unknown, or the tensors are not
            those of the configuration.
    """
    folder = Path(folder)
    for name in (CONFIG, WEIGHTS):
        _require_file(folder, name)
    found = _read_config(folder / CONFIG)
    config = found.model
    tokenizers = {role: folder / name for role, name in _tokenizer_names(folder, found.tokenizers).items()}
    _check_geometry(found.preprocess, config)
    tensors = open_tensors(folder / WEIGHTS)
    with torch.device("meta"):
        wanted = {name: tuple(tensor.shape) for name, tensor in VLJEPA(config).state_dict().items()}
    # Shapes first: nothing is allocated for a file that does not fit.
    _check_shapes(folder / WEIGHTS, wanted, {name: tensors.shape(name) for name in tensors})
    return CheckpointFolder(
        folder=folder,
        config=config,
        tokenizers=tokenizers,
        preprocess=found.preprocess,
        prompts=found.prompts,
        metadata=found.metadata,
        tensors=tensors,
    )


def load_checkpoint(folder: str | Path) -> Checkpoint:
    """Read a checkpoint folder with all its networks.

    Raises:
        CheckpointError: see `open_checkpoint`.

    Examples:
        >>> from vljepa_model import checkpoint_folder, load_checkpoint
        >>> checkpoint = load_checkpoint(checkpoint_folder("tiny"))
        >>> checkpoint.config.embedding_dim, checkpoint.prompts["caption"]
        (256, 'Describe this video in one sentence.')
    """
    opened = open_checkpoint(folder)
    return Checkpoint(
        model=opened.model(),
        config=opened.config,
        tokenizer_file=opened.tokenizers["predictor"],
        tokenizers=opened.tokenizers,
        preprocess=opened.preprocess,
        prompts=opened.prompts,
        metadata=opened.metadata,
    )


def _dtype(dtype: str | torch.dtype) -> torch.dtype:
    found = DTYPES.get(dtype) if isinstance(dtype, str) else dtype
    if found is None or found not in DTYPES.values():
        raise CheckpointError(f"expected dtype fp16 or fp32, got {dtype!r}")
    return found


def _settle_texts(
    model: ModelConfig,
    tokenizer_file: str | Path | Mapping[str, str | Path | bytes],
    preprocess: Preprocess,
    prompts: Mapping[str, str] | None,
    metadata: Mapping[str, Any] | None,
) -> tuple[bytes, dict[str, bytes]]:
    """The content of config.json, and of the tokenizer files by name."""
    single = not isinstance(tokenizer_file, Mapping)
    files: dict[str, str | Path | bytes] = (
        {"": tokenizer_file} if not isinstance(tokenizer_file, Mapping) else dict(tokenizer_file)
    )
    content: dict[str, bytes] = {}
    for role, path in files.items():
        try:
            data = path if isinstance(path, bytes) else Path(path).read_bytes()
        except OSError as error:
            raise CheckpointError(f"cannot read the tokenizer {path!s}: {error}") from error
        content[f"tokenizer.{role}.json" if role else TOKENIZER] = data
    plain: dict[str, Any] = {
        "format": VERSIONS[0] if single else VERSIONS[1],
        "model": model.to_dict(),
        "preprocess": preprocess.to_dict(),
        "prompts": dict(prompts or {}),
        "metadata": dict(metadata or {}),
    }
    if not single:
        plain["tokenizers"] = {role: f"tokenizer.{role}.json" for role in files}
    try:
        return (json.dumps(plain, indent=2, allow_nan=False) + "\n").encode(), content
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"prompts and metadata must be plain JSON values: {error}") from error


def _write_texts(folder: Path, config: bytes, tokenizers: Mapping[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in {**tokenizers, CONFIG: config}.items():
        replace_file(folder / name, content)


def preprocess_of(config: ModelConfig) -> Preprocess:
    """The frame geometry that a model configuration implies."""
    sizes = config.x_encoder
    return Preprocess(
        frames=sizes.frames,
        size=sizes.size,
        patch=sizes.patch,
        tubelet=sizes.tubelet,
        mean=sizes.mean,
        std=sizes.std,
    )


def _check_geometry(preprocess: Preprocess, config: ModelConfig) -> None:
    for name in ("frames", "size", "patch", "tubelet", "mean", "std"):
        wanted, got = getattr(config.x_encoder, name), getattr(preprocess, name)
        if wanted != got:
            raise CheckpointError(
                f"preprocess does not fit the X-encoder: expected {name} {wanted}, got {got}"
            )


def _require_file(folder: Path, name: str) -> None:
    if not (folder / name).is_file():
        raise CheckpointError(f"expected {WEIGHTS}, {CONFIG} and {TOKENIZER} in {folder}, {name} is missing")


def _tokenizer_names(folder: Path, names: Mapping[str, str]) -> Mapping[str, str]:
    names = names or dict.fromkeys(ROLES, TOKENIZER)
    if "predictor" not in names or "y_encoder" not in names or not set(names) <= set(ROLES):
        raise CheckpointError(f"{folder / CONFIG}: expected tokenizers for {', '.join(ROLES)}, got {names}")
    for name in names.values():
        if Path(name).name != name:
            raise CheckpointError(f"{folder / CONFIG}: expected tokenizers in the folder, got {name!r}")
        _require_file(folder, name)
    return names


def _read_config(path: Path) -> _Config:
    plain = read_json(path)
    if plain.get("format") not in VERSIONS:
        raise CheckpointError(
            f"{path}: expected checkpoint format {' or '.join(map(str, VERSIONS))}, got {plain.get('format')!r}: "
            "use the version that wrote it"
        )
    try:
        return read_record(_Config, plain, CONFIG, error=InputError)
    except (ConfigError, InputError) as error:
        raise CheckpointError(f"{path} does not describe a model of this version: {error}") from error


def _on_meta(build: Callable[[], Network]) -> Network:
    """Build a network without storage; its constants are made all the same."""
    with torch.device("meta"):
        return build()


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
