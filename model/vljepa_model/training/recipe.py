"""What a training run does, in numbers: a frozen dataclass written beside every checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from vljepa_model.errors import ConfigError

__all__ = ["Recipe"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A two-stage run: captions first, then captions and questions mixed (arXiv 2512.10942, section 3).

    Attributes:
        seed: Of weights and data.
        steps: Optimiser steps in all.
        stage_one: Steps of the query-free first stage.
        clips: Clips in a batch, per rank (even: each clip is seen in two successive batches).
        lessons: Queries per clip; the X-encoder runs once for all of them.
        questions: Share of question lessons in the second stage.
        keep: Token budgets drawn from, one per batch.
        keep_odds: Their odds.
        salient: Share of clips whose tokens are chosen by saliency rather than at random.
        lr: Peak learning rate.
        y_encoder_lr: Multiplier for the Y-encoder. The paper's 0.05 suits a pretrained one; ours starts anew.
        weight_decay: Decoupled weight decay of matrices.
        warmup: Steps of linear warm-up.
        decay: Share of the run, at its end, over which the rate falls linearly to zero.
        dense: Weight of the dense loss on the X-encoder's tokens in stage one; halved in stage two.
        decoder: Weight of the Y-decoder's loss. Its gradient stops at the embedding.
        noise: Largest standard deviation, relative to length one, of the noise on embeddings that the Y-decoder reads.
    """

    seed: int = 0
    steps: int = 12000
    stage_one: int = 2000
    clips: int = 64
    lessons: int = 2
    questions: float = 0.5
    keep: tuple[int, ...] = (64, 96, 128, 256)
    keep_odds: tuple[float, ...] = (0.6, 0.25, 0.1, 0.05)
    salient: float = 0.7
    lr: float = 2e-3
    y_encoder_lr: float = 1.0
    weight_decay: float = 0.02
    warmup: int = 100
    decay: float = 0.3
    dense: float = 1.0
    decoder: float = 1.0
    noise: float = 0.6

    def __post_init__(self) -> None:
        if not 0 <= self.stage_one <= self.steps:
            raise ConfigError(f"stage_one must be in 0..{self.steps} steps, got {self.stage_one}")
        if len(self.keep) != len(self.keep_odds) or abs(sum(self.keep_odds) - 1) > 1e-6:
            raise ConfigError("keep and keep_odds need the same length, and the odds must add up to 1")

    def rate(self, step: int) -> float:
        """Learning rate of a step as a share of the peak: warm-up, plateau, linear decay."""
        start = self.steps * (1 - self.decay)
        falling = (self.steps - step) / max(self.steps - start, 1) if step > start else 1.0
        return min((step + 1) / self.warmup, falling) if self.warmup else falling

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """Read what `to_dict` wrote; unknown keys are refused.

        Raises:
            ConfigError: a key is unknown.
        """
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ConfigError(f"recipe: unknown keys {', '.join(unknown)}; known: {', '.join(sorted(known))}")
        plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**plain)
