"""Models put together of published parts, written as one checkpoint tensor by tensor.

At no time is more than one tensor of ours in memory; the published ones are mapped from their files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vljepa_model.checkpoint import WEIGHTS, preprocess_of, write_config
from vljepa_model.config import ModelConfig, TextStackConfig, YDecoderConfig
from vljepa_model.errors import CheckpointError
from vljepa_model.families.conversion import Converters, WeightConverter
from vljepa_model.families.gemma import logit_cap
from vljepa_model.families.pooling import open_dense_layers
from vljepa_model.families.published_config import PublishedConfig
from vljepa_model.families.text import TextFolder, open_text, output_converters
from vljepa_model.families.vision import crop_offset, open_vision
from vljepa_model.tensor_files import TensorFiles, write_tensors
from vljepa_model.vl_jepa import VLJEPA
from vljepa_runtime.files import replace_file
from vljepa_runtime.preprocessing import Preprocess
from vljepa_runtime.tokenizer import open_library_tokenizer

__all__ = ["OWN", "POOLINGS", "Assembled", "Part", "assemble", "fresh_tensor", "write_checkpoint"]

OWN = "own"  # this project's small decoder instead of a folder
POOLINGS = ("mean", "pipeline")
STD = 0.02
STORED = (torch.float32, torch.float16, torch.bfloat16)
PROMPTS = {
    "caption": "Describe this video in one sentence.",
    "classify": "What is the action shown?",
    "retrieval": "Describe this video in detail.",
}  # arXiv 2512.10942, figure 2

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Tensors of one of our networks and the files they are made of.

    Attributes:
        prefix: What their names in our model begin with, such as `y_encoder.`.
        files: The published tensors, opened and checked.
        converters: One per tensor of ours: which published ones it is made of, and how.
    """

    prefix: str
    files: TensorFiles
    converters: Converters


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembled:
    """What a checkpoint will hold.

    Attributes:
        config: Sizes of all networks.
        parts: Tensors that come from files; what none of them has is drawn anew.
        tokenizers: File, or its content, per role.
        preprocess: How frames become tokens.
        prompts: Query text per task.
        importer: What made it, for the bundle's `source`.
        seed: Draws the weights that no part brings.
        fixed: Tensors that are given outright, by name.
    """

    config: ModelConfig
    parts: tuple[Part, ...]
    tokenizers: Mapping[str, Path | bytes]
    preprocess: Preprocess
    prompts: Mapping[str, str]
    importer: str
    seed: int = 0
    fixed: Mapping[str, Tensor] = field(default_factory=dict)


