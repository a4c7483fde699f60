"""Text model folders of the families that are known, opened as tensors for our one `TextStack`.

A family is a function that reads its config and a `Layout` of its tensors' names; adding one is a row here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from vljepa_model.config import TextStackConfig
from vljepa_model.errors import CheckpointError
from vljepa_model.families import gemma, llama, phi
from vljepa_model.families.conversion import Converters, WeightConverter, check_tensors, first_prefix
from vljepa_model.families.layout import Layout, stack_converters
from vljepa_model.families.published_config import PublishedConfig
from vljepa_model.tensor_files import TensorFiles, open_tensors

__all__ = ["FAMILIES", "TextFolder", "open_text", "output_converters", "stack_config", "text_converters"]

PREFIXES = ("", "model.", "language_model.model.", "model.language_model.", "gpt_neox.")
LEFT = (r"(lm_head|embed_out)\.(weight|bias)$", r".*rotary_emb\.inv_freq$")


class _ReadConfig(Protocol):
    def __call__(self, published: PublishedConfig, *, last: int) -> TextStackConfig: ...


FAMILIES: Mapping[str, tuple[_ReadConfig, Layout]] = {
    name: (read, layout)
    for read, layouts in (
        (llama.llama_config, llama.FAMILIES),
        (gemma.gemma_config, gemma.FAMILIES),
        (phi.phi_config, phi.FAMILIES),
    )
    for name, layout in layouts.items()
}
"""Per `model_type` what reads its config, and what its tensors are called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFolder:
    """An opened text model folder.

    Attributes:
        published: The content of config.json.
        stack: Our sizes of the layers that are taken.
        files: The tensors, checked against the configuration.
        converters: How they become `embed.weight` and `stack.*`.
        whole: All tensors of the folder, an output matrix among them.
        layout: What its tensors are called.
    """

    published: PublishedConfig
    stack: TextStackConfig
    files: TensorFiles
    converters: Converters
    whole: TensorFiles
    layout: Layout

    @property
    def output(self) -> str:
        """What the output matrix is called in the whole folder; empty where there is none."""
        names = (self.layout.output, f"language_model.{self.layout.output}")
        return next((name for name in names if f"{name}.weight" in self.whole), "")

    @property
    def tied(self) -> bool:
        """Whether the output matrix is the token table: as the config says, or else as no other one is there."""
        return self.published.get("tie_word_embeddings", bool, not self.output)


def open_text(folder: str | Path, *, last: int | None = None) -> TextFolder:
    """Open a text model's folder.

    Args:
        folder: With config.json and weights; a causal LM's output matrix is left.
        last: Take only so many layers, the last; None for all.

    Raises:
        CheckpointError: the family is unknown, or the tensors are not those of the config.
    """
    published = PublishedConfig.read(folder)
    stack = stack_config(published, last=last)
    layers = published.get("num_hidden_layers", int)
    what = f"a {published.family} model of {layers} layers"
    whole = open_tensors(folder)
    layout = FAMILIES[published.family][1]
    files = first_prefix(whole, PREFIXES, f"{layout.table}.weight", what=what)
    converters = text_converters(published, stack, first=layers - stack.depth)
    earlier = tuple(rf"layers\.{index}\." for index in range(layers - stack.depth))
    check_tensors(files, converters, what=what, ignore=(*LEFT, *layout.ignored, *earlier))
    return TextFolder(
        published=published, stack=stack, files=files, converters=converters, whole=whole, layout=layout
    )


def stack_config(published: PublishedConfig, *, last: int | None = None) -> TextStackConfig:
    """Our sizes of a text model's config.

    Raises:
        CheckpointError: the family is unknown, it asks for something our stack lacks, or has too few layers.
    """
    published.require_family(tuple(FAMILIES), "a text model of these families")
    layers = published.get("num_hidden_layers", int)
    if last is not None and not 1 <= last <= layers:
        raise CheckpointError(f"{published.where}: expected to take 1 to {layers} layers, got {last}")
    return FAMILIES[published.family][0](published, last=last or layers)


def text_converters(published: PublishedConfig, stack: TextStackConfig, *, first: int = 0) -> Converters:
    """How `embed.weight` and `stack.*` of ours are made of a family's tensors."""
    layout = FAMILIES[published.family][1]
    shape = (published.get("vocab_size", int), stack.width)
    table = WeightConverter(sources={f"{layout.table}.weight": shape})
    layers = stack_converters(stack, layout, first=first)
    return {"embed.weight": table} | {f"stack.{name}": converter for name, converter in layers.items()}


def output_converters(folder: TextFolder) -> Converters:
    """How the output matrix of a causal language model that is not its token table becomes ours, with its bias.

    Raises:
        CheckpointError: the folder lacks it.
    """
    shapes: dict[str, tuple[int, ...]] = {
        "weight": (folder.published.get("vocab_size", int), folder.stack.width)
    }
    name, whole = folder.output, folder.whole
    if f"{name}.bias" in whole:
        shapes["bias"] = shapes["weight"][:1]
    for kind, shape in shapes.items():
        if not name or whole.shape(f"{name}.{kind}") != shape:
            raise CheckpointError(
                f"{whole.where}: expected an output matrix {folder.layout.output}.{kind} {shape}, as its config "
                "says that it is not the token table (tie_word_embeddings)"
            )
    return {
        kind: WeightConverter(sources={f"{name}.{kind}": shape}, exact=kind == "bias")
        for kind, shape in shapes.items()
    }
