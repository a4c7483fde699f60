"""Measures subjects against each other: accuracy and memory in a process each, parity and latency in this one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from vljepa_apps import console
from vljepa_apps.measure.compare.batches import HERE, measure_accuracy, measure_facts
from vljepa_apps.measure.compare.judging import Results, differences, judge
from vljepa_apps.measure.compare.kept import KeptCells, identity
from vljepa_apps.measure.compare.measuring import Measuring
from vljepa_apps.measure.compare.parity import MeasuredParity, measured_parity
from vljepa_apps.measure.compare.report import Agreement, Column, Comparison, SameDecisions, speedups
from vljepa_apps.measure.latency import Cells, Latency, alternate
from vljepa_apps.measure.machine import commit, installed, machine, power_mode
from vljepa_apps.measure.streams import StreamOrder
from vljepa_apps.measure.subject import Subject
from vljepa_evaluation.metrics import alike_moments
from vljepa_evaluation.tasks import MARGIN, TaskResult, same_answers
from vljepa_runtime.errors import VljepaError

if TYPE_CHECKING:
    from vljepa_data.annotations import DataSpec

__all__ = ["Plan", "agreements", "compare"]

SAME_S = 0.01
NEAR_S = 0.51  # a window of `StreamOrder.stride_s` later or earlier


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to measure.

    Attributes:
        tasks: Task names, spelled out; none measures no accuracy.
        clips: Clips per task; with `until`, of one batch.
        until: Half the width, in points, that every interval shall have at most; None measures one batch.
        max_clips: Clips per task at which `until` gives up.
        hands: Folder with photographs of hand signs.
        rounds: Timed runs per cell; 0 measures no latency.
        warmup: Runs of a cell that are not timed, before the others.
        starts: Processes that are started for the clock; one where no latency is measured.
        data: Published data sets, and clips of one's own.
        streams: Streams on which each model's own selection decides; None measures none.
    """

    tasks: tuple[str, ...] = ()
    clips: int = 300
    until: float | None = None
    max_clips: int = 10_000
    hands: str | None = None
    rounds: int = 60
    warmup: int = 5
    starts: int = 3
    data: tuple[DataSpec, ...] = ()
    streams: StreamOrder | None = None

    def settings(self) -> dict[str, Any]:
        """Plain values for the report."""
        streams = None if self.streams is None else self.streams.file or self.streams.count
        return asdict(self) | {"data": [each.spec for each in self.data] or None, "streams": streams}


def compare(
    subjects: Sequence[Subject], plan: Plan, kept: KeptCells | None = None, measuring: Measuring = HERE
) -> Comparison:
    """Measure every subject; what fails is marked in the report and the rest goes on.

    Args:
        subjects: The first one is what the others are compared with.
        plan: What to measure.
        kept: Cells that were measured before, and where those of this run are kept; None keeps nothing.
        measuring: Who measures accuracy and what streams say; memory and times are always this machine's.
    """
    kept = kept or KeptCells()
    for subject in subjects:
        with suppress(VljepaError, OSError):  # what is wrong is told when it is loaded
            subject.prepare()
    named = dict(zip(_labels(subjects), subjects))
    labels = list(named)
    columns = {label: Column(label=label, spec=subject.spec) for label, subject in named.items()}
    measure_facts(named, columns, plan, kept)
    results = measure_accuracy(named, columns, plan, kept, measuring)
    models = _Models(named, columns)
    parity = tuple(_parity(named, models, kept))
    if plan.rounds:
        for label, latency in _latencies(named, models, plan, columns, kept).items():
            columns[label].latency = {cell: asdict(value) for cell, value in latency.items()}
    reference = next((label for label, s in named.items() if s.is_torch), labels[0])
    found = tuple(differences(_comparable(results, named), labels[0]))
    return Comparison(
        machine=_machine(),
        settings=plan.settings(),
        columns=tuple(columns.values()),
        differences=found,
        verdicts=tuple(judge(found, labels)),
        agreements=tuple(agreements(results, labels[0])),
        decisions=tuple(_decisions(columns, labels[0])),
        parity=parity,
        reference=reference,
        speedups=speedups(columns, reference),
        results=results,
    )


def _comparable(results: Results, subjects: Mapping[str, Subject]) -> Results:
    """Without the margins of other models: cosines in another space are larger or smaller, and say nothing by that."""
    return {
        label: tasks if subjects[label].is_ours else {name: _unmargined(each) for name, each in tasks.items()}
        for label, tasks in results.items()
    }


def _unmargined(result: TaskResult) -> TaskResult:
    return replace(result, scores={name: each for name, each in result.scores.items() if name != MARGIN})


