"""Text model folders of the Llama and Gemma families, opened as tensors for our one `TextStack`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from vljepa_model.config import TextStackConfig
from vljepa_model.errors import CheckpointError
from vljepa_model.families import gemma, llama
from vljepa_model.families.conversion import Converters, WeightConverter, check_tensors, first_prefix
from vljepa_model.families.published_config import PublishedConfig
from vljepa_model.tensor_files import TensorFiles, open_tensors

__all__ = ["TextFolder", "open_text", "stack_config", "stack_converters", "text_converters"]

PREFIXES = ("", "model.", "language_model.model.", "model.language_model.")
LEFT = (r"lm_head\.weight$", r".*rotary_emb\.inv_freq$")


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFolder:
    """An opened text model folder.

    Attributes:
        published: The content of config.json.
        stack: Our sizes of the layers that are taken.
        files: The tensors, checked against the configuration.
        converters: How they become `embed.weight` and `stack.*`.
        whole: All tensors of the folder, an output matrix among them.
    """

    published: PublishedConfig
    stack: TextStackConfig
    files: TensorFiles
    converters: Converters
    whole: TensorFiles


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
    files = first_prefix(whole, PREFIXES, "embed_tokens.weight", what=what)
    converters = text_converters(published, stack, first=layers - stack.depth)
    earlier = tuple(rf"layers\.{index}\." for index in range(layers - stack.depth))
    check_tensors(files, converters, what=what, ignore=(*LEFT, *earlier))
    return TextFolder(published=published, stack=stack, files=files, converters=converters, whole=whole)


def stack_config(published: PublishedConfig, *, last: int | None = None) -> TextStackConfig:
    """Our sizes of a text model's config.

    Raises:
        CheckpointError: the family is unknown, it asks for something our stack lacks, or has too few layers.
    """
    published.require_family(
        (*llama.FAMILIES, *gemma.FAMILIES), "a text model of the Llama or Gemma families"
    )
    layers = published.get("num_hidden_layers", int)
    if last is not None and not 1 <= last <= layers:
        raise CheckpointError(f"{published.where}: expected to take 1 to {layers} layers, got {last}")
    read = gemma.gemma_config if published.family in gemma.FAMILIES else llama.llama_config
    return read(published, last=last or layers)


def text_converters(published: PublishedConfig, stack: TextStackConfig, *, first: int = 0) -> Converters:
    """How `embed.weight` and `stack.*` of ours are made of a family's tensors."""
    table = WeightConverter(sources={"embed_tokens.weight": (published.get("vocab_size", int), stack.width)})
    layers = stack_converters(
        stack,
        first=first,
        centred=published.family in gemma.FAMILIES,
        query_factor=gemma.query_factor(published),
    )
    return {"embed.weight": table} | {f"stack.{name}": converter for name, converter in layers.items()}


def stack_converters(
    config: TextStackConfig, *, first: int = 0, centred: bool = False, query_factor: float = 1.0
) -> Converters:
    """How `TextStack`'s tensors are made of a family's layers (names as in transformers).

    Args:
        config: Our sizes; its depth says how many layers are taken.
        first: Number of the first layer taken (the paper starts at 8 of 16).
        centred: Norm scales are stored minus one, as Gemma's are.
        query_factor: Goes into the scale of the queries' norm, so that the network needs no setting for it.
    """
    width, mlp, dim = config.width, config.mlp, config.head_dim
    norms = {"norm1": "input_layernorm", "norm2": "post_attention_layernorm"}
    if config.sandwich_norms:
        norms |= {
            "after1": "post_attention_layernorm",
            "norm2": "pre_feedforward_layernorm",
            "after2": "post_feedforward_layernorm",
        }

    def norm(name: str, size: int, factor: float = 1.0) -> WeightConverter:
        return WeightConverter(sources={f"{name}.weight": (size,)}, make=_Scale(centred, factor), exact=True)

    out = {"norm.weight": norm("norm", width)}
    for index in range(config.depth):
        layer, block = f"layers.{first + index}", f"blocks.{index}"
        out |= {f"{block}.{ours}.weight": norm(f"{layer}.{theirs}", width) for ours, theirs in norms.items()}
        if config.head_norms:
            out[f"{block}.head_norm.query"] = norm(f"{layer}.self_attn.q_norm", dim, query_factor)
            out[f"{block}.head_norm.key"] = norm(f"{layer}.self_attn.k_norm", dim)
        rows = {"q": config.heads * dim, "k": config.kv_heads * dim, "v": config.kv_heads * dim}
        matrices = {
            "qkv": {f"self_attn.{name}_proj": (height, width) for name, height in rows.items()},
            "proj": {"self_attn.o_proj": (width, rows["q"])},
            "gate_up": {f"mlp.{name}_proj": (mlp, width) for name in ("gate", "up")},
            "down": {"mlp.down_proj": (width, mlp)},
        }
        for ours, parts in matrices.items():
            sources = {f"{layer}.{name}.weight": shape for name, shape in parts.items()}
            out[f"{block}.{ours}.weight"] = WeightConverter(sources=sources)
    return out


class _Scale:
    """A norm's scale as ours: centred ones get their one back, and a factor is folded in."""

    def __init__(self, centred: bool, factor: float) -> None:
        self.offset, self.factor = (1.0 if centred else 0.0), factor

    def __call__(self, weight: Tensor) -> Tensor:
        return (weight + self.offset) * self.factor
