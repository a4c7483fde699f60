"""The community checkpoint `open-vljepa` (one torch file) with the three public folders it was trained on.

Its file lacks the frozen V-JEPA 2. Its sequence, pooling, preprocessing and prompt are those of its source
(github.com/dion-jy/open-vljepa): text through the tokenizers' own templates, cut at the trained length.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import torch

from vljepa_model.assembly import Assembled, Part, special_tokens, tokenizer_of, vision_preprocess
from vljepa_model.config import ModelConfig
from vljepa_model.errors import CheckpointError
from vljepa_model.families.conversion import WeightConverter, check_tensors
from vljepa_model.families.published_config import PublishedConfig
from vljepa_model.families.text import stack_config, text_converters
from vljepa_model.families.vision import open_vision
from vljepa_model.tensor_files import TensorFiles, open_tensors, read_json

__all__ = ["open_open_vljepa"]

STATE, CONFIG = "model_state_dict.", "config."
PROMPT = "Describe the video."
WHAT = "an open-vljepa checkpoint"


def open_open_vljepa(
    file: str | Path, *, vision: str | Path, llama: str | Path, gemma: str | Path
) -> Assembled:
    """Open `best.pt` and the folders it builds on.

    Args:
        file: The checkpoint.
        vision: V-JEPA 2 folder (`facebook/vjepa2-vitl-fpc64-256`).
        llama: Llama folder (`meta-llama/Llama-3.2-1B`); only its config.json and tokenizer.json are read.
        gemma: EmbeddingGemma folder; only its config.json and tokenizer.json are read.

    Raises:
        CheckpointError: a file is missing or damaged, or they do not fit together.
    """
    whole = open_tensors(file)
    options, state = _Options(whole), whole.beneath(STATE)
    x_encoder, vision_files, vision_converters = open_vision(
        vision, frames=options.get("data.num_frames", 16), size=options.get("data.image_size", 256)
    )
    llama_config, gemma_config = PublishedConfig.read(llama), PublishedConfig.read(gemma)
    llama_stack = stack_config(llama_config, last=options.get("predictor.n_keep_layers", 8))
    gemma_stack = stack_config(gemma_config)
    dim = options.get("predictor.proj_dim", 1536)
    # The file counts the layers that it keeps from 0, and has Gemma's under `model.`.
    predictor = dict(text_converters(llama_config, llama_stack)) | _linear(
        "head", "out_proj", dim, llama_stack.width
    )
    y_encoder = {
        ours: replace(
            converter, sources={f"model.{name}": shape for name, shape in converter.sources.items()}
        )
        for ours, converter in text_converters(gemma_config, gemma_stack).items()
    } | _linear("head", "projector", dim, gemma_stack.width)
    parts = (
        Part(prefix="x_encoder.", files=vision_files, converters=vision_converters),
        Part(prefix="predictor.", files=state.beneath("predictor."), converters=predictor),
        Part(prefix="y_encoder.", files=state.beneath("y_encoder."), converters=y_encoder),
        Part(
            prefix="predictor.visual.",
            files=state,
            converters=_visual(state, x_encoder.width, llama_stack.width),
        ),
    )
    _check(state, parts)
    config = ModelConfig(
        x_encoder=x_encoder,
        predictor=llama_stack,
        y_encoder=gemma_stack,
        y_decoder=None,
        embedding_dim=dim,
        temperature=options.temperature,
        **special_tokens(llama_config),
    )
    return Assembled(
        config=config,
        parts=parts,
        tokenizers={
            "predictor": _cut_at(tokenizer_of(llama), options.get("data.max_query_len", 512)),
            "y_encoder": _cut_at(tokenizer_of(gemma), options.get("data.max_caption_len", 512)),
        },
        preprocess=vision_preprocess(config, short_side=0, sampling="frames", picks="floor"),
        prompts=dict.fromkeys(("caption", "classify", "retrieval"), PROMPT),
        importer="open-vljepa",
    )


class _Options:
    """The plain values of the checkpoint's `config`."""

    def __init__(self, whole: TensorFiles) -> None:
        self.where, self.values = whole.where, whole.beneath(CONFIG).values
        if not self.values or not any(name.startswith(STATE) for name in whole):
            raise CheckpointError(
                f"{self.where} is not {WHAT}: expected `config` and `model_state_dict` in it"
            )
        if self.values.get("predictor.disable_causal_mask", True) is not True:
            raise CheckpointError(
                f"{self.where}: a causal predictor (disable_causal_mask off) is not supported"
            )
        if self.values.get("y_encoder.proj_dim") != self.values.get("predictor.proj_dim"):
            raise CheckpointError(f"{self.where}: predictor and Y-encoder have different proj_dim")

    def get(self, key: str, default: int) -> int:
        value = self.values.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise CheckpointError(f"{self.where}: expected config.{key} above 0, got {value!r}")
        return value

    @property
    def temperature(self) -> float:
        value = self.values.get("training.temperature", 0.07)
        if not isinstance(value, float) or not 0 < value < math.inf:
            raise CheckpointError(f"{self.where}: expected a positive training.temperature, got {value!r}")
        return value


def _check(state: TensorFiles, parts: tuple[Part, ...]) -> None:
    """What belongs to no part is surplus: an unfrozen X-encoder, for one, would have to be used."""
    needed: dict[str, WeightConverter] = dict(parts[-1].converters)
    for part in parts[1:3]:
        for name, converter in part.converters.items():
            sources = {part.prefix + source: shape for source, shape in converter.sources.items()}
            needed[part.prefix + name] = replace(converter, sources=sources)
    check_tensors(state, needed, what=WHAT, ignore=(r".*rotary_emb\..*inv_freq$",))


def _linear(ours: str, theirs: str, rows: int, columns: int) -> dict[str, WeightConverter]:
    return {
        f"{ours}.weight": WeightConverter(sources={f"{theirs}.weight": (rows, columns)}),
        f"{ours}.bias": WeightConverter(sources={f"{theirs}.bias": (rows,)}, exact=True),
    }


def _visual(state: TensorFiles, visual_width: int, width: int) -> dict[str, WeightConverter]:
    """The way from visual tokens to the predictor: one linear layer, or two that are multiplied into one."""
    first, second = "x_encoder.projector", "predictor.vis_proj"
    if f"{first}.weight" not in state:
        converters = _linear("", second, width, visual_width)
        return {name.removeprefix("."): converter for name, converter in converters.items()}
    middle = state.shape(f"{first}.weight")[0]
    weights: dict[str, tuple[int, ...]] = {
        f"{second}.weight": (width, middle),
        f"{first}.weight": (middle, visual_width),
    }
    biases: dict[str, tuple[int, ...]] = {
        f"{second}.weight": (width, middle),
        f"{first}.bias": (middle,),
        f"{second}.bias": (width,),
    }
    return {
        "weight": WeightConverter(sources=weights, make=torch.matmul, exact=True),
        "bias": WeightConverter(
            sources=biases, make=lambda matrix, inner, outer: matrix @ inner + outer, exact=True
        ),
    }


def _cut_at(tokenizer: Path, length: int) -> bytes:
    """A tokenizer file that says itself where texts are cut, as the checkpoint was trained."""
    plain = read_json(tokenizer)
    rule = {"direction": "Right", "max_length": length, "strategy": "LongestFirst", "stride": 0}
    return json.dumps({**plain, "truncation": rule}, ensure_ascii=False).encode()
