"""What a controlled comparison does, in numbers: a frozen dataclass written beside its results."""

from __future__ import annotations

from dataclasses import dataclass

from vljepa_model.config import TextStackConfig
from vljepa_model.errors import ConfigError
from vljepa_model.runs.settings import RunSettings, plateau_rate
from vljepa_runtime.files import check_record
from vljepa_runtime.files.values import Positive

__all__ = ["HEAD_DIM", "Plan", "stack_of"]

HEAD_DIM = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan(RunSettings):
    """Both contenders read the same batches under the same schedule (arXiv 2512.10942, section 4.4).

    Attributes:
        seeds: One pair of runs for each.
        samples: (clip, query, answer) triples that each contender sees in a run.
        batch: Samples per step; also the number of negatives of the contrastive loss.
        clips: Distinct training clips, encoded once.
        held_out: Clips that both are measured on.
        keep: Visual tokens per clip, the most salient ones.
        candidates: Labels that classification chooses from, the right one among them.
        points: Samples seen at which both are measured; the end is always among them.
        lr: Peak learning rate of both.
        weight_decay: Decoupled weight decay of matrices.
        warmup: Steps of linear warm-up.
        decay: Share of the run, at its end, over which the rate falls linearly to zero.
        width: Hidden size of VL-JEPA's predictor, Y-encoder and Y-decoder.
        depth: Blocks in each of these three.
        vlm_width: Hidden size of the VLM; its depth is the one that comes nearest to `ratio`.
        ratio: The VLM's trainable parameters over those of predictor and Y-encoder.
        embedding_dim: Length of an embedding in the shared space.
        noise: Largest standard deviation, relative to length one, of the noise that the Y-decoder learns with.
        text_pairs: Pairs of wordings that both learn from before the contest, without any clip; 0 lets their text
            sides start anew.
        y_encoder_rate: Factor of the Y-encoder's learning rate in the contest; 0.05 in the paper (section 3.1).
    """

    seeds: tuple[int, ...] = (0, 1)
    samples: Positive = 16384
    batch: Positive = 128
    clips: Positive = 4096
    held_out: Positive = 256
    keep: Positive = 64
    candidates: Positive = 128
    points: tuple[int, ...] = (512, 2048, 4096, 8192)
    lr: float = 2e-3
    weight_decay: float = 0.02
    warmup: int = 20
    decay: float = 0.3
    width: Positive = 128
    depth: Positive = 2
    vlm_width: Positive = 192
    ratio: float = 2.0
    embedding_dim: int = 256
    noise: float = 0.3
    text_pairs: int = 0
    y_encoder_rate: float = 1.0

    def __post_init__(self) -> None:
        check_record(self, error=ConfigError)
        if self.samples % self.batch or self.batch > self.clips:
            raise ConfigError(
                f"expected samples a multiple of batch and batch at most clips, "
                f"got {self.samples} samples, batch {self.batch}, {self.clips} clips"
            )
        if self.text_pairs % self.batch:
            raise ConfigError(
                f"expected text_pairs 0 or a multiple of batch, got {self.text_pairs}, batch {self.batch}"
            )
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ConfigError(f"expected one seed or more, each once, got {self.seeds}")
        if self.width % HEAD_DIM or self.vlm_width % HEAD_DIM:
            raise ConfigError(f"width and vlm_width must be multiples of {HEAD_DIM}")

    @property
    def steps(self) -> int:
        """Optimiser steps of one run."""
        return self.samples // self.batch

    @property
    def measured_at(self) -> tuple[int, ...]:
        """Steps after which both are measured, the last one among them."""
        early = {max(1, points // self.batch) for points in self.points if points < self.samples}
        return (*sorted(early), self.steps)

    @property
    def text_steps(self) -> int:
        """Optimiser steps on texts alone, before a run."""
        return self.text_pairs // self.batch

    def learning_rate(self, step: int, *, steps: int) -> float:
        """Learning rate of a step out of so many: warm-up, plateau, linear decay."""
        return self.lr * plateau_rate(step, steps=steps, warmup=self.warmup, decay=self.decay)


def stack_of(width: int, depth: int) -> TextStackConfig:
    """A stack with heads of HEAD_DIM and a gated MLP of 8/3 the width, as in Llama."""
    heads = width // HEAD_DIM
    return TextStackConfig(
        width=width, depth=depth, heads=heads, kv_heads=heads, mlp=-(-width * 8 // 3 // 32) * 32
    )
