"""What a task is: it says what it would ask of a clip, takes the answers, and gives numbers at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from vljepa_evaluation.metrics import Estimate
from vljepa_evaluation.tasks.protocol import Evaluable, Float32

__all__ = ["OneQuery", "Task", "TaskResult"]

Shown = TypeVar("Shown", contravariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    """The numbers of one task.

    Attributes:
        task: Which task, such as `vqa/count`.
        headline: Key of the metric that stands for the task.
        metrics: Estimates by name.
        chance: What guessing gives on the headline; None where that has no meaning.
        note: How it was measured, in a few words; or why it was not.
        samples: The headline's value per clip, in the order of the seeds, so that two models can be compared clip
            by clip.
        groups: Samples with equal numbers are of one video; empty where every sample stands alone.
        chosen: The candidate chosen per sample, by its number; empty where there is nothing to choose from.
        embeddings: (n, S), the predicted one per sample; empty where nobody compares them.
        examples: A few outputs beside the truth, for people.
    """

    task: str
    headline: str = ""
    metrics: Mapping[str, Estimate] = field(default_factory=dict)
    chance: float | None = None
    note: str = ""
    samples: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    groups: tuple[int, ...] = ()
    chosen: tuple[int, ...] = ()
    embeddings: Float32 = field(default_factory=lambda: np.empty((0, 0), np.float32))
    examples: tuple[tuple[str, str], ...] = ()

    @property
    def measured(self) -> bool:
        """False when the task was skipped; `note` says why."""
        return bool(self.metrics)

    @property
    def main(self) -> Estimate | None:
        """The headline's estimate."""
        return self.metrics.get(self.headline)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, without what is kept per sample."""
        return {
            "task": self.task,
            "headline": self.headline,
            "metrics": {name: estimate.to_dict() for name, estimate in self.metrics.items()},
            "chance": self.chance,
            "note": self.note,
            "examples": [list(pair) for pair in self.examples],
        }


class Task(Protocol[Shown]):
    """One held-out task while it is being measured; what it is shown has `frames` and the truth."""

    @property
    def name(self) -> str:
        """Of the report, such as `vqa/colour`."""

    @property
    def supply(self) -> str:
        """Which clips it wants: a key of `run.SUPPLIES`, or `own`."""

    @property
    def wanted(self) -> int:
        """Clips that it still wants."""

    def queries(self, clip: Shown, seed: int, /) -> Sequence[str]:
        """What to ask of this clip; nothing when the clip is of no use. `take` follows at once if not empty."""

    def take(self, embeddings: Sequence[Float32]) -> None:
        """The predicted embedding (S,) per query just asked."""

    def result(self, model: Evaluable) -> TaskResult:
        """The numbers, once all clips were seen."""


class OneQuery:
    """The part of a task that asks one thing of each clip.

    Args:
        clips: How many are asked.
    """

    def __init__(self, clips: int) -> None:
        self.wanted = clips
        self._predicted: list[Float32] = []

    def take(self, embeddings: Sequence[Float32]) -> None:
        """Keep the one embedding (S,)."""
        self._predicted.append(embeddings[0])
        self.wanted -= 1