def assemble(
    *,
    vision: str | Path,
    llama: str | Path,
    gemma: str | Path,
    decoder: str | Path | None = None,
    layers: int = 8,
    pooling: str = "mean",
    embedding_dim: int = 1536,
    frames: int = 16,
    size: int | None = None,
    prefix: int = 8,
    seed: int = 0,
) -> Assembled:
    """Put an untrained VL-JEPA together of published parts (arXiv 2512.10942, section 3.1), to be fine-tuned.

    Args:
        vision: V-JEPA 2 folder, or a V-JEPA 2.1 file: the X-encoder.
        llama: Text model folder: the predictor's layers, token table and tokenizer.
        gemma: Text model folder: the Y-encoder and its tokenizer.
        decoder: Causal language model folder for the Y-decoder, `own` for this project's, None for none.
        layers: How many of the last layers the predictor takes.
        pooling: `mean` (the paper's: mean, then our head), or `pipeline` (the folder's sentence-transformers
            layers in between; with an embedding of their width the head starts as identity).
        embedding_dim: Length of an embedding.
        frames: Frames in a window.
        size: Height and width in pixels; None for the vision model's own.
        prefix: Positions that the Y-decoder reads an embedding as.
        seed: Of the weights that no part brings.

    Raises:
        CheckpointError: a part is missing, damaged, of another family, or not what its config says.
        ConfigError: the numbers do not fit together.

    Examples:
        `tests/model/test_assembly.py` runs this with small folders of these families.

        >>> from vljepa_model import assemble, write_checkpoint
        >>> parts = assemble(vision="vjepa2-vitl", llama="Llama-3.2-1B", gemma="embeddinggemma-300m")  # doctest: +SKIP
        >>> write_checkpoint(parts, "mine")  # doctest: +SKIP
        PosixPath('mine')
    """
    if pooling not in POOLINGS:
        raise CheckpointError(f"expected pooling {' or '.join(POOLINGS)}, got {pooling!r}")
    x_encoder, vision_files, vision_converters = open_vision(vision, frames=frames, size=size)
    predictor, y_encoder = open_text(llama, last=layers), open_text(gemma)
    parts = [
        Part(prefix="x_encoder.", files=vision_files, converters=vision_converters),
        Part(prefix="predictor.", files=predictor.files, converters=predictor.converters),
        Part(prefix="y_encoder.", files=y_encoder.files, converters=y_encoder.converters),
    ]
    tokenizers: dict[str, Path | bytes] = {"predictor": tokenizer_of(llama), "y_encoder": tokenizer_of(gemma)}
    fixed: dict[str, Tensor] = {}
    dense = open_dense_layers(gemma, y_encoder.stack.width) if pooling == "pipeline" else []
    for index, (_, files, converter) in enumerate(dense):
        parts.append(Part(prefix=f"y_encoder.dense.{index}.", files=files, converters={"weight": converter}))
    if dense and dense[-1][0] == embedding_dim:
        fixed["y_encoder.head.weight"] = torch.eye(embedding_dim)
    y_decoder, sizes = _decoder(decoder, prefix, predictor)
    if sizes is not None:
        tokenizers["y_decoder"] = tokenizer_of(llama if y_decoder is None else str(decoder))
    if y_decoder is not None:
        parts.append(Part(prefix="y_decoder.", files=y_decoder.files, converters=y_decoder.converters))
        if sizes is not None and not sizes.tied:
            converters = output_converters(y_decoder)
            parts.append(Part(prefix="y_decoder.output.", files=y_decoder.whole, converters=converters))
    config = ModelConfig(
        x_encoder=x_encoder,
        predictor=predictor.stack,
        y_encoder=y_encoder.stack,
        y_decoder=sizes,
        embedding_dim=embedding_dim,
        y_dense=tuple(width for width, _, _ in dense),
        **special_tokens(predictor.published),
    )
    return Assembled(
        config=config,
        parts=tuple(parts),
        tokenizers=tokenizers,
        preprocess=vision_preprocess(config, crop_offset=crop_offset(vision)),
        prompts=PROMPTS,
        importer="parts",
        seed=seed,
        fixed=fixed,
    )


def write_checkpoint(
    assembled: Assembled,
    folder: str | Path,
    *,
    dtype: torch.dtype | None = None,
    name: str | None = None,
    license: str = "",
    progress: Progress | None = None,
) -> Path:
    """Write a checkpoint folder that `load_checkpoint`, `vljepa train` and `vljepa export` read.

    Args:
        assembled: What `assemble` or an importer gave.
        folder: Created when it does not exist.
        dtype: Of the matrices; None keeps what each file has. Norms and biases from files are float32.
        name: Of the model; None for the folder's.
        license: Of the weights, as their makers state it.
        progress: Called with bytes done, bytes in all and the name of the next tensor.

    Raises:
        CheckpointError: a file is damaged, or a tensor cannot be stored.
    """
    place = Path(folder)
    with torch.device("meta"):
        shapes = {name: tuple(t.shape) for name, t in VLJEPA(assembled.config).state_dict().items()}
    owners = {
        part.prefix + name: (part, converter)
        for part in assembled.parts
        for name, converter in part.converters.items()
    }
    if surplus := sorted((set(owners) | set(assembled.fixed)) - set(shapes)):
        raise CheckpointError(f"the model has no tensor {surplus[0]}: the parts do not fit together")
    plan = {name: (dtype or _stored_dtype(owners.get(name)), shape) for name, shape in shapes.items()}
    total = sum(kind.itemsize * torch.Size(shape).numel() for kind, shape in plan.values())
    done = 0

    def get(tensor: str) -> Tensor:
        nonlocal done
        (progress or (lambda *_: None))(done, total, tensor)
        kind, shape = plan[tensor]
        done += kind.itemsize * torch.Size(shape).numel()
        if tensor in owners:
            part, converter = owners[tensor]
            return converter.convert(part.files)
        return assembled.fixed.get(tensor, fresh_tensor(tensor, shape, assembled))

    write_config(
        place,
        assembled.config,
        tokenizer_file=assembled.tokenizers,
        preprocess=assembled.preprocess,
        prompts=assembled.prompts,
        metadata={
            "name": name or place.resolve().name,
            "license": license,
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "importer": assembled.importer,
        },
    )
    replace_file(place / WEIGHTS, lambda file: write_tensors(file, plan, get))
    return place


