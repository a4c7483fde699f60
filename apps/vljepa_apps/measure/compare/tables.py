"""A comparison as text and as Markdown. Measures nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vljepa_apps import console, tables
from vljepa_apps.tables import Table

if TYPE_CHECKING:
    from vljepa_apps.measure.compare.report import Comparison
    from vljepa_evaluation.metrics import Estimate

__all__ = ["markdown", "text"]

MISSING = "n/a"


def _tables(report: Comparison) -> Iterator[Table]:
    """Every table of the report, cells as text."""
    labels = [column.label for column in report.columns]
    yield Table("What runs", _facts(report), ["", *labels])
    if any(column.tasks for column in report.columns):
        rows = list(_accuracy(report))
        yield Table("Accuracy (%) with 95 % intervals", rows, ["task", *labels, "chance"])
    if report.differences:
        rows = [[d.task, d.label, d.base, _points(d.points)] for d in report.differences]
        yield Table("Difference in points, clip by clip", rows, ["task", "of", "against", "points"])
    if report.agreements:
        rows = [[a.label, a.base, *_same(a.found)] for a in report.agreements]
        header = ["of", "with", "same best label (%)", "cosine of embeddings"]
        yield Table("Agreement on your own clips with 95 % intervals", rows, header)
    if any(column.facts.get("parity") for column in report.columns):
        title = "Parity with the float model (worst cosine, PSNR)"
        yield Table(title, list(_parity(report)), ["graph", *labels])
    if any(column.latency for column in report.columns):
        title = "Latency (ms): p50 / p95, middle half in brackets"
        yield Table(title, list(_latency(report)), ["cell", *labels])
    if any(report.speedups.values()):
        header = ["cell", *report.speedups]
        yield Table(f"Times faster than {report.reference} (medians)", list(_speedups(report)), header)


def text(report: Comparison) -> str:
    """Aligned tables for a terminal."""
    return "\n\n".join([tables.text(_tables(report)), *_errors(report)])


def markdown(report: Comparison) -> str:
    """The same tables in Markdown, with what they were measured on."""
    settings = ", ".join(
        f"{key} {value}" for key, value in report.settings.items() if not isinstance(value, tuple)
    )
    machine = ", ".join(f"{key} {value}" for key, value in report.machine.items())
    parts = ["# Comparison", f"Measured on: {machine}.", f"Settings: {settings}."]
    parts += [tables.markdown(_tables(report)), *_errors(report)]
    return "\n\n".join(parts) + "\n"


def _facts(report: Comparison) -> list[list[str]]:
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


def _accuracy(report: Comparison) -> Iterator[list[str]]:
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
    return _interval(estimate, scale, digits)


def _interval(estimate: Mapping[str, float], scale: float, digits: int) -> str:
    value, low, high = (f"{scale * estimate[key]:.{digits}f}" for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def _same(found: Mapping[str, Estimate]) -> Iterator[str]:
    for name, scale, digits in (("best_label", 100, 1), ("cosine", 1, 5)):
        yield _interval(found[name].to_dict(), scale, digits) if name in found else MISSING


def _note(result: Mapping[str, Any]) -> str:
    note = str(result.get("note", ""))
    return f"{MISSING} ({note})" if note.startswith(("failed", "skipped")) else MISSING


def _points(points: Estimate) -> str:
    return f"{points.value:+.2f} [{points.low:+.2f}, {points.high:+.2f}]"


def _parity(report: Comparison) -> Iterator[list[str]]:
    graphs = dict.fromkeys(graph for column in report.columns for graph in column.facts.get("parity", {}))
    for graph in graphs:
        cells = []
        for column in report.columns:
            parity = column.facts.get("parity", {}).get(graph)
            cells.append(f"{parity['cosine']:.6f}, {parity['psnr_db']:.1f} dB" if parity else MISSING)
        yield [graph, *cells]


def _latency(report: Comparison) -> Iterator[list[str]]:
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


def _speedups(report: Comparison) -> Iterator[list[str]]:
    for cell in _cells(report):
        ratios = [cells.get(cell) for cells in report.speedups.values()]
        yield [cell, *(f"{ratio:.2f}" if ratio else MISSING for ratio in ratios)]


def _cells(report: Comparison) -> Sequence[str]:
    return list(dict.fromkeys(cell for column in report.columns for cell in column.latency))


def _errors(report: Comparison) -> list[str]:
    lines = [f"{column.label}: {error}" for column in report.columns for error in column.errors]
    return ["Not measured:\n" + "\n".join(f"- {line}" for line in lines)] if lines else []
