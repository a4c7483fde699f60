"""A comparison as data. Measures nothing and lays out nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vljepa_apps.measure.compare.judging import Difference, Verdict
from vljepa_apps.measure.compare.parity import MeasuredParity
from vljepa_apps.measure.latency import Latency, times_faster
from vljepa_evaluation.metrics import Estimate

__all__ = ["Agreement", "Column", "Comparison", "speedups"]

FORMAT = 2


@dataclass(slots=True, kw_only=True)
class Column:
    """What was measured of one subject; filled as the measuring goes on.

    Attributes:
        label: Its name in tables.
        spec: What the user named.
        facts: What runs, precision, size, peak memory, parity as its manifest says.
        tasks: Metrics with their intervals, by task.
        latency: Times of each cell, by its name.
        errors: What could not be measured, a sentence each.
    """

    label: str
    spec: str
    facts: dict[str, Any] = field(default_factory=dict)
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    latency: dict[str, dict[str, Any]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far a subject does the same as another with one's own clips.

    Attributes:
        label: Of the subject.
        base: Of the other.
        found: Best label and cosine, as `vljepa_evaluation.tasks.same_answers` gives them.
    """

    label: str
    base: str
    found: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Everything that a comparison found.

    Attributes:
        machine: Processor, cores, system, versions.
        settings: Clips, rounds and so on.
        columns: One per subject.
        differences: Of every metric, paired by clip, against the first subject.
        verdicts: One for each subject after the first.
        agreements: On one's own clips, with the first subject.
        parity: Measured here, with the first subject.
        reference: Label of the subject that speed is compared with.
        speedups: How many times faster than the reference, by label and cell.
    """

    machine: Mapping[str, str]
    settings: Mapping[str, Any]
    columns: tuple[Column, ...]
    differences: tuple[Difference, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    agreements: tuple[Agreement, ...] = ()
    parity: tuple[MeasuredParity, ...] = ()
    reference: str = ""
    speedups: Mapping[str, Mapping[str, Estimate]] = field(default_factory=dict)

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
                | {"tasks": c.tasks, "latency": c.latency, "errors": c.errors}
                for c in self.columns
            ],
            "differences": [difference.to_dict() for difference in self.differences],
            "verdicts": [verdict.to_dict() for verdict in self.verdicts],
            "agreements": [
                {"label": a.label, "base": a.base}
                | {name: estimate.to_dict() for name, estimate in a.found.items()}
                for a in self.agreements
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
