"""What a family calls the tensors of its text layers, and how they become those of our one `TextStack`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from vljepa_model.config import TextStackConfig
from vljepa_model.families.conversion import Converters, WeightConverter, concatenated
from vljepa_model.rotary import rotary_order

__all__ = ["LLAMA", "Layout", "stack_converters"]

Shape = tuple[int, ...]
Sources = Mapping[str, Shape]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Names of a family's tensors, as transformers writes them; Llama's where nothing else is said.

    Attributes:
        table: Token embeddings.
        norm: The last norm.
        output: The output matrix beside the model.
        norms: Of a layer, by our name.
        head_norms: Of queries and of keys.
        qkv: Queries, keys and values, or one matrix of them.
        interleaved: That matrix has a head's query, key and value rows one after the other.
        proj: What attention gives.
        up: Gate and up, or one matrix of them; the first layer of an MLP without a gate.
        down: What the MLP gives.
        centred: Norm scales are stored minus one.
        ignored: Patterns of names that are computed again.
    """

    table: str = "embed_tokens"
    norm: str = "norm"
    output: str = "lm_head"
    norms: Mapping[str, str] = field(
        default_factory=lambda: {"norm1": "input_layernorm", "norm2": "post_attention_layernorm"}
    )
    head_norms: tuple[str, str] = ("self_attn.q_norm", "self_attn.k_norm")
    qkv: tuple[str, ...] = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
    interleaved: bool = False
    proj: str = "self_attn.o_proj"
    up: tuple[str, ...] = ("mlp.gate_proj", "mlp.up_proj")
    down: str = "mlp.down_proj"
    centred: bool = False
    ignored: tuple[str, ...] = ()


LLAMA = Layout()


def stack_converters(config: TextStackConfig, layout: Layout = LLAMA, *, first: int = 0) -> Converters:
    """How `TextStack`'s tensors are made of a family's layers.

    Args:
        config: Our sizes; its depth says how many layers are taken.
        layout: The family's names.
        first: Number of the first layer taken (the paper starts at 8 of 16).
    """
    out = dict(_norm(config, layout, "norm", layout.norm))
    for index in range(config.depth):
        layer, block = f"layers.{first + index}", f"blocks.{index}"
        for ours, theirs in layout.norms.items():
            out |= _norm(config, layout, f"{block}.{ours}", f"{layer}.{theirs}")
        if config.head_norms:
            for ours, theirs in zip(("query", "key"), layout.head_norms):
                out[f"{block}.head_norm.{ours}"] = WeightConverter(
                    sources={f"{layer}.{theirs}.weight": (config.head_dim,)},
                    make=_Scale(layout.centred, _order(config)),
                    exact=True,
                )
        out |= {f"{block}.{name}": made for name, made in _linear_layers(config, layout, layer)}
    return out


def _norm(config: TextStackConfig, layout: Layout, ours: str, theirs: str) -> Converters:
    shape = (config.width,)
    scale = _Scale(layout.centred) if layout.centred else concatenated
    out = {f"{ours}.weight": WeightConverter(sources={f"{theirs}.weight": shape}, make=scale, exact=True)}
    if config.norm == "layer":
        out[f"{ours}.bias"] = WeightConverter(sources={f"{theirs}.bias": shape}, exact=True)
    return out


def _linear_layers(
    config: TextStackConfig, layout: Layout, layer: str
) -> Iterator[tuple[str, WeightConverter]]:
    """The matrices of a layer, and the biases of those that have one."""
    heads = [count * config.head_dim for count in (config.heads, config.kv_heads, config.kv_heads)]
    ups = [config.mlp] * (2 if config.gated else 1)
    packed = _Packed(config, interleaved=layout.interleaved)
    made = {
        "qkv": (layout.qkv, heads, config.width, config.qkv_bias),
        "proj": ((layout.proj,), [config.width], heads[0], config.proj_bias),
        "gate_up" if config.gated else "up": (layout.up, ups, config.width, config.mlp_bias),
        "down": ((layout.down,), [config.width], config.mlp, config.mlp_bias),
    }
    for ours, (names, rows, columns, biased) in made.items():
        rows = rows if len(names) == len(rows) else [sum(rows)]
        make = packed if ours == "qkv" and not packed.as_it_is else concatenated
        for kind, rest in (("weight", (columns,)), ("bias", ())):
            if kind == "weight" or biased:
                sources: Sources = {
                    f"{layer}.{name}.{kind}": (height, *rest) for name, height in zip(names, rows)
                }
                yield f"{ours}.{kind}", WeightConverter(sources=sources, make=make, exact=kind == "bias")


def _order(config: TextStackConfig) -> Tensor | None:
    """Of the dimensions of a head that turns, where only a part of it does."""
    return (
        None
        if config.rotary_dim in (0, config.head_dim)
        else rotary_order(config.head_dim, config.rotary_dim)
    )


class _Scale:
    """A norm's scale as ours: centred ones get their one back, those of heads the order of their dimensions."""

    def __init__(self, centred: bool, order: Tensor | None = None) -> None:
        self.offset, self.order = (1.0 if centred else 0.0), order

    def __call__(self, weight: Tensor) -> Tensor:
        scale = weight + self.offset
        return scale if self.order is None else scale[self.order]


class _Packed:
    """Query, key and value rows as one matrix or bias, the dimensions of queries and keys in `rotary_order`."""

    def __init__(self, config: TextStackConfig, *, interleaved: bool) -> None:
        self.heads, self.kv_heads, self.head_dim = config.heads, config.kv_heads, config.head_dim
        self.order, self.interleaved = _order(config), interleaved

    @property
    def as_it_is(self) -> bool:
        """Whether rows only have to be put one below the other."""
        return self.order is None and not self.interleaved

    def __call__(self, *parts: Tensor) -> Tensor:
        rows = concatenated(*parts)
        apart = rows.reshape(-1, self.head_dim, *rows.shape[1:])
        if self.interleaved:
            apart = torch.cat([apart[start::3] for start in range(3)])
        if self.order is not None:
            turning, values = apart[: self.heads + self.kv_heads], apart[self.heads + self.kv_heads :]
            apart = torch.cat((turning[:, self.order], values))
        return apart.flatten(0, 1)
