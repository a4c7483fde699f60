"""Sizes of the four networks, as frozen dataclasses, with the presets `tiny` and `paper`.

Plain numbers: nothing here knows about torch, weights or files.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from vljepa_model.errors import ConfigError
from vljepa_runtime.files.values import shown
from vljepa_runtime.preprocess_limits import MAX_TOKENS

__all__ = ["ModelConfig", "RopeScaling", "TextStackConfig", "XEncoderConfig", "YDecoderConfig"]

T = TypeVar("T")

# What a configuration may claim: some ten times the largest public encoder or language model. Networks are built
# without storage and compared with the file before anything is allocated, but their constants are made.
LIMITS = {
    **{"width": 1 << 16, "depth": 256, "heads": 1024, "kv_heads": 1024, "mlp": 1 << 20, "head_dim": 4096},
    **{"patch": 512, "tubelet": 64, "size": 4096, "frames": 1024, "rope_grid": 4096, "prefix": 4096},
    **{"embedding_dim": 1 << 16, "vocab_size": 1 << 21, "window": 1 << 24, "original_positions": 1 << 24},
    **{"y_dense": 1 << 16, "local_blocks": 256, "pad_id": 1 << 21, "bos_id": 1 << 21, "eos_id": 1 << 21},
}  # fmt: skip
MAX_ITEMS = 256  # of y_dense and local_blocks

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True, kw_only=True)
class XEncoderConfig:
    """A V-JEPA 2 vision transformer and the pixels it was trained on."""

    width: int
    depth: int
    heads: int
    mlp: int
    patch: int
    tubelet: int = 2
    size: int
    frames: int
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    norm_eps: float = 1e-6
    rope: str = "tiled"  # which frequency a dimension has: `tiled` (V-JEPA 2) or `paired` (V-JEPA 2.1)
    rope_grid: int = 0  # rows and columns count as this many, whatever their number; 0: as many as there are

    def __post_init__(self) -> None:
        if self.rope not in ("tiled", "paired"):
            raise ConfigError(f"rope must be tiled or paired, got {self.rope!r}")
        for name in ("mean", "std"):
            triple = _as_tuple(self, name)  # JSON gives lists
            if len(triple) != 3 or not all(map(_is_finite, triple)) or (name == "std" and min(triple) <= 0):
                raise ConfigError(f"{name} needs three numbers, std above 0, got {triple}")
            object.__setattr__(self, name, triple)
        _require_positive(self, "width", "depth", "heads", "mlp", "patch", "tubelet", "size", "frames")
        _require_whole(self, "rope_grid")
        _require_finite(self, "norm_eps")
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

    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original_positions: int

    def __post_init__(self) -> None:
        _require_finite(self, "factor", "low_freq_factor", "high_freq_factor")
        _require_positive(self, "original_positions")
        if self.low_freq_factor == self.high_freq_factor:
            raise ConfigError(
                f"expected low_freq_factor below high_freq_factor, got both {self.low_freq_factor}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class TextStackConfig:
    """A stack of Llama- or Gemma-style blocks.

    Attributes:
        width: Of the hidden states.
        depth: Blocks.
        heads: Query heads.
        kv_heads: Key and value heads.
        mlp: Width inside the gated MLP.
        head_dim: Of one head; 0 for width // heads.
        rope_theta: Base of the rotary frequencies.
        rope_scaling: Llama's rule for long contexts.
        rope_stretch: Positions are divided by this (`linear` scaling); not in local blocks.
        norm_eps: Of every norm.
        vocab_size: Rows of the token table; None for the model's own vocabulary.
        embedding_scale: Token embeddings are multiplied by this (Gemma: sqrt(width)).
        activation: Of the gate, `silu` or `gelu_tanh`.
        head_norms: Normalise each query and key head.
        sandwich_norms: Normalise what attention and MLP give, too.
        window: In local blocks a position sees those less than this far away; 0 where no block is local.
        local_blocks: Their numbers.
        local_rope_theta: Base of the rotary frequencies in local blocks.
    """

    width: int
    depth: int
    heads: int
    kv_heads: int
    mlp: int
    head_dim: int = 0  # 0: width // heads
    rope_theta: float = 10000.0
    rope_scaling: RopeScaling | None = None
    rope_stretch: float = 1.0
    norm_eps: float = 1e-5
    vocab_size: int | None = None
    embedding_scale: float = 1.0
    activation: str = "silu"
    head_norms: bool = False
    sandwich_norms: bool = False
    window: int = 0
    local_blocks: tuple[int, ...] = ()
    local_rope_theta: float = 10000.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "local_blocks", _whole_items(self, "local_blocks"))  # JSON gives lists
        _require_whole(self, "window", "head_dim")
        _require_finite(
            *(self, "rope_theta", "rope_stretch", "norm_eps", "embedding_scale", "local_rope_theta")
        )
        if self.vocab_size is not None:
            _require_positive(self, "vocab_size")
        _require_positive(self, "width", "depth", "heads", "kv_heads", "mlp")
        if self.activation not in ("silu", "gelu_tanh"):
            raise ConfigError(f"activation must be silu or gelu_tanh, got {self.activation!r}")
        if (self.window > 0) != bool(self.local_blocks):
            raise ConfigError(
                f"window and local_blocks go together, got {self.window} and {self.local_blocks}"
            )
        if any(not 0 <= block < self.depth for block in self.local_blocks):
            raise ConfigError(f"local_blocks must lie in 0..{self.depth - 1}, got {self.local_blocks}")
        if self.head_dim == 0:
            _require_multiple("width", self.width, "heads", self.heads)
            object.__setattr__(self, "head_dim", self.width // self.heads)
        _require_multiple("head_dim", self.head_dim, "2", 2)
        _require_multiple("heads", self.heads, "kv_heads", self.kv_heads)


@dataclass(frozen=True, slots=True, kw_only=True)
class YDecoderConfig:
    """A causal stack that reads an embedding as `prefix` learned positions.

    Attributes:
        stack: Its blocks.
        prefix: How many positions.
        tied: The output matrix is the token table.
        bos_id: The token after the prefix; None for the model's own.
    """

    stack: TextStackConfig
    prefix: int
    tied: bool = True
    bos_id: int | None = None

    def __post_init__(self) -> None:
        _require_positive(self, "prefix")
        _require_flag(self, "tied")
        if self.bos_id is not None:
            _require_whole(self, "bos_id")


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
    embedding_dim: int
    vocab_size: int
    pad_id: int = 0
    bos_id: int = 1
    eos_id: int = 2
    temperature: float = 0.07
    y_dense: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "y_dense", _whole_items(self, "y_dense"))  # JSON gives lists
        _require_positive(self, "embedding_dim", "vocab_size")
        _require_whole(self, "pad_id", "bos_id", "eos_id")
        _require_finite(self, "temperature")
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
        plain = dataclasses.asdict(self)
        plain["x_encoder"]["mean"] = list(self.x_encoder.mean)
        plain["x_encoder"]["std"] = list(self.x_encoder.std)
        plain["y_dense"] = list(self.y_dense)
        stacks = [plain["predictor"], plain["y_encoder"]]
        for stack in [*stacks, plain["y_decoder"]["stack"]] if self.y_decoder else stacks:
            stack["local_blocks"] = list(stack["local_blocks"])
        return plain

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelConfig:
        """Read what `to_dict` wrote.

        Raises:
            ConfigError: for an unknown or missing key, or numbers that do not fit together.
        """
        return _build(cls, values)


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


def _build(cls: type[T], values: Any) -> T:
    if isinstance(values, cls):
        return values
    if not isinstance(values, Mapping):
        raise ConfigError(f"expected a mapping for {cls.__name__}, got {type(values).__name__}")
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise ConfigError(f"unknown keys for {cls.__name__}: {unknown}; known: {sorted(fields)}")
    absent = dataclasses.MISSING
    required = {n for n, f in fields.items() if f.default is absent and f.default_factory is absent}
    if missing := sorted(required - set(values)):
        raise ConfigError(f"missing keys for {cls.__name__}: {missing}")
    parts = {
        name: _build(PARTS[name], part)
        if name in PARTS and (part is not None or name not in MAY_LACK)
        else part
        for name, part in values.items()
    }
    try:
        return cls(**parts)
    except TypeError as error:  # a string where a number belongs
        raise ConfigError(f"wrong type in {cls.__name__}: {error}") from error


# Fields that are configurations themselves; no two classes use one name for different things.
PARTS: dict[str, type[Any]] = {
    "x_encoder": XEncoderConfig,
    "predictor": TextStackConfig,
    "y_encoder": TextStackConfig,
    "y_decoder": YDecoderConfig,
    "stack": TextStackConfig,
    "rope_scaling": RopeScaling,
}


MAY_LACK = {"y_decoder", "rope_scaling"}


def _require_positive(config: object, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
            raise ConfigError(f"{_place(config, name)} must be a positive integer, got {shown(value)}")
    _require_whole(config, *names)


def _require_whole(config: object, *names: str) -> None:
    for name in names:
        _check_whole(getattr(config, name), config, name)


def _check_whole(value: object, config: object, name: str) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= LIMITS[name]:
        raise ConfigError(
            f"{_place(config, name)} must be an integer of 0 to {LIMITS[name]}, got {shown(value)}"
        )


def _require_finite(config: object, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        if not _is_finite(value) or value <= 0:
            raise ConfigError(f"{_place(config, name)} must be a finite number above 0, got {shown(value)}")


def _require_flag(config: object, *names: str) -> None:
    for name in names:
        if not isinstance(value := getattr(config, name), bool):
            raise ConfigError(f"{_place(config, name)} must be true or false, got {shown(value)}")


def _as_tuple(config: object, name: str) -> tuple[Any, ...]:
    value = getattr(config, name)
    if not isinstance(value, (list, tuple)) or len(value) > MAX_ITEMS:
        raise ConfigError(f"{_place(config, name)} must be a list of at most {MAX_ITEMS}, got {shown(value)}")
    return tuple(value)


def _whole_items(config: object, name: str) -> tuple[int, ...]:
    items = _as_tuple(config, name)
    for item in items:
        _check_whole(item, config, name)
    return items


def _is_finite(value: object) -> bool:
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number that no float holds
        return False


def _place(config: object, name: str) -> str:
    return f"{type(config).__name__}.{name}"


def _require_multiple(name: str, value: int, of_name: str, of: int) -> None:
    if value % of:
        raise ConfigError(f"{name} must be a multiple of {of_name}, got {value} and {of}")