def agreements(results: Results, base: str) -> Iterator[Agreement]:
    """How far each subject says of clips what the first one says."""
    for label, tasks in results.items():
        for task, mine in tasks.items() if label != base else ():
            if task in results[base] and (found := same_answers(mine, results[base][task])):
                yield Agreement(label=label, base=base, task=task, found=found)


def _decisions(columns: Mapping[str, Column], base: str) -> Iterator[SameDecisions]:
    """How far each subject's segments begin when the first one's do."""
    ours = columns[base].streams.get("begins_s")
    for label, column in columns.items():
        theirs = column.streams.get("begins_s")
        if ours and theirs and label != base:
            same, near = (alike_moments(ours, theirs, within_s=within) for within in (SAME_S, NEAR_S))
            yield SameDecisions(label=label, base=base, same=same, near=near)


class _Models:
    """Subjects in this process, each loaded when it is wanted; of one that does not load the report says why, once."""

    def __init__(self, subjects: Mapping[str, Subject], columns: Mapping[str, Column]) -> None:
        self._subjects, self._columns = subjects, columns
        self._loaded: dict[str, Any] = {}

    def get(self, label: str) -> Any:
        """The model; None where it does not load."""
        if label not in self._loaded:
            try:
                self._loaded[label] = self._subjects[label].load()
            except (VljepaError, OSError) as error:
                self._loaded[label] = None
                if not self._columns[label].errors:
                    self._columns[label].errors.append(str(error))
        return self._loaded[label]


def _parity(subjects: Mapping[str, Subject], models: _Models, kept: KeptCells) -> Iterator[MeasuredParity]:
    base, *others = subjects
    with console.Progress("parity", total=len(others)) as progress:
        for label in progress.over(others):
            names = {"label": label, "base": base}
            what = {"parity": [identity(subjects[each], each) for each in (base, label)]}
            if (lines := kept.get(what)) is None:
                if models.get(base) is None or models.get(label) is None:
                    continue
                pair = (subjects[base], models.get(base), subjects[label], models.get(label))
                try:
                    rows = list(measured_parity(*pair, labels=(label, base)))
                except Exception as error:  # one pair that cannot be compared must not end the comparison
                    yield MeasuredParity(
                        name="parity", note=f"{type(error).__name__}: {error}", label=label, base=base
                    )
                    continue
                kept.put(what, [row.to_dict() for row in rows])
                yield from rows
            else:
                yield from (MeasuredParity.from_dict(line | names) for line in lines)


def _latencies(
    subjects: Mapping[str, Subject],
    models: _Models,
    plan: Plan,
    columns: Mapping[str, Column],
    kept: KeptCells,
) -> dict[str, dict[str, Latency]]:
    """Times of all that take turns: one cell, since each says something beside the others alone."""
    lines = {label: identity(subject, label) for label, subject in subjects.items()}
    what = {"latency": lines, "rounds": plan.rounds, "warmup": plan.warmup}
    if (found := kept.get(what)) is not None:
        return {
            line["label"]: {cell: _latency(times) for cell, times in line["cells"].items()} for line in found
        }
    cells: dict[str, Cells] = {}
    for label, subject in subjects.items():
        if (model := models.get(label)) is None:
            continue
        try:
            cells[label] = subject.cells(model)
        except (VljepaError, OSError) as error:
            columns[label].errors.append(f"latency: {error}")
    with console.Progress("latency", total=1.0) as progress:
        measured = alternate(cells, rounds=plan.rounds, warmup=plan.warmup, progress=progress.update)
    if not any(column.errors for column in columns.values()):
        plain = {
            label: {cell: asdict(each) for cell, each in times.items()} for label, times in measured.items()
        }
        kept.put(what, [{"label": label, "cells": times} for label, times in plain.items()])
    return measured


def _latency(times: Mapping[str, Any]) -> Latency:
    return Latency(**{**times, "times_ms": tuple(times["times_ms"])})


def _labels(subjects: Sequence[Subject]) -> list[str]:
    """Each subject's label: with its engine where several share a name, numbered where that is the same, too."""
    shared = Counter(subject.label for subject in subjects)
    engines = {
        subject.label: {each.engine for each in subjects if each.label == subject.label}
        for subject in subjects
    }
    labels: list[str] = []
    for subject in subjects:
        name = subject.label
        if shared[name] > 1 and len(engines[name]) > 1 and not subject.is_torch:
            name = f"{name}, {subject.engine}"
        alike = sum(label.split(" #")[0] == name for label in labels)
        labels.append(f"{name} #{alike + 1}" if alike else name)
    return labels


def _machine() -> dict[str, str]:
    names = ("vljepa-edge", "numpy", "onnxruntime", "openvino", "torch", "transformers")
    versions = {name: installed(name) or "n/a" for name in names}
    made = {"date": f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC", "commit": commit() or "n/a"}
    return machine() | {"power mode": power_mode()} | versions | made
