"""A comparison as text and as Markdown. Measures nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vljepa_apps import console, tables
from vljepa_apps.tables import PARITY_HEADER, Table, parity_cells
from vljepa_evaluation.tasks import MARGIN

if TYPE_CHECKING:
    from vljepa_apps.measure.compare.parity import MeasuredParity
    from vljepa_apps.measure.compare.report import Comparison
    from vljepa_evaluation.metrics import Estimate

__all__ = ["MISSING", "interval_text", "is_known", "markdown", "measured_cells", "scale_of", "text"]

MISSING = "n/a"
OWN_UNIT = ("cider", "decodings", "median_rank")  # metrics that are no shares
ROUNDED = 1e-9  # what is narrower is an error of float64
LEAST_PAIRS = 6  # of rounds; the median of fewer has no 95 % interval


def _tables(report: Comparison) -> Iterator[Table]:
    """Every table of the report, cells as text."""
    labels = [column.label for column in report.columns]
    yield Table("What runs", _facts(report), ["", *labels])
    if any(column.tasks for column in report.columns):
        rows = list(_accuracy(report))
        yield Table("Accuracy (%) with 95 % intervals", rows, ["task", *labels, "chance"])
    if report.differences:
        rows = list(_differences(report))
        header = ["of", "against", "task", "metric", "difference", "p", "same (%)", "would be seen"]
        yield Table("Differences clip by clip (points; margins in cosine)", rows, header)
    if report.agreements:
        rows = [[a.label, a.base, a.task, *_same(a.found)] for a in report.agreements]
        header = ["of", "with", "task", "same label or words (%)", "cosine of embeddings"]
        yield Table("Agreement, right or wrong, with 95 % intervals", rows, header)
    if report.decisions:
        rows = [
            [d.label, d.base, *(interval_text(e.to_dict(), 100, 1) for e in (d.same, d.near))]
            for d in report.decisions
        ]
        header = ["of", "with", "begin with the same window (%)", "within a window (%)"]
        yield Table("Segments of both that begin alike on streams, with 95 % intervals", rows, header)
    if report.parity:
        rows = [[each.label, each.base, each.name, *measured_cells(each)] for each in report.parity]
        header = ["of", "with", "graph or way", *PARITY_HEADER]
        yield Table("Parity measured here, on the same inputs", rows, header)
    if any(column.facts.get("parity") for column in report.columns):
        title = "Parity with the float model as the manifests say (worst cosine, PSNR), not measured here"
        yield Table(title, list(_quoted_parity(report)), ["graph", *labels])
    if any(column.latency for column in report.columns):
        title = "Latency (ms): p50 / p95, middle half in brackets"
        yield Table(title, list(_latency(report)), ["cell", *labels])
    if any(report.speedups.values()):
        header = ["cell", *report.speedups]
        title = f"Times faster than {report.reference}, with 95 % intervals over pairs of rounds"
        yield Table(title, list(_speedups(report)), header)


def text(report: Comparison) -> str:
    """Aligned tables for a terminal."""
    return "\n\n".join([tables.text(_tables(report)), *_edits(report), *_errors(report), *_verdicts(report)])


def markdown(report: Comparison) -> str:
    """The same tables in Markdown, with what they were measured on."""
    settings = ", ".join(
        f"{key} {value}" for key, value in report.settings.items() if not isinstance(value, tuple)
    )
    machine = ", ".join(f"{key} {value}" for key, value in report.machine.items())
    parts = ["# Comparison", f"Measured on: {machine}.", f"Settings: {settings}."]
    parts += [tables.markdown(_tables(report)), *_edits(report), *_errors(report), *_verdicts(report)]
    return "\n\n".join(parts) + "\n"


def _facts(report: Comparison) -> list[list[str]]:
    def row(title: str, key: str, show: Any) -> list[str]:
        return [
            title,
            *(show(c.facts[key]) if c.facts.get(key) is not None else MISSING for c in report.columns),
        ]

    return [
        row("engine", "engine", str),
        row("parameters", "parameters", lambda count: f"{count / 1e6:.2f} M"),
        row("precision", "precision", _precision),
        row("size", "size_bytes", console.size),
        row("peak memory", "peak_rss_mb", lambda value: f"{value:.0f} MB"),
        row("start to first embedding", "cold_start_s", lambda value: f"{value:.2f} s"),
        ["windows a second", *(_or_missing(c.windows_per_s, "{:.1f}") for c in report.columns)],
        row("joules a window", "joules_per_window", lambda value: f"{value:.3f}"),
    ]


def _or_missing(value: float | None, form: str) -> str:
    return MISSING if value is None else form.format(value)


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
    return interval_text(estimate, *scale_of(metric))


def scale_of(metric: str) -> tuple[float, int]:
    """What a metric is multiplied with for people, and the decimal places that are shown."""
    if metric.startswith(OWN_UNIT):
        return 1, 2
    return (1, 4) if metric == MARGIN else (100, 1)


def interval_text(estimate: Mapping[str, float], scale: float, digits: int, sign: str = "") -> str:
    """`value [low, high]`, or `value [n/a]`; see `is_known`."""
    value, low, high = (f"{scale * estimate[key]:{sign}.{digits}f}" for key in ("value", "low", "high"))
    return (
        f"{value} [{low}, {high}]" if is_known(estimate["low"], estimate["high"]) else f"{value} [{MISSING}]"
    )


def is_known(low: float, high: float) -> bool:
    """Whether these bound anything: resamples of one stream, or of clips of one video, are all the same."""
    return high - low > ROUNDED


def _same(found: Mapping[str, Estimate]) -> Iterator[str]:
    for name, scale, digits in (("best_label", 100, 1), ("cosine", 1, 5)):
        yield interval_text(found[name].to_dict(), scale, digits) if name in found else MISSING


def _note(result: Mapping[str, Any]) -> str:
    note = str(result.get("note", ""))
    return f"{MISSING} ({note})" if note.startswith(("failed", "skipped", "cannot")) else MISSING


def _differences(report: Comparison) -> Iterator[list[str]]:
    """What the verdicts look at, and CIDEr-D; the JSON has every metric."""
    for each in report.differences:
        if not each.tested and not each.metric.startswith(OWN_UNIT):
            continue
        value, digits = each.found.estimate, each.digits
        shown = interval_text(value.to_dict(), 1, digits, "+")
        seen = f"{each.found.visible:.{digits}f}" if is_known(value.low, value.high) else ""
        if not value.value and not seen:
            shown = "none at all"
        row = [each.label, each.base, each.task, each.metric, shown]
        yield [*row, f"{each.found.p:.2g}", f"{100 * each.found.agree:.1f}", seen]


def measured_cells(each: MeasuredParity) -> tuple[str, ...]:
    """Cells under `PARITY_HEADER`."""
    if each.note:
        return (f"{MISSING} ({each.note[:80]})", *[""] * (len(PARITY_HEADER) - 1))
    if each.same is not None:
        return (f"{100 * each.same:.1f} % the same", *[""] * (len(PARITY_HEADER) - 1))
    if each.identical:
        return ("identical", *[""] * (len(PARITY_HEADER) - 1))
    return parity_cells(each.parity)


def _quoted_parity(report: Comparison) -> Iterator[list[str]]:
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
        yield [cell, *(_ratio(ratio) if ratio else MISSING for ratio in ratios)]


def _ratio(ratio: Estimate) -> str:
    if ratio.n < LEAST_PAIRS:
        return f"{ratio.value:.3f} [n/a of {ratio.n}]"
    return interval_text(ratio.to_dict(), 1, 3)


def _cells(report: Comparison) -> Sequence[str]:
    return list(dict.fromkeys(cell for column in report.columns for cell in column.latency))


def _verdicts(report: Comparison) -> list[str]:
    asked = any(column.tasks for column in report.columns)
    return ["\n".join(map(str, report.verdicts))] if report.verdicts and asked else []


def _edits(report: Comparison) -> list[str]:
    lines = [f"{column.label}: {edit}" for column in report.columns for edit in column.facts.get("edits", ())]
    return ["Edited:\n" + "\n".join(f"- {line}" for line in lines)] if lines else []


def _errors(report: Comparison) -> list[str]:
    lines = [f"{column.label}: {error}" for column in report.columns for error in column.unmeasured]
    return ["Not measured:\n" + "\n".join(f"- {line}" for line in lines)] if lines else []
