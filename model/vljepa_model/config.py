"""Sizes of the four networks, as frozen dataclasses, with the presets `tiny` and `paper`.

Plain numbers: nothing here knows about torch, weights or files.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from vljepa_model.errors import ConfigError

__all__ = ["ModelConfig", "RopeScaling", "TextStackConfig", "XEncoderConfig", "YDecoderConfig"]

T = TypeVar("T")

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

    def __post_init__(self) -> None:
        for name in ("mean", "std"):
            triple = tuple(getattr(self, name))  # JSON gives lists
            if len(triple) != 3 or (name == "std" and min(triple) <= 0):
                raise ConfigError(f"{name} needs three numbers, std above 0, got {triple}")
            object.__setattr__(self, name, triple)
        _require_positive(self, "width", "depth", "heads", "mlp", "patch", "tubelet", "size", "frames")
        _require_multiple("width", self.width, "2 * heads", 2 * self.heads)
        _require_multiple("size", self.size, "patch", self.patch)
        _require_multiple("frames", self.frames, "tubelet", self.tubelet)

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


@dataclass(frozen=True, slots=True, kw_only=True)
class RopeScaling:
    """The `llama3` rule that stretches low rotary frequencies to a longer context."""

    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original_positions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TextStackConfig:
    """A stack of Llama-style blocks; `vocab_size=None` means the model's own vocabulary."""

    width: int
    depth: int
    heads: int
    kv_heads: int
    mlp: int
    head_dim: int = 0  # 0: width // heads
    rope_theta: float = 10000.0
    rope_scaling: RopeScaling | None = None
    norm_eps: float = 1e-5
    vocab_size: int | None = None

    def __post_init__(self) -> None:
        _require_positive(self, "width", "depth", "heads", "kv_heads", "mlp")
        if self.head_dim == 0:
            _require_multiple("width", self.width, "heads", self.heads)
            object.__setattr__(self, "head_dim", self.width // self.heads)
        _require_multiple("head_dim", self.head_dim, "2", 2)
        _require_multiple("heads", self.heads, "kv_heads", self.kv_heads)


@dataclass(frozen=True, slots=True, kw_only=True)
class YDecoderConfig:
    """A causal stack that reads an embedding as `prefix` learned positions."""

    stack: TextStackConfig
    prefix: int

    def __post_init__(self) -> None:
        _require_positive(self, "prefix")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """All four networks and what they share."""

    x_encoder: XEncoderConfig
    predictor: TextStackConfig
    y_encoder: TextStackConfig
    y_decoder: YDecoderConfig
    embedding_dim: int
    vocab_size: int
    pad_id: int = 0
    bos_id: int = 1
    eos_id: int = 2
    temperature: float = 0.07

    def __post_init__(self) -> None:
        _require_positive(self, "embedding_dim", "vocab_size")
        for name in ("pad_id", "bos_id", "eos_id"):
            if not 0 <= getattr(self, name) < self.vocab_size:
                raise ConfigError(
                    f"{name} must lie in the vocabulary of {self.vocab_size}: {getattr(self, name)}"
                )
        if self.temperature <= 0:
            raise ConfigError(f"temperature must be positive, got {self.temperature}")

    def vocabulary(self, stack: TextStackConfig) -> int:
        """Size of the token table of one of this model's stacks."""
        return self.vocab_size if stack.vocab_size is None else stack.vocab_size

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
        name: _build(PARTS[name], part) if name in PARTS and part is not None else part
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


def _require_positive(config: object, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
            raise ConfigError(f"{type(config).__name__}.{name} must be a positive integer, got {value!r}")


def _require_multiple(name: str, value: int, of_name: str, of: int) -> None:
    if value % of:
        raise ConfigError(f"{name} must be a multiple of {of_name}, got {value} and {of}")
