"""Sections of the page: each takes a comparison and gives HTML, or nothing where nothing was measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from vljepa_apps.measure.compare.html.charts import (
    Point,
    Row,
    curve_of,
    intervals,
    matrix,
    pareto,
    selective,
    spread,
)
from vljepa_apps.measure.compare.html.clips import pictures, worst_clips
from vljepa_apps.measure.compare.html.parts import Cell, card, cards, sign, sorting_table
from vljepa_apps.measure.compare.tables import MISSING, interval_text, is_known, measured_cells, scale_of
from vljepa_apps.tables import PARITY_HEADER
from vljepa_evaluation.tasks import MARGIN
from vljepa_runtime.printable import printable

if TYPE_CHECKING:
    from vljepa_apps.measure.compare.html.clips import Worst
    from vljepa_apps.measure.compare.report import Column, Comparison
    from vljepa_evaluation import metrics
    from vljepa_evaluation.tasks import TaskResult

__all__ = [
    "agreement",
    "clips",
    "confusions",
    "differences",
    "parity",
    "streams",
    "tasks",
    "times",
    "trade",
]

PERCENT = (0.0, 100.0)
WINDOW = "window"
FEW_LABELS, MOST_SAID = 12, 10
SAME = {"best_label": (100, 1), "cosine": (1, 5)}
Estimate = Mapping[str, float]


def trade(report: Comparison) -> str:
    """Accuracy against the time of a window, a chart for each task."""
    found = []
    for task in _tasks(report):
        points = [
            Point(number=number, label=column.label, x=_middle(column), y=_scaled(*headline))
            for number, column in enumerate(report.columns)
            if (headline := _headline(column, task)) and _middle(column)[0]
        ]
        if len(points) > 1:
            shares = scale_of(_metric(report, task))[0] == 100
            chart = pareto(
                points,
                title=f"{task}: accuracy and time",
                unit="ms a window",
                limits=PERCENT if shares else None,
            )
            found.append(card(task, chart, note=_unit(report, task)))
    note = (
        "Up is better, left is faster. Upright lines are 95 % intervals, level ones the middle half of the runs. "
        "Dashed: what no other line beats in both."
    )
    return cards(found, note=note)


def tasks(report: Comparison) -> str:
    """The headline of each task with its interval, a row for each line."""
    found = []
    for task in _tasks(report):
        rows = []
        for number, column in enumerate(report.columns):
            if headline := _headline(column, task):
                value, low, high = _scaled(*headline)
                told = f"{value:.1f} [{low:.1f}, {high:.1f}]"
                rows.append(
                    Row(number=number, label=column.label, value=value, low=low, high=high, told=told)
                )
        chance = next(
            (c.tasks[task]["chance"] for c in report.columns if c.tasks.get(task, {}).get("chance")), None
        )
        shares = scale_of(_metric(report, task))[0] == 100
        zero = 100 * chance if chance and shares else None
        chart = intervals(rows, title=task, zero=zero, limits=PERCENT if shares else None)
        guess = f", chance {zero:.1f} (dashed)" if zero is not None else ""
        count = next((f", {c.tasks[task]['metrics'][c.tasks[task]['headline']]['n']} samples" for c in report.columns
                      if _headline(c, task)), "")  # fmt: skip
        found.append(card(task, chart, note=f"{_unit(report, task)}{guess}{count}"))
    return cards(found)


def differences(report: Comparison) -> str:
    """What verdicts look at: the difference to the first line clip by clip, with its interval and test."""
    tested = [
        each for each in report.differences if each.tested or each.metric.startswith(("cider", "decodings"))
    ]
    if not tested:
        return ""
    numbers = {column.label: number for number, column in enumerate(report.columns)}
    found = []
    for task in dict.fromkeys(each.task for each in tested if each.headline):
        rows = []
        for each in (each for each in tested if each.task == task and each.headline):
            value = each.found.estimate
            told = f"{interval_text(value.to_dict(), 1, 2, '+')}, p {_p(each.found.p)}"
            rows.append(Row(number=numbers[each.label], label=each.label, value=value.value, low=value.low,
                            high=value.high, told=told))  # fmt: skip
        found.append(card(task, intervals(rows, title=f"{task}: difference", zero=0.0), note="points"))
    note = (
        "On the same clips, each line minus the first. p is of the test of one task (McNemar, mid-p; exchanges for "
        "margins); the verdicts above correct for their number (Holm)."
    )
    head = ("line", "task", "metric", "difference", "low", "high", "p", "same clips, %", "would be seen")
    table = sorting_table(head, [_difference(each, numbers[each.label]) for each in tested])
    return (
        cards(found, note=note)
        + f"<details><summary>All {len(tested)} differences as numbers</summary>{table}</details>"
    )


def _difference(each: Any, number: int) -> list[Cell]:
    value, digits = each.found.estimate, each.digits
    known = is_known(value.low, value.high)
    return [
        Cell(each.label, first=True, sign=number),
        Cell(each.task),
        Cell(each.metric),
        Cell(f"{value.value:+.{digits}f}", key=value.value, number=True),
        *(
            Cell(f"{end:+.{digits}f}" if known else MISSING, key=end, number=True)
            for end in (value.low, value.high)
        ),
        Cell(_p(each.found.p), key=each.found.p, number=True),
        Cell(f"{100 * each.found.agree:.1f}", number=True),
        Cell(f"{each.found.visible:.{digits}f}" if known else MISSING, number=True),
    ]


def times(report: Comparison) -> str:
    """How the times of a window, of words and of every stage are spread."""
    cells = list(dict.fromkeys(cell for column in report.columns for cell in column.latency))
    found = []
    for cell in sorted(cells, key=lambda name: name != WINDOW):
        rows = []
        for number, column in enumerate(report.columns):
            one = column.latency.get(cell)
            if one and one["runs"]:
                runs = sorted(one["times_ms"])
                told = f"{one['p50_ms']:.2f} / {one['p95_ms']:.2f}"
                rows.append(Row(number=number, label=column.label, value=one["p50_ms"], low=runs[len(runs) // 20],
                                high=one["p95_ms"], told=told, runs=one["times_ms"],
                                inner=(one["low_ms"], one["high_ms"])))  # fmt: skip
        if rows:
            found.append(card(cell, spread(rows, title=f"{cell}: milliseconds"), note="ms, p50 / p95"))
    note = (
        "Lines take turns, in an order drawn anew for each pair of rounds. Box: middle half with the median; line: "
        "5 % to 95 %; ticks below: single runs."
    )
    return cards(found, note=note) + _speedups(report)


def _speedups(report: Comparison) -> str:
    rows = []
    numbers = {column.label: number for number, column in enumerate(report.columns)}
    for label, cells in report.speedups.items():
        for cell, ratio in cells.items():
            interval = f"[{ratio.low:.3f}, {ratio.high:.3f}]" if ratio.n >= 6 else f"n/a of {ratio.n} pairs"
            rows.append([Cell(label, first=True, sign=numbers[label]), Cell(cell),
                         Cell(f"{ratio.value:.3f}", key=ratio.value, number=True), Cell(interval)])  # fmt: skip
    if not rows:
        return ""
    table = sorting_table(("line", "stage", "times faster", "95 % interval"), rows)
    return f"<details><summary>Times faster than {escape(report.reference)}</summary>{table}</details>"


def streams(report: Comparison) -> str:
    """Quality of the words against how often they are made; agreement in when."""
    ours = _curves(report.columns[0])
    found = []
    for number, column in enumerate(report.columns):
        curves = _curves(column)
        if "own selection" not in curves:
            continue
        shown = [curve_of("uniform", curves["uniform"])]
        shown += [curve_of("base", ours["own selection"])] if number and "own selection" in ours else []
        shown.append(curve_of(f"own c{number % 8}", curves["own selection"]))
        points = curve_of("", curves["as shipped"]).points
        shipped = (points[0][0], points[0][1]) if points else None
        chart = selective(
            shown, shipped, number=number, title=f"{column.label}: CIDEr-D against decodings a minute"
        )
        told = f"CIDEr-D; as shipped {shipped[1]:.2f} at {shipped[0]:.1f} a minute" if shipped else "CIDEr-D"
        found.append(card(column.label, chart, note=told))
    note = (
        "Words for each event of a stream, scored against its truth, over how often they were made. Bands are "
        "intervals over streams."
    )
    key = (
        f'<div class="key"><span><i></i>own selection</span><span><i class="base"></i>that of '
        f'{escape(report.columns[0].label)}</span><span><i class="uniform"></i>one decoding every so many seconds'
        f"</span><span>{sign(0)}as shipped</span></div>"
    )
    return (cards(found, note=note) + key if found else "") + _decisions(report)


def _decisions(report: Comparison) -> str:
    numbers = {column.label: number for number, column in enumerate(report.columns)}
    rows = [
        [
            Cell(each.label, first=True, sign=numbers[each.label]),
            *(
                Cell(interval_text(e.to_dict(), 100, 1), key=e.value, number=True)
                for e in (each.same, each.near)
            ),
        ]
        for each in report.decisions
    ]
    head = ("segments of the line and the first one", "begin with the same window, %", "within a window, %")
    return sorting_table(head, rows) if rows else ""


def agreement(report: Comparison) -> str:
    """How often two lines say the same of a clip, right or wrong."""
    numbers = {column.label: number for number, column in enumerate(report.columns)}
    found = {(each.label, each.task): each.found for each in report.agreements}
    if not found:
        return ""
    tasks = list(dict.fromkeys(task for _, task in found))
    rows = [
        [
            Cell(label, first=True, sign=numbers[label]),
            *(_same(found.get((label, task), {})) for task in tasks),
        ]
        for label in dict.fromkeys(label for label, _ in found)
    ]
    told = "whether right or wrong: % of clips with the same label, or the same words of a caption"
    note = f"<p>With {escape(report.columns[0].label)}, {told}; of clips of your own the cosine of embeddings, too.</p>"
    return note + sorting_table(("line", *tasks), rows)


def _same(found: Mapping[str, metrics.Estimate]) -> Cell:
    shown = [_told(found[name], *how) for name, how in SAME.items() if name in found]
    key = next((found[name].value for name in SAME if name in found), "")
    return Cell("; ".join(shown) or MISSING, key=key, number=True)


def confusions(report: Comparison) -> str:
    """What was said where something else was true."""
    found = []
    for number, (label, results) in enumerate(report.results.items()):
        shown = [confusion for task, result in results.items() if (confusion := _confusion(task, result))]
        if shown:
            opened = " open" if not number else ""
            found.append(
                f"<details{opened}><summary>{sign(number)}{escape(printable(label))}</summary>{cards(shown)}</details>"
            )
    if not found:
        return ""
    note = (
        "<p>Down: what is true; across: what was said. A row adds up to 100 %; where there are many labels, the most "
        "frequent mistakes.</p>"
    )
    return note + "".join(found)


def _confusion(task: str, result: TaskResult) -> str:
    """A matrix of few labels, a list of the most frequent mistakes of many; nothing without any mistake."""
    pairs = Counter(zip(result.truth, result.chosen))
    wrong = Counter({pair: count for pair, count in pairs.items() if pair[0] != pair[1]})
    if not wrong or MARGIN not in result.scores or len(result.truth) != len(result.chosen):
        return ""  # nothing was chosen among labels, or all of it is right
    labels = list(dict.fromkeys([*sorted(set(result.truth)), *sorted(set(result.chosen))]))
    if len(labels) <= FEW_LABELS:
        return card(task, matrix(pairs, labels, title=f"{task}: what was said where what was true"))
    rows = [[Cell(truth, first=True), Cell(said), Cell(str(count), key=count, number=True)]
            for (truth, said), count in wrong.most_common(MOST_SAID)]  # fmt: skip
    note = f"{sum(wrong.values())} of {len(result.truth)} are wrong"
    return card(task, sorting_table(("true", "said", "times"), rows), note=note)


def clips(report: Comparison) -> str:
    """The worst clips with pictures."""
    if not report.results:
        return ""
    groups: dict[str, list[str]] = {}
    for worst in worst_clips(report.results):
        groups.setdefault(worst.why, []).append(_clip(worst))
    return "".join(
        f"<details{'' if number else ' open'}><summary>{escape(printable(why))}</summary>{cards(found)}</details>"
        for number, (why, found) in enumerate(groups.items())
    )


def _clip(worst: Worst) -> str:
    shown = "".join(f'<img src="{address}" alt="" loading="lazy">' for address in pictures(worst.shown))
    said = "".join(
        f'<dt>{escape(printable(label))}</dt><dd class="{"yes" if is_right else "no"}">'
        f"{escape(printable(words))}</dd>"
        for label, (words, is_right) in worst.said.items()
    )
    return (
        f'<div class="clip"><div class="strip">{shown}</div><dl><dt>true</dt><dd class="strong">'
        f"{escape(printable(worst.truth))}</dd>{said}</dl>"
        f'<p class="small soft">{escape(printable(f"{worst.task}, {worst.shown}"))}</p></div>'
    )


def parity(report: Comparison) -> str:
    """How far lines compute the same numbers."""
    numbers = {column.label: number for number, column in enumerate(report.columns)}
    rows = [
        [
            Cell(each.label, first=True, sign=numbers[each.label]),
            Cell(each.name),
            *map(Cell, measured_cells(each)),
        ]
        for each in report.parity
    ]
    if not rows:
        return ""
    told = "measured here on the same inputs, graph by graph and from end to end"
    note = f"<p>With {escape(report.columns[0].label)}, {told}.</p>"
    return note + sorting_table(("line", "graph or way", *PARITY_HEADER), rows)


def _tasks(report: Comparison) -> list[str]:
    """Tasks with a headline that was measured."""
    names = dict.fromkeys(task for column in report.columns for task in column.tasks)
    return [task for task in names if any(_headline(column, task) for column in report.columns)]


def _headline(column: Column, task: str) -> tuple[Estimate, str] | None:
    result = column.tasks.get(task, {})
    estimate = result.get("metrics", {}).get(result.get("headline"))
    return (estimate, result["headline"]) if estimate else None


def _metric(report: Comparison, task: str) -> str:
    return next(found[1] for column in report.columns if (found := _headline(column, task)))


def _unit(report: Comparison, task: str) -> str:
    metric = _metric(report, task)
    return f"{metric.replace('_', ' ')}{', %' if scale_of(metric)[0] == 100 else ''}"


def _scaled(estimate: Estimate, metric: str) -> tuple[float, float, float]:
    scale, _ = scale_of(metric)
    return scale * estimate["value"], scale * estimate["low"], scale * estimate["high"]


def _middle(column: Column) -> tuple[float, float, float]:
    window = column.latency.get(WINDOW, {})
    return window.get("p50_ms", 0.0), window.get("low_ms", 0.0), window.get("high_ms", 0.0)


def _told(estimate: metrics.Estimate, scale: float = 100, digits: int = 1) -> str:
    return interval_text(estimate.to_dict(), scale, digits)


def _curves(column: Column) -> dict[str, Any]:
    return {curve["policy"]: curve for curve in column.streams.get("curves", ())}


def _p(p: float) -> str:
    return f"{p:.2g}" if p >= 1e-4 else "< 0.0001"
