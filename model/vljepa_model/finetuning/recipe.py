"""What a fine-tuning run does, in numbers: a frozen dataclass written beside every checkpoint."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import Enum

from vljepa_model.errors import ConfigError
from vljepa_model.runs.settings import RunSettings
from vljepa_runtime.files import check_record
from vljepa_runtime.files.values import Positive

__all__ = ["FineTuneRecipe", "Only", "ComputeType"]

BATCH = 32


class Only(str, Enum):
    """Which networks learn: `alignment` is predictor and Y-encoder, `decoder` needs no video at all."""

    ALL = "all"
    ALIGNMENT = "alignment"
    DECODER = "decoder"


class ComputeType(str, Enum):
    """Of matrix products; weights and optimiser are float32 either way."""

    AUTO = "auto"
    BF16 = "bf16"
    FP32 = "fp32"

    @property
    def half(self) -> bool | None:
        """As `Run.steps` takes it."""
        return None if self is ComputeType.AUTO else self is ComputeType.BF16


@dataclass(frozen=True, slots=True, kw_only=True)
class FineTuneRecipe(RunSettings):
    """A single-stage run with a cosine schedule, as the paper's second stage has (arXiv 2512.10942, section 3).

    Attributes:
        seed: Decides the order of clips, and the noise.
        steps: Optimiser steps in all.
        batch: Clips per step over all processes together: the number of negatives. None: 32, or as many as there are.
        only: Which networks learn: `all`, `alignment` or `decoder`.
        train_x_encoder: Let the X-encoder learn too; the paper freezes it.
        lr: Peak learning rate.
        y_encoder_lr: Multiplier for the Y-encoder (the paper's 0.05).
        x_encoder_lr: Multiplier for the X-encoder, where it learns.
        weight_decay: Decoupled weight decay of matrices.
        warmup: Steps of linear warm-up.
        final_lr: Where the cosine ends, as a share of the peak.
        decoder: Weight of the Y-decoder's loss. Its gradient stops at the embedding.
        noise: Largest standard deviation, relative to length one, of the noise on embeddings that the Y-decoder reads.
        max_tokens: Longer queries and texts are cut.
        precision: Type of matrix products: `bf16`, `fp32`, or `auto`: bf16 where the device has instructions for it.
        gradient_checkpointing: Keep a block's input alone and compute the rest again on the way back.
    """

    seed: int = 0
    steps: Positive = 1000
    batch: Positive | None = None
    only: Only = Only.ALL
    train_x_encoder: bool = False
    lr: float = 1e-4
    y_encoder_lr: float = 0.05
    x_encoder_lr: float = 0.1
    weight_decay: float = 0.01
    warmup: int = 50
    final_lr: float = 0.01
    decoder: float = 1.0
    noise: float = 0.6
    max_tokens: Positive = 128
    precision: ComputeType = ComputeType.AUTO
    gradient_checkpointing: bool = False

    def __post_init__(self) -> None:
        check_record(self, error=ConfigError)
        if self.only is Only.DECODER and self.train_x_encoder:
            raise ConfigError("a decoder alone is trained without videos: leave train_x_encoder out")

    @property
    def rows(self) -> int:
        """Clips per step, once they are settled.

        Raises:
            ConfigError: they are not: see `for_clips`.
        """
        if self.batch is None:
            raise ConfigError("expected the clips per step, got none: call for_clips")
        return self.batch

    def for_clips(self, clips: int, *, processes: int = 1) -> FineTuneRecipe:
        """The same with the clips per step settled: those asked for, or what suits a number of clips.

        Raises:
            ConfigError: more are asked for than there are, or they cannot be shared out evenly.
        """
        what = "texts" if self.only is Only.DECODER else "clips"
        batch = self.batch or max(processes, min(BATCH, clips) // processes * processes)
        if batch > clips:
            raise ConfigError(
                f"a batch of {batch} needs as many {what}, got {clips}: pass a smaller batch, or none"
            )
        if batch % processes:
            raise ConfigError(f"a batch of {batch} cannot be shared out evenly to {processes} processes")
        return replace(self, batch=batch)

    def rate(self, step: int) -> float:
        """Learning rate of a step as a share of the peak: linear warm-up, then a cosine down to `final_lr`."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        along = (step - self.warmup) / max(self.steps - self.warmup, 1)
        return self.final_lr + (1 - self.final_lr) * 0.5 * (1 + math.cos(math.pi * min(along, 1.0)))

    def learning_rate(self, step: int) -> float:
        """Learning rate of a step."""
        return self.lr * self.rate(step)
