"""What a task is: it says what it would ask of a clip, takes the answers, and gives numbers at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from vljepa_evaluation.metrics import Estimate, Span, mean_of
from vljepa_evaluation.tasks.protocol import Evaluable, Float32
from vljepa_runtime.errors import InputError

__all__ = ["MARGIN", "OneQuery", "Task", "TaskResult"]

MARGIN = "margin"
"""Metric of many tasks: how much nearer, in cosine, the right candidate is than the best wrong one."""
SHARE: Span = (0.0, 1.0)
PER_SAMPLE = ("chosen", "truth", "shown")
Float64 = npt.NDArray[np.float64]

Shown = TypeVar("Shown", contravariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    """The numbers of one task.

    Attributes:
        task: Which task, such as `vqa/count`.
        headline: Key of the metric that stands for the task.
        metrics: Estimates by name.
        scores: The values per clip behind each metric, in the order of the seeds, so that two models can be compared
            clip by clip.
        spans: Smallest and largest value of a metric that is no share of 0 to 1; None where nothing is known.
        chance: What guessing gives on the headline; None where that has no meaning.
        note: How it was measured, in a few words; or why it was not.
        groups: Samples with equal numbers are of one video; empty where every sample stands alone.
        chosen: What was chosen or said per sample; empty where there is nothing to choose from.
        truth: What would have been right, beside `chosen`.
        shown: Which clip each sample is about, as `clip_frames` takes it; empty where nobody says.
        embeddings: (n, S), the predicted one per sample; empty where nobody compares them.
        examples: A few outputs beside the truth, for people.
    """

    task: str
    headline: str = ""
    metrics: Mapping[str, Estimate] = field(default_factory=dict)
    scores: Mapping[str, Float64] = field(default_factory=dict)
    spans: Mapping[str, Span | None] = field(default_factory=dict)
    chance: float | None = None
    note: str = ""
    groups: tuple[int, ...] = ()
    chosen: tuple[str, ...] = ()
    truth: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    embeddings: Float32 = field(default_factory=lambda: np.empty((0, 0), np.float32))
    examples: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(
        cls,
        task: str,
        headline: str,
        scores: Mapping[str, npt.ArrayLike],
        *,
        spans: Mapping[str, Span | None] | None = None,
        groups: Sequence[int] = (),
        **kept: Any,
    ) -> TaskResult:
        """A result whose metrics are the means of these values per clip; `kept` are further attributes."""
        spans = {MARGIN: None} | dict(spans or {})
        values = {name: np.asarray(each, np.float64) for name, each in scores.items()}
        metrics = {
            name: mean_of(each, groups=groups or None, span=spans.get(name, SHARE))
            for name, each in values.items()
        }
        return cls(
            task=task,
            headline=headline,
            metrics=metrics,
            scores=values,
            spans=spans,
            groups=tuple(groups),
            **kept,
        )

    @classmethod
    def joined(cls, parts: Sequence[TaskResult]) -> TaskResult:
        """The result over all clips of several batches; one that was not measured stands for all.

        Raises:
            InputError: there is no batch, or they are of different tasks.
        """
        if not parts or len({part.task for part in parts}) > 1:
            raise InputError(f"expected batches of one task, got {[part.task for part in parts]}")
        unmeasured = next((part for part in parts if not part.measured), None)
        if unmeasured is not None or len(parts) == 1:
            return unmeasured or parts[0]
        first = parts[0]
        return cls.of(
            first.task,
            first.headline,
            {
                name: np.concatenate([part.scores[name] for part in parts if name in part.scores])
                for name in first.scores
            },
            spans=first.spans,
            chance=first.chance,
            note=first.note,
            examples=first.examples,
            **{name: sum((getattr(part, name) for part in parts), ()) for name in PER_SAMPLE},
        )

    @property
    def samples(self) -> Float64:
        """The headline's value per clip."""
        return self.scores.get(self.headline, np.empty(0))

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
