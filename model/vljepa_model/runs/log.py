"""`metrics.jsonl`: means of the losses, the rate and the speed of a run, every few steps."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from torch import Tensor

from vljepa_model.runs.loop import Losses, Run
from vljepa_runtime.files import replace_file

__all__ = ["Log", "Progress", "Schedule"]

DIGITS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a run stands; subclasses add losses, which are means since the line before."""

    step: int
    steps: int
    lr: float
    temperature: float
    clips_per_s: float
    eta_s: float


P = TypeVar("P", bound=Progress)


class Schedule(Protocol):
    """The settings that a log speaks of."""

    @property
    def steps(self) -> int:
        """In all."""

    def learning_rate(self, step: int) -> float:
        """Of a step, counted from 0."""


class Log(Generic[P]):
    """Averages losses between lines; only the first process writes them.

    Args:
        path: Lines are added; those that a killed run wrote after its last state are dropped.
        progress: What a line holds; its losses have the names of those that are added.
        run: Its count of steps is what lines are numbered by.
        schedule: Steps in all and learning rates of the run.
        log_temperature: Parameter whose exponential a line holds.
        clips: How many a step takes, over all processes.
        every: Steps between lines; the last step has one too.
        on_progress: Called with each line.
    """

    def __init__(
        self,
        path: Path,
        progress: type[P],
        run: Run,
        schedule: Schedule,
        log_temperature: Tensor,
        *,
        clips: int,
        every: int,
        on_progress: Callable[[P], None],
    ) -> None:
        self.path, self.run, self.schedule, self.clips, self.every = path, run, schedule, clips, every
        self._progress, self._log_temperature, self._on_progress = progress, log_temperature, on_progress
        self._losses: list[dict[str, float]] = []
        self._since = time.monotonic()
        if run.processes.rank == 0 and path.exists():
            kept = [line for line in path.read_bytes().splitlines(keepends=True) if _step(line) <= run.step]
            replace_file(path, b"".join(kept))

    def add(self, losses: Losses) -> None:
        """Take in the losses of the run's last step; write a line when one is due."""
        if self.run.processes.rank > 0:
            return
        names = [field.name for field in fields(losses) if field.name != "total"]
        self._losses.append({name: float(getattr(losses, name)) for name in names})
        if self.run.step % self.every == 0 or self.run.step == self.schedule.steps:
            count = len(self._losses)
            self._write({name: sum(each[name] for each in self._losses) / count for name in names})

    def _write(self, means: Mapping[str, float]) -> None:
        step, steps = self.run.step, self.schedule.steps
        speed = len(self._losses) * self.clips / max(time.monotonic() - self._since, 1e-9)
        progress = self._progress(
            step=step,
            steps=steps,
            lr=self.schedule.learning_rate(step - 1),
            temperature=math.exp(self._log_temperature.item()),
            clips_per_s=speed,
            eta_s=(steps - step) * self.clips / speed,
            **means,
        )
        rounded = {name: round(value, DIGITS) for name, value in asdict(progress).items()}
        with self.path.open("a") as file:
            file.write(json.dumps(rounded) + "\n")
        self._on_progress(progress)
        self._losses, self._since = [], time.monotonic()


def _step(line: bytes) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):  # a kill cut the line off
        return math.inf
