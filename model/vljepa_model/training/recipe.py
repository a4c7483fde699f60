"""What a training run does, in numbers: a frozen dataclass written beside every checkpoint."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vljepa_model.errors import ConfigError
from vljepa_model.runs.settings import RunSettings, plateau_rate

__all__ = ["Recipe"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe(RunSettings):
    """A two-stage run: captions first, then captions and questions mixed (arXiv 2512.10942, section 3).

    The paper starts from a pretrained X-encoder. A run from scratch has a stage zero in its place: the X-encoder alone
    learns to say what covers each tubelet, which is several times cheaper a clip than the whole model.

    Attributes:
        seed: Draws weights and data.
        steps: Optimiser steps in all.
        stage_zero: Steps in which the X-encoder learns alone; 0 where it is pretrained.
        stage_one: Step at which the query-free first stage ends.
        clips: Clips in a batch, per rank (even: each clip is seen in two successive batches).
        lessons: Queries per clip; the X-encoder runs once for all of them.
        questions: Share of question lessons in the second stage.
        keep: Token budgets drawn from, one per batch.
        keep_odds: How likely each budget of `keep` is.
        glimpses: Share of clips in stage zero of which one instant is seen, densely, instead of all of them sparsely.
        finish: Share of the run, at its end, with the token budgets of inference.
        finish_keep: Token budgets drawn from then, with equal odds.
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
    steps: int = 2080
    stage_zero: int = 1300
    stage_one: int = 1400
    clips: int = 64
    lessons: int = 3
    questions: float = 0.45
    keep: tuple[int, ...] = (48, 64, 96)
    keep_odds: tuple[float, ...] = (0.6, 0.3, 0.1)
    glimpses: float = 0.4
    finish: float = 0.02
    finish_keep: tuple[int, ...] = (96, 128, 256)
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
        if not 0 <= self.stage_zero <= self.stage_one <= self.steps:
            raise ConfigError(
                f"expected 0 <= stage_zero <= stage_one <= steps, got {self.stage_zero}, {self.stage_one}, {self.steps}"
            )
        if len(self.keep) != len(self.keep_odds) or abs(sum(self.keep_odds) - 1) > 1e-6:
            raise ConfigError("keep and keep_odds need the same length, and the odds must add up to 1")

    def rate(self, step: int) -> float:
        """Learning rate of a step as a share of the peak: warm-up, plateau, linear decay.

        The networks that join after stage zero are warmed up too.
        """
        return plateau_rate(
            step, steps=self.steps, warmup=self.warmup, decay=self.decay, joined=self.stage_zero
        )

    def budget(self, step: int, rng: np.random.Generator) -> int:
        """How many tokens of each clip a step sees."""
        if step >= self.steps * (1 - self.finish):
            return int(rng.choice(self.finish_keep))
        return int(rng.choice(self.keep, p=self.keep_odds))

    def learning_rate(self, step: int) -> float:
        """Learning rate of a step."""
        return self.lr * self.rate(step)
