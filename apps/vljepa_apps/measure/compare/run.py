"""Measures subjects against each other: accuracy and memory in a process each, parity and latency in this one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from vljepa_apps import console
from vljepa_apps.measure.compare.batches import measure_accuracy
from vljepa_apps.measure.compare.judging import Results, differences, judge
from vljepa_apps.measure.compare.parity import MeasuredParity, measured_parity
from vljepa_apps.measure.compare.report import Agreement, Column, Comparison, speedups
from vljepa_apps.measure.latency import Cells, Latency, alternate
from vljepa_apps.measure.machine import installed, machine
from vljepa_apps.measure.subject import Subject
from vljepa_evaluation.tasks import same_answers
from vljepa_runtime.errors import VljepaError

if TYPE_CHECKING:
    from vljepa_data.annotations import AnnotationFile

__all__ = ["Plan", "agreements", "compare"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to measure.

    Attributes:
        tasks: Task names, spelled out; none measures no accuracy.
        clips: Clips per task; with `until`, of one batch.
        until: Half the width, in points, that every interval shall have at most; None measures one batch.
        max_clips: Clips per task at which `until` gives up.
        keep: Folder for what was measured, from which the same measurement goes on.
        hands: Folder with photographs of hand signs.
        rounds: Timed runs per cell; 0 measures no latency.
        warmup: Runs of a cell that are not timed, before the others.
        own: Clips of one's own to measure on.
    """

    tasks: tuple[str, ...] = ()
    clips: int = 300
    until: float | None = None
    max_clips: int = 10_000
    keep: str | None = None
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
    named = dict(zip(_labels(subjects), subjects))
    labels = list(named)
    columns = {label: Column(label=label, spec=subject.spec) for label, subject in named.items()}
    results = measure_accuracy(named, columns, plan)
    models = _loaded(named, columns) if plan.rounds or len(named) > 1 else {}
    parity = tuple(_parity(named, models))
    if plan.rounds:
        for label, latency in _latencies(named, models, plan, columns).items():
            columns[label].latency = {cell: asdict(value) for cell, value in latency.items()}
    reference = next((label for label, s in named.items() if s.is_torch), labels[0])
    found = tuple(differences(results, labels[0]))
    return Comparison(
        machine=_machine(),
        settings=plan.settings(),
        columns=tuple(columns.values()),
        differences=found,
        verdicts=tuple(judge(found, labels)),
        agreements=tuple(agreements(results, labels[0])),
        parity=parity,
        reference=reference,
        speedups=speedups(columns, reference),
    )


def agreements(results: Results, base: str) -> Iterator[Agreement]:
    """How far each subject does what the first one does with one's own clips."""
    for label, tasks in results.items():
        for task, mine in tasks.items() if label != base else ():
            if task in results[base] and (found := same_answers(mine, results[base][task])):
                yield Agreement(label=label, base=base, found=found)


def _loaded(subjects: Mapping[str, Subject], columns: Mapping[str, Column]) -> dict[str, Any]:
    """Every subject that loads; of the others the report says why, once."""
    models = {}
    for label, subject in subjects.items():
        try:
            models[label] = subject.load()
        except (VljepaError, OSError) as error:
            if not columns[label].errors:
                columns[label].errors.append(str(error))
    return models


def _parity(subjects: Mapping[str, Subject], models: Mapping[str, Any]) -> Iterator[MeasuredParity]:
    base, *others = subjects
    if base not in models:
        return
    with console.Progress("parity", total=len(others)) as progress:
        for label in progress.over(others):
            if label in models:
                pair = (subjects[base], models[base], subjects[label], models[label])
                yield from measured_parity(*pair, labels=(label, base))


def _latencies(
    subjects: Mapping[str, Subject],
    models: Mapping[str, Any],
    plan: Plan,
    columns: Mapping[str, Column],
) -> dict[str, dict[str, Latency]]:
    cells: dict[str, Cells] = {}
    for label, model in models.items():
        try:
            cells[label] = subjects[label].cells(model)
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
