"""Measures subjects against each other: accuracy and memory in a process each, latency in turns in this one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from vljepa_apps import console
from vljepa_apps.measure.compare.report import Column, Comparison, Difference, speedups
from vljepa_apps.measure.latency import Cells, Latency, alternate
from vljepa_apps.measure.machine import installed, machine
from vljepa_apps.measure.subject import Subject
from vljepa_apps.measure.worker import in_a_process
from vljepa_evaluation.metrics import mean_of
from vljepa_runtime.errors import VljepaError

__all__ = ["Plan", "compare", "differences"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to measure.

    Attributes:
        tasks: Task names, spelled out; none measures no accuracy.
        clips: Clips per task.
        hands: Folder with photographs of hand signs.
        rounds: Timed runs per cell; 0 measures no latency.
        warmup: Runs of a cell that are not timed, before the others.
    """

    tasks: tuple[str, ...] = ()
    clips: int = 300
    hands: str | None = None
    rounds: int = 60
    warmup: int = 5


def compare(subjects: Sequence[Subject], plan: Plan) -> Comparison:
    """Measure every subject; what fails is marked in the report and the rest goes on."""
    labels = _labels(subjects)
    columns = {label: Column(label=label, spec=subject.spec) for label, subject in zip(labels, subjects)}
    samples: dict[str, dict[str, list[float]]] = {label: {} for label in labels}
    for label, subject in zip(labels, subjects):
        _measure(columns[label], samples[label], subject, plan)
    if plan.rounds:
        for label, latency in _latencies(dict(zip(labels, subjects)), plan, columns).items():
            columns[label].latency = {cell: asdict(value) for cell, value in latency.items()}
    reference = next((label for label, s in zip(labels, subjects) if s.is_torch), labels[0])
    return Comparison(
        machine=_machine(),
        settings=asdict(plan),
        columns=tuple(columns.values()),
        differences=tuple(differences(samples, labels[0])),
        reference=reference,
        speedups=speedups(columns, reference),
    )


def differences(samples: dict[str, dict[str, list[float]]], base: str) -> Iterator[Difference]:
    """Headline of each subject minus the first one's, clip by clip, so that the interval is that of the difference."""
    for label, tasks in samples.items():
        for task, values in tasks.items() if label != base else ():
            others = samples[base].get(task, [])
            if values and len(values) == len(others):
                yield Difference(
                    task=task, label=label, base=base, points=mean_of(100 * np.subtract(values, others))
                )


def _measure(column: Column, samples: dict[str, list[float]], subject: Subject, plan: Plan) -> None:
    order = asdict(subject) | {"tasks": plan.tasks, "clips": plan.clips, "hands": plan.hands}
    console.note(f"{column.label}: {'accuracy and ' if plan.tasks else ''}memory")
    for line in in_a_process(order):
        kind = line.pop("kind")
        if kind == "facts":
            column.facts = line
        elif kind == "task":
            samples[line["task"]] = line.pop("samples")
            column.tasks[line["task"]] = line
        else:
            column.errors.append(line["message"])


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
