"""A comparison as data. Measures nothing and lays out nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vljepa_apps.measure.compare.judging import Difference, Results, Verdict
from vljepa_apps.measure.compare.parity import MeasuredParity
from vljepa_apps.measure.latency import Latency, times_faster
from vljepa_evaluation.metrics import Estimate

__all__ = ["Agreement", "Column", "Comparison", "SameDecisions", "speedups"]

FORMAT = 3
WINDOW = "window"
UNMEASURED = ("failed", "skipped", "cannot")  # how notes of tasks begin that gave no number


@dataclass(slots=True, kw_only=True)
class Column:
    """What was measured of one subject; filled as the measuring goes on.

    Attributes:
        label: Its name in tables.
        spec: What the user named.
        facts: What runs, precision, size, start, peak memory, joules where a sensor says, parity as its manifest says.
        tasks: Metrics with their intervals, by task.
        streams: When segments of each stream begin, and quality against decodings; empty where none was measured.
        latency: Times of each cell, by its name.
        errors: What could not be measured, a sentence each.
    """

    label: str
    spec: str
    facts: dict[str, Any] = field(default_factory=dict)
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    streams: dict[str, Any] = field(default_factory=dict)
    latency: dict[str, dict[str, Any]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    @property
    def windows_per_s(self) -> float | None:
        """Windows that one after the other are embedded in a second; None where no window was timed."""
        times = self.latency.get(WINDOW)
        return 1000 / times["p50_ms"] if times and times["p50_ms"] else None

    @property
    def unmeasured(self) -> list[str]:
        """What is missing and why: errors, and tasks that failed or were skipped."""
        notes = {task: str(result.get("note", "")) for task, result in self.tasks.items()}
        missing = [f"{task}: {note}" for task, note in notes.items() if note.startswith(UNMEASURED)]
        times = [f"{cell}: {each['error']}" for cell, each in self.latency.items() if each["error"]]
        return [*self.errors, *missing, *times]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far a subject says the same of clips as another, whether right or wrong.

    Attributes:
        label: Of the subject.
        base: Of the other.
        task: Which task.
        found: Best label and cosine, as `vljepa_evaluation.tasks.same_answers` gives them.
    """

    label: str
    base: str
    task: str
    found: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True, kw_only=True)
class SameDecisions:
    """How far a subject decides when words are wanted as another does, on the same streams.

    Attributes:
        label: Of the subject.
        base: Of the other.
        same: Share of the segments of both that begin with the same window.
        near: Share of those that begin within a window of each other.
    """

    label: str
    base: str
    same: Estimate
    near: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Everything that a comparison found.

    Attributes:
        machine: Processor, cores, system, versions.
        settings: Clips, rounds and so on.
        columns: One per subject.
        differences: Of every metric, paired by clip, against the first subject.
        verdicts: One for each subject after the first.
        agreements: In what is said of clips, with the first subject.
        decisions: In when words are wanted, with the first subject.
        parity: Measured here, with the first subject.
        reference: Label of the subject that speed is compared with.
        speedups: How many times faster than the reference, by label and cell.
        results: What was kept clip by clip; the report of pictures needs it, the JSON does not have it.
    """

    machine: Mapping[str, str]
    settings: Mapping[str, Any]
    columns: tuple[Column, ...]
    differences: tuple[Difference, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    agreements: tuple[Agreement, ...] = ()
    decisions: tuple[SameDecisions, ...] = ()
    parity: tuple[MeasuredParity, ...] = ()
    reference: str = ""
    speedups: Mapping[str, Mapping[str, Estimate]] = field(default_factory=dict)
    results: Results = field(default_factory=dict, repr=False)

    @property
    def failed(self) -> bool:
        """Whether any subject could not be measured in part."""
        return any(column.errors for column in self.columns)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return {
            "format": FORMAT,
            "machine": dict(self.machine),
            "settings": dict(self.settings),
            "subjects": [
                {"label": c.label, "spec": c.spec, **c.facts}
                | {"tasks": c.tasks, "streams": c.streams, "latency": c.latency}
                | {"windows_per_s": c.windows_per_s, "errors": c.errors}
                for c in self.columns
            ],
            "differences": [difference.to_dict() for difference in self.differences],
            "verdicts": [verdict.to_dict() for verdict in self.verdicts],
            "agreements": [
                {"label": a.label, "base": a.base, "task": a.task}
                | {name: estimate.to_dict() for name, estimate in a.found.items()}
                for a in self.agreements
            ],
            "decisions": [
                {"label": d.label, "base": d.base, "same": d.same.to_dict(), "near": d.near.to_dict()}
                for d in self.decisions
            ],
            "parity": [each.to_dict() for each in self.parity],
            "reference": self.reference,
            "speedups": {
                label: {cell: ratio.to_dict() for cell, ratio in cells.items()}
                for label, cells in self.speedups.items()
            },
        }


def speedups(columns: Mapping[str, Column], reference: str) -> dict[str, dict[str, Estimate]]:
    """How many times faster than the reference each subject is, per cell that both have."""
    base = columns[reference].latency
    found = {
        label: {
            cell: times_faster(Latency(**base[cell]), Latency(**times))
            for cell, times in column.latency.items()
            if cell in base
        }
        for label, column in columns.items()
        if label != reference
    }
    return {label: {cell: e for cell, e in cells.items() if e} for label, cells in found.items()}
