"""Sizes of the four networks, as frozen dataclasses, with the presets `tiny` and `paper`.

Plain numbers: nothing here knows about torch, weights or files.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from vljepa_model.errors import ConfigError
from vljepa_runtime.contract import MAX_TOKENS
from vljepa_runtime.files import AtMost, check_record, plain, read_record
from vljepa_runtime.files.values import Positive, PositiveNumber, one_of

__all__ = ["ModelConfig", "RopeScaling", "TextStackConfig", "XEncoderConfig", "YDecoderConfig"]

# What a configuration may claim: some ten times the largest public encoder or language model. Networks are built
# without storage and compared with the file before anything is allocated, but their constants are made.
Width = Annotated[Positive, AtMost(1 << 16)]
Depth = Annotated[Positive, AtMost(256)]
Heads = Annotated[Positive, AtMost(1024)]
Mlp = Annotated[Positive, AtMost(1 << 20)]
Length = Annotated[Positive, AtMost(4096)]  # pixels of a side, learned positions
Vocabulary = Annotated[Positive, AtMost(1 << 21)]
TokenId = Annotated[int, AtMost(1 << 21)]
Positions = Annotated[int, AtMost(1 << 24)]
Blocks = Annotated[tuple[Annotated[int, AtMost(256)], ...], AtMost(256)]
Widths = Annotated[tuple[Annotated[int, AtMost(1 << 16)], ...], AtMost(256)]

RESIDUALS = ("sequential", "parallel", "parallel_one_norm")
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True, kw_only=True)
class XEncoderConfig:
    """A V-JEPA 2 vision transformer and the pixels it was trained on."""

    width: Width
    depth: Depth
    heads: Heads
    mlp: Mlp
    patch: Annotated[Positive, AtMost(512)]
    tubelet: Annotated[Positive, AtMost(64)] = 2
    size: Length
    frames: Annotated[Positive, AtMost(1024)]
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[PositiveNumber, PositiveNumber, PositiveNumber] = IMAGENET_STD
    norm_eps: PositiveNumber = 1e-6
    # Which frequency a dimension has: `tiled` (V-JEPA 2) or `paired` (V-JEPA 2.1).
    rope: Annotated[str, partial(one_of, known=("tiled", "paired"))] = "tiled"
    rope_grid: Annotated[int, AtMost(4096)] = (
        0  # rows and columns count as this many; 0: as many as there are
    )

    def __post_init__(self) -> None:
        check_record(self, error=ConfigError)
        _require_multiple("width", self.width, "2 * heads", 2 * self.heads)
        _require_multiple("size", self.size, "patch", self.patch)
        _require_multiple("frames", self.frames, "tubelet", self.tubelet)
        if (tokens := math.prod(self.grid)) > MAX_TOKENS:
            raise ConfigError(f"a clip must have at most {MAX_TOKENS} tubelets, got {tokens}")

    @property
    def head_dim(self) -> int:
        """Dimensions of one attention head."""
        return self.width // self.heads

    @property
    def patch_dim(self) -> int:
        """Numbers in one tubelet: tubelet * patch * patch * 3."""
        return self.tubelet * self.patch * self.patch * 3

    @property
    def grid(self) -> tuple[int, int, int]:
        """Tubelets along (time, height, width) of a full clip."""
        side = self.size // self.patch
        return self.frames // self.tubelet, side, side

    @property
    def row_step(self) -> float:
        """How far apart two neighbouring rows or columns are for the rotary tables."""
        side = self.grid[1]
        return 1.0 if self.rope_grid == 0 or side == 1 else (self.rope_grid - 1) / (side - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class RopeScaling:
    """The `llama3` rule that stretches low rotary frequencies to a longer context."""

    factor: PositiveNumber
    low_freq_factor: PositiveNumber
    high_freq_factor: PositiveNumber
    original_positions: Annotated[Positive, AtMost(1 << 24)]

    def __post_init__(self) -> None:
        check_record(self, error=ConfigError)
        if self.low_freq_factor == self.high_freq_factor:
            raise ConfigError(
                f"expected low_freq_factor below high_freq_factor, got both {self.low_freq_factor}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class TextStackConfig:
    """A stack of text blocks: Llama's, and what other families of causal language models do otherwise.

    Attributes:
        width: Length of a hidden state.
        depth: How many blocks.
        heads: Query heads.
        kv_heads: Key and value heads.
        mlp: Width inside the gated MLP.
        head_dim: Length of one head; 0 for width // heads.
        rope_theta: Base of the rotary frequencies.
        rope_scaling: Llama's rule for long contexts.
        rope_stretch: Positions are divided by this (`linear` scaling); not in local blocks.
        norm_eps: Added to the mean square in every norm.
        vocab_size: Rows of the token table; None for the model's own vocabulary.
        embedding_scale: Token embeddings are multiplied by this (Gemma: sqrt(width)).
        activation: Of the gate, or of the MLP where it has none: `silu`, `gelu_tanh` or `gelu`.
        gated: The MLP multiplies its activation with a second product.
        norm: `rms`, or `layer` with a mean and a bias.
        residual: `sequential`; `parallel`, where attention and MLP read the same sum and both are added to it; or
            `parallel_one_norm`, where they share the norm, too (Phi).
        qkv_bias: Queries, keys and values have biases (Qwen 2).
        proj_bias: What attention gives has one.
        mlp_bias: Both layers of the MLP have one.
        head_norms: Normalise each query and key head.
        sandwich_norms: Normalise what attention and MLP give, too.
        window: In local blocks a position sees those less than this far away; 0 where no block is local.
        local_blocks: Which blocks those are, from 0.
        local_rope_theta: Base of the rotary frequencies in local blocks.
        rotary_dim: How many dimensions of a head turn with the position; 0 for all.
        unturned_blocks: Blocks whose heads know no position (SmolLM 3).
        score_scale: Of attention scores; None for head_dim ** -0.5.
        score_cap: Attention scores are bent to lie within this (Gemma 2); None for no bound.
    """

    width: Width
    depth: Depth
    heads: Heads
    kv_heads: Heads
    mlp: Mlp
    head_dim: Annotated[int, AtMost(4096)] = 0  # 0: width // heads
    rope_theta: PositiveNumber = 10000.0
    rope_scaling: RopeScaling | None = None
    rope_stretch: PositiveNumber = 1.0
    norm_eps: PositiveNumber = 1e-5
    vocab_size: Vocabulary | None = None
    embedding_scale: PositiveNumber = 1.0
    activation: Annotated[str, partial(one_of, known=("silu", "gelu_tanh", "gelu"))] = "silu"
    gated: bool = True
    norm: Annotated[str, partial(one_of, known=("rms", "layer"))] = "rms"
    residual: Annotated[str, partial(one_of, known=RESIDUALS)] = "sequential"
    qkv_bias: bool = False
    proj_bias: bool = False
    mlp_bias: bool = False
    head_norms: bool = False
    sandwich_norms: bool = False
    window: Positions = 0
    local_blocks: Blocks = ()
    local_rope_theta: PositiveNumber = 10000.0
    rotary_dim: Annotated[int, AtMost(4096)] = 0
    unturned_blocks: Blocks = ()
    score_scale: PositiveNumber | None = None
    score_cap: PositiveNumber | None = None

    def __post_init__(self) -> None:
        check_record(self, error=ConfigError)
        if (self.window > 0) != bool(self.local_blocks):
            raise ConfigError(
                f"window and local_blocks go together, got {self.window} and {self.local_blocks}"
            )
        for name in ("local_blocks", "unturned_blocks"):
            if any(not 0 <= block < self.depth for block in getattr(self, name)):
                raise ConfigError(f"{name} must lie in 0..{self.depth - 1}, got {getattr(self, name)}")
        if set(self.local_blocks) & set(self.unturned_blocks):
            raise ConfigError("a block is local or unturned, not both")
        if self.residual != "sequential" and self.sandwich_norms:
            raise ConfigError("sandwich_norms belong to a sequential residual")
        if self.head_dim == 0:
            _require_multiple("width", self.width, "heads", self.heads)
            object.__setattr__(self, "head_dim", self.width // self.heads)
        _require_multiple("head_dim", self.head_dim, "2", 2)
        _require_multiple("rotary_dim", self.rotary_dim, "2", 2)
        if not 0 <= self.rotary_dim <= self.head_dim:
            raise ConfigError(f"rotary_dim must lie in 0..{self.head_dim}, got {self.rotary_dim}")
        _require_multiple("heads", self.heads, "kv_heads", self.kv_heads)


@dataclass(frozen=True, slots=True, kw_only=True)
class YDecoderConfig:
    """A causal stack that reads an embedding as `prefix` learned positions.

    Attributes:
        stack: Sizes of its blocks.
        prefix: How many positions an embedding takes.
        tied: The output matrix is the token table.
        bos_id: The token after the prefix; None for the model's own.
        output_bias: The output matrix, which is not tied then, has a bias (Phi).
        logit_cap: Logits are bent to lie within this (Gemma 2); None for no bound.
    """

    stack: TextStackConfig
    prefix: Length
    tied: bool = True
    bos_id: TokenId | None = None
    output_bias: bool = False
    logit_cap: PositiveNumber | None = None

    def __post_init__(self) -> None:
        check_record(self, error=ConfigError)
        if self.tied and self.output_bias:
            raise ConfigError("output_bias needs an output matrix of its own (tied: false)")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """All four networks and what they share.

    Attributes:
        x_encoder: Pixels to visual tokens.
        predictor: Visual tokens and a query to an embedding.
        y_encoder: A text to an embedding.
        y_decoder: An embedding to a text; None for a model without one.
        embedding_dim: Length of an embedding.
        vocab_size: Of the stacks that name none of their own.
        pad_id: Padding, in that vocabulary.
        bos_id: First token of a decoded text.
        eos_id: Last token of a decoded text.
        temperature: Of the contrastive loss, at its start.
        y_dense: Widths of bias-free linear layers between the Y-encoder's mean and its head.
    """

    x_encoder: XEncoderConfig
    predictor: TextStackConfig
    y_encoder: TextStackConfig
    y_decoder: YDecoderConfig | None
    embedding_dim: Width
    vocab_size: Vocabulary
    pad_id: TokenId = 0
    bos_id: TokenId = 1
    eos_id: TokenId = 2
    temperature: PositiveNumber = 0.07
    y_dense: Widths = ()

    def __post_init__(self) -> None:
        check_record(self, error=ConfigError)
        for name in ("pad_id", "bos_id", "eos_id"):
            if getattr(self, name) >= self.vocab_size:
                raise ConfigError(
                    f"{name} must lie in the vocabulary of {self.vocab_size}: {getattr(self, name)}"
                )

    def vocabulary(self, stack: TextStackConfig) -> int:
        """Size of the token table of one of this model's stacks."""
        return self.vocab_size if stack.vocab_size is None else stack.vocab_size

    @property
    def decoder(self) -> YDecoderConfig:
        """The Y-decoder's sizes.

        Raises:
            ConfigError: the model has none.
        """
        if self.y_decoder is None:
            raise ConfigError("this model has no Y-decoder: import or train one with it")
        return self.y_decoder

    @classmethod
    def preset(cls, name: str) -> ModelConfig:
        """Build a named configuration.

        Args:
            name: `tiny` (the model this project trains and ships) or `paper` (the published sizes).

        Raises:
            ConfigError: for any other name.
        """
        builders = {"tiny": _tiny, "paper": _paper}
        if name not in builders:
            raise ConfigError(f"expected a preset of {sorted(builders)}, got {name!r}")
        return builders[name]()

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers, lists and dicts, ready for JSON."""
        found: dict[str, Any] = plain(self)
        return found

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelConfig:
        """Read what `to_dict` wrote.

        Raises:
            ConfigError: for an unknown or missing key, or numbers that do not fit together.
        """
        return read_record(cls, values, "ModelConfig", error=ConfigError)


def _tiny() -> ModelConfig:
    return ModelConfig(
        x_encoder=XEncoderConfig(width=192, depth=6, heads=3, mlp=768, patch=12, size=96, frames=8),
        predictor=TextStackConfig(width=192, depth=3, heads=6, kv_heads=3, mlp=512),
        y_encoder=TextStackConfig(width=192, depth=3, heads=6, kv_heads=6, mlp=512),
        y_decoder=YDecoderConfig(
            stack=TextStackConfig(width=192, depth=3, heads=6, kv_heads=3, mlp=512), prefix=4
        ),
        embedding_dim=256,
        vocab_size=1024,
    )


def _paper() -> ModelConfig:
    """The sizes of arXiv 2512.10942: V-JEPA 2 ViT-L, 8 layers of Llama-3.2-1B, EmbeddingGemma.

    Two parts are this project's own. The Y-encoder has EmbeddingGemma's sizes but this package's block. The
    paper says nothing about the Y-decoder; ours has about the 0.23 B parameters its total of 1.6 B leaves.
    """
    scaling = RopeScaling(factor=32.0, low_freq_factor=1.0, high_freq_factor=4.0, original_positions=8192)
    llama: dict[str, Any] = {"rope_theta": 500000.0, "rope_scaling": scaling}
    decoder = TextStackConfig(width=1024, depth=6, heads=16, kv_heads=4, mlp=4096, rope_theta=500000.0)
    return ModelConfig(
        x_encoder=XEncoderConfig(width=1024, depth=24, heads=16, mlp=4096, patch=16, size=256, frames=16),
        predictor=TextStackConfig(width=2048, depth=8, heads=32, kv_heads=8, mlp=8192, **llama),
        y_encoder=TextStackConfig(
            width=768,
            depth=24,
            heads=3,
            kv_heads=1,
            head_dim=256,
            mlp=1152,
            rope_theta=1e6,
            norm_eps=1e-6,
            vocab_size=262144,
        ),
        y_decoder=YDecoderConfig(stack=decoder, prefix=8),
        embedding_dim=1536,
        vocab_size=128256,
        pad_id=128004,
        bos_id=128000,
        eos_id=128001,
    )


def _require_multiple(name: str, value: int, of_name: str, of: int) -> None:
    if value % of:
        raise ConfigError(f"{name} must be a multiple of {of_name}, got {value} and {of}")
