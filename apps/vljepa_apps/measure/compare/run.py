"""Measures subjects against each other: accuracy and memory in a process each, latency in turns in this one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vljepa_apps import console
from vljepa_apps.measure.compare.report import Agreement, Column, Comparison, Difference, speedups
from vljepa_apps.measure.latency import Cells, Latency, alternate
from vljepa_apps.measure.machine import installed, machine
from vljepa_apps.measure.subject import Subject
from vljepa_apps.measure.worker import in_a_process
from vljepa_evaluation.metrics import mean_of
from vljepa_evaluation.tasks import TaskResult, same_answers
from vljepa_runtime.errors import VljepaError

if TYPE_CHECKING:
    from vljepa_data.annotations import AnnotationFile

__all__ = ["Plan", "agreements", "compare", "differences"]

Results = Mapping[str, Mapping[str, TaskResult]]
"""What was kept sample by sample, per subject and task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to measure.

    Attributes:
        tasks: Task names, spelled out; none measures no accuracy.
        clips: Clips per task.
        hands: Folder with photographs of hand signs.
        rounds: Timed runs per cell; 0 measures no latency.
        warmup: Runs of a cell that are not timed, before the others.
        own: Clips of one's own to measure on.
    """

    tasks: tuple[str, ...] = ()
    clips: int = 300
    hands: str | None = None
    rounds: int = 60
    warmup: int = 5
    own: AnnotationFile | None = None

    def settings(self) -> dict[str, Any]:
        """Plain values for the report."""
        own = self.own.path if self.own else None
        return {name: value for name, value in asdict(self).items() if name != "own"} | {"data": own}


def compare(subjects: Sequence[Subject], plan: Plan) -> Comparison:
    """Measure every subject; what fails is marked in the report and the rest goes on."""
    labels = _labels(subjects)
    columns = {label: Column(label=label, spec=subject.spec) for label, subject in zip(labels, subjects)}
    results: dict[str, dict[str, TaskResult]] = {label: {} for label in labels}
    for label, subject in zip(labels, subjects):
        _measure(columns[label], results[label], subject, plan)
    if plan.rounds:
        for label, latency in _latencies(dict(zip(labels, subjects)), plan, columns).items():
            columns[label].latency = {cell: asdict(value) for cell, value in latency.items()}
    reference = next((label for label, s in zip(labels, subjects) if s.is_torch), labels[0])
    return Comparison(
        machine=_machine(),
        settings=plan.settings(),
        columns=tuple(columns.values()),
        differences=tuple(differences(results, labels[0])),
        agreements=tuple(agreements(results, labels[0])),
        reference=reference,
        speedups=speedups(columns, reference),
    )


def differences(results: Results, base: str) -> Iterator[Difference]:
    """Headline of each subject minus the first one's, clip by clip, so that the interval is that of the difference."""
    for label, task, mine, other in _pairs(results, base):
        if len(mine.samples) == len(other.samples) > 0:
            points = mean_of(100 * (mine.samples - other.samples), groups=mine.groups or None)
            yield Difference(task=task, label=label, base=base, points=points)


def agreements(results: Results, base: str) -> Iterator[Agreement]:
    """How far each subject does what the first one does with one's own clips."""
    for label, _, mine, other in _pairs(results, base):
        if found := same_answers(mine, other):
            yield Agreement(label=label, base=base, found=found)


def _pairs(results: Results, base: str) -> Iterator[tuple[str, str, TaskResult, TaskResult]]:
    """Every task that a subject and the first one have both."""
    for label, tasks in results.items():
        for task, mine in tasks.items() if label != base else ():
            if task in results[base]:
                yield label, task, mine, results[base][task]


def _measure(column: Column, results: dict[str, TaskResult], subject: Subject, plan: Plan) -> None:
    order = asdict(subject) | {"tasks": plan.tasks, "clips": plan.clips, "hands": plan.hands}
    order["own"] = asdict(plan.own) if plan.own else None
    console.note(f"{column.label}: {'accuracy and ' if plan.tasks or plan.own else ''}memory")
    for line in in_a_process(order):
        kind = line.pop("kind")
        if kind == "facts":
            column.facts = line
        elif kind == "task":
            results[line["task"]] = _kept(line)
            column.tasks[line["task"]] = line
        else:
            column.errors.append(line["message"])


def _kept(line: dict[str, Any]) -> TaskResult:
    """What the line of a task holds sample by sample, which is taken out of it."""
    return TaskResult(
        task=line["task"],
        samples=np.array(line.pop("samples"), np.float64),
        groups=tuple(line.pop("groups", ())),
        chosen=tuple(line.pop("chosen", ())),
        embeddings=np.array(line.pop("embeddings", ()), np.float32),
    )


def _latencies(
    subjects: dict[str, Subject], plan: Plan, columns: dict[str, Column]
) -> dict[str, dict[str, Latency]]:
    cells: dict[str, Cells] = {}
    for label, subject in subjects.items():
        try:
            cells[label] = subject.cells()
        except (VljepaError, OSError) as error:
            columns[label].errors.append(f"latency: {error}")
    with console.Progress("latency", total=1.0) as progress:
        return alternate(cells, rounds=plan.rounds, warmup=plan.warmup, progress=progress.update)


def _labels(subjects: Sequence[Subject]) -> list[str]:
    """Each subject's label, numbered where two are alike."""
    labels: list[str] = []
    for subject in subjects:
        alike = sum(label.split(" #")[0] == subject.label for label in labels)
        labels.append(f"{subject.label} #{alike + 1}" if alike else subject.label)
    return labels


def _machine() -> dict[str, str]:
    versions = {name: installed(name) or "n/a" for name in ("vljepa-edge", "numpy", "onnxruntime", "torch")}
    return machine() | versions