def fresh_tensor(name: str, shape: tuple[int, ...], assembled: Assembled) -> Tensor:
    """A tensor that no file brings, as `layers.initialise` draws it; the same seed and name give the same."""
    if name == "log_temperature":
        return torch.tensor(assembled.config.temperature).log()
    if name.endswith("bias"):
        return torch.zeros(shape)
    if len(shape) == 1:
        return torch.ones(shape)
    digest = hashlib.sha256(f"{assembled.seed} {name}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
    residual = name.rsplit(".", 2)[-2] in ("proj", "fc2", "down")
    depth = assembled.config.decoder.stack.depth if residual else 1
    std = STD / (2 * depth) ** 0.5 if residual else STD
    return torch.randn(shape, generator=generator) * std


def tokenizer_of(folder: str | Path) -> Path:
    """The tokenizer file of a model folder.

    Raises:
        CheckpointError: it has none.
    """
    path = Path(folder) / "tokenizer.json"
    if not path.is_file():
        raise CheckpointError(f"{folder} lacks tokenizer.json: download the whole model folder")
    return path


def special_tokens(published: PublishedConfig) -> dict[str, Any]:
    """Vocabulary and special tokens of the predictor's text model, for `ModelConfig`."""
    vocabulary = published.get("vocab_size", int)
    place = tokenizer_of(published.where.parent)
    inner = open_library_tokenizer(place.read_bytes(), str(place))
    found = _first_token(inner, ("<|finetune_right_pad_id|>", "<pad>", "[PAD]", "<|endoftext|>"))
    out: dict[str, Any] = {"vocab_size": vocabulary}
    for role in ("pad", "bos", "eos"):
        value = published.values.get(f"{role}_token_id")
        token = value[0] if isinstance(value, list) and value else value
        if role == "pad" and not isinstance(token, int):
            token = found
        if isinstance(token, int):
            out[f"{role}_id"] = token
    return out


def vision_preprocess(config: ModelConfig, **changes: Any) -> Preprocess:
    """V-JEPA 2's own: the short side a seventh and more larger than the crop, antialiased, ImageNet statistics."""
    size = config.x_encoder.size
    plain = replace(preprocess_of(config), resize="antialias", short_side=int(size * 256 / 224))
    return replace(plain, **changes)


def _decoder(
    decoder: str | Path | None, prefix: int, predictor: TextFolder
) -> tuple[TextFolder | None, YDecoderConfig | None]:
    if decoder is None:
        return None, None
    if str(decoder) == OWN:
        paper = ModelConfig.preset("paper").decoder
        stack: TextStackConfig = replace(paper.stack, vocab_size=predictor.stack.vocab_size)
        return None, replace(paper, stack=stack, prefix=prefix)
    y_decoder = open_text(decoder)
    return y_decoder, YDecoderConfig(
        stack=y_decoder.stack,
        prefix=prefix,
        tied=y_decoder.tied,
        bos_id=_first_id(y_decoder.published),
        output_bias=not y_decoder.tied and f"{y_decoder.output}.bias" in y_decoder.whole,
        logit_cap=logit_cap(y_decoder.published),
    )


def _first_id(published: PublishedConfig) -> int | None:
    """The token that opens a text; a family that has none (Qwen) puts the one that ends a text there."""
    for key in ("bos_token_id", "eos_token_id"):
        value = published.values.get(key)
        token = value[0] if isinstance(value, list) and value else value
        if isinstance(token, int):
            return token
    return None


def _stored_dtype(owner: tuple[Part, WeightConverter] | None) -> torch.dtype:
    """As in the file, so that nothing is rounded; float32 where something is computed, and for what is drawn anew."""
    if owner is None or owner[1].exact or not owner[1].sources:
        return torch.float32
    part, converter = owner
    kinds = {part.files[name].dtype for name in converter.sources}
    kind = kinds.pop()
    return kind if not kinds and kind in STORED else torch.float32


def _first_token(tokenizer: Any, spellings: Iterable[str]) -> int | None:
    return next((token for text in spellings if (token := tokenizer.token_to_id(text)) is not None), None)
