"""The comparison as data, as text and as Markdown. Measures nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vljepa_apps import console
from vljepa_evaluation.tasks import Estimate

__all__ = ["MISSING", "Column", "Difference", "Report", "markdown", "speedups", "text"]

MISSING = "n/a"
FORMAT = 1


@dataclass(slots=True, kw_only=True)
class Column:
    """What was measured of one subject; filled as the measuring goes on.

    Attributes:
        label: Its name in tables.
        spec: What the user named.
        facts: What runs, precision, size, parity, peak memory.
        tasks: Result per task.
        latency: Per cell.
        errors: What failed.
    """

    label: str
    spec: str
    facts: dict[str, Any] = field(default_factory=dict)
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    latency: dict[str, dict[str, Any]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How many points a subject is above (+) or below (-) another on the same clips."""

    task: str
    label: str
    base: str
    points: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that a comparison found.

    Attributes:
        machine: Processor, cores, system, versions.
        settings: Clips, rounds and so on.
        columns: One per subject.
        differences: Of accuracy, paired by clip, against the first subject.
        reference: Label of the subject that speed is compared with.
        speedups: Reference's median over the subject's, by label and cell.
    """

    machine: Mapping[str, str]
    settings: Mapping[str, Any]
    columns: tuple[Column, ...]
    differences: tuple[Difference, ...] = ()
    reference: str = ""
    speedups: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

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
            "differences": [
                {"task": d.task, "label": d.label, "base": d.base, "points": d.points.to_dict()}
                for d in self.differences
            ],
            "reference": self.reference,
            "speedups": {label: dict(cells) for label, cells in self.speedups.items()},
        }


def speedups(columns: Mapping[str, Column], reference: str) -> dict[str, dict[str, float]]:
    """How many times faster than the reference each subject is, per cell that both have."""
    base = columns[reference].latency
    return {
        label: {
            cell: base[cell]["p50_ms"] / times["p50_ms"]
            for cell, times in column.latency.items()
            if times["p50_ms"] and base.get(cell, {}).get("p50_ms")
        }
        for label, column in columns.items()
        if label != reference
    }


Table = tuple[str, list[str], list[list[str]]]
"""Title, header, rows."""


def tables(report: Report) -> Iterator[Table]:
    """Every table of the report, cells as text."""
    labels = [column.label for column in report.columns]
    yield "What runs", ["", *labels], _facts(report)
    if any(column.tasks for column in report.columns):
        yield "Accuracy (%) with 95 % intervals", ["task", *labels, "chance"], list(_accuracy(report))
    if report.differences:
        rows = [[d.task, d.label, d.base, _points(d.points)] for d in report.differences]
        yield "Difference in points, clip by clip", ["task", "of", "against", "points"], rows
    if any(column.facts.get("parity") for column in report.columns):
        yield "Parity with the float model (worst cosine, PSNR)", ["graph", *labels], list(_parity(report))
    if any(column.latency for column in report.columns):
        yield "Latency (ms): p50 / p95, middle half in brackets", ["cell", *labels], list(_latency(report))
    if report.speedups:
        header = ["cell", *report.speedups]
        yield f"Times faster than {report.reference} (medians)", header, list(_speedups(report))


def text(report: Report) -> str:
    """Aligned tables for a terminal."""
    parts = [f"{title}\n{console.table(rows, header=header)}" for title, header, rows in tables(report)]
    return "\n\n".join([*parts, *_errors(report)])


def markdown(report: Report) -> str:
    """The same tables in Markdown, with what they were measured on."""
    settings = ", ".join(
        f"{key} {value}" for key, value in report.settings.items() if not isinstance(value, tuple)
    )
    machine = ", ".join(f"{key} {value}" for key, value in report.machine.items())
    parts = ["# Comparison", f"Measured on: {machine}.", f"Settings: {settings}."]
    for title, header, rows in tables(report):
        lines = [f"| {' | '.join(header)} |", f"|{' --- |' * len(header)}"]
        lines += [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows]
        parts += [f"## {title}", "\n".join(lines)]
    return "\n\n".join([*parts, *_errors(report)]) + "\n"


def _facts(report: Report) -> list[list[str]]:
    def row(title: str, key: str, show: Any) -> list[str]:
        return [
            title,
            *(show(c.facts[key]) if c.facts.get(key) is not None else MISSING for c in report.columns),
        ]

    return [
        row("engine", "engine", str),
        row("precision", "precision", _precision),
        row("size", "size_bytes", console.size),
        row("peak memory", "peak_rss_mb", lambda value: f"{value:.0f} MB"),
    ]


def _precision(recipes: Mapping[str, str]) -> str:
    return ", ".join(dict.fromkeys(recipes.values())) or MISSING


def _accuracy(report: Report) -> Iterator[list[str]]:
    for task in dict.fromkeys(task for column in report.columns for task in column.tasks):
        results = [column.tasks.get(task, {}) for column in report.columns]
        chance = next((f"{100 * r['chance']:.1f}" for r in results if r.get("chance") is not None), MISSING)
        metrics = dict.fromkeys(metric for result in results for metric in result.get("metrics", {}))
        if not metrics:
            yield [task, *(_note(result) for result in results), chance]
        for metric in metrics:
            cells = [_estimate(result, metric) for result in results]
            headline = any(metric == result.get("headline") for result in results)
            yield [f"{task} {metric}", *cells, chance if headline else ""]


def _estimate(result: Mapping[str, Any], metric: str) -> str:
    estimate = result.get("metrics", {}).get(metric)
    if estimate is None:
        return _note(result)
    scale, digits = (1, 2) if metric.startswith("cider") else (100, 1)
    value, low, high = (f"{scale * estimate[key]:.{digits}f}" for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def _note(result: Mapping[str, Any]) -> str:
    note = str(result.get("note", ""))
    return f"{MISSING} ({note})" if note.startswith(("failed", "skipped")) else MISSING


def _points(points: Estimate) -> str:
    return f"{points.value:+.2f} [{points.low:+.2f}, {points.high:+.2f}]"


def _parity(report: Report) -> Iterator[list[str]]:
    graphs = dict.fromkeys(graph for column in report.columns for graph in column.facts.get("parity", {}))
    for graph in graphs:
        cells = []
        for column in report.columns:
            parity = column.facts.get("parity", {}).get(graph)
            cells.append(f"{parity['cosine']:.6f}, {parity['psnr_db']:.1f} dB" if parity else MISSING)
        yield [graph, *cells]


def _latency(report: Report) -> Iterator[list[str]]:
    for cell in _cells(report):
        row = [cell]
        for column in report.columns:
            times = column.latency.get(cell)
            row.append(_times(times) if times else MISSING)
        yield row


def _times(times: Mapping[str, Any]) -> str:
    if times["error"]:
        return f"{MISSING} (failed: {times['error'][:80]})"
    return f"{times['p50_ms']:.2f} / {times['p95_ms']:.2f} [{times['low_ms']:.2f}, {times['high_ms']:.2f}]"


def _speedups(report: Report) -> Iterator[list[str]]:
    for cell in _cells(report):
        ratios = [cells.get(cell) for cells in report.speedups.values()]
        yield [cell, *(f"{ratio:.2f}" if ratio else MISSING for ratio in ratios)]


def _cells(report: Report) -> Sequence[str]:
    return list(dict.fromkeys(cell for column in report.columns for cell in column.latency))


def _errors(report: Report) -> list[str]:
    lines = [f"{column.label}: {error}" for column in report.columns for error in column.errors]
    return ["Not measured:\n" + "\n".join(f"- {line}" for line in lines)] if lines else []
