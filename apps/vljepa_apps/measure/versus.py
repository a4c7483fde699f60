"""The controlled comparison as data, text, Markdown and picture. Measures nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vljepa_apps import tables
from vljepa_apps.measure.figures import new_figure, save_figure
from vljepa_apps.tables import Table

if TYPE_CHECKING:
    from vljepa_apps.measure.latency import Latency
    from vljepa_model.versus import LearningCurve, Plan

__all__ = ["draw", "markdown", "text", "to_dict"]

FORMAT = 1
METRICS = {
    "cider": "CIDEr-D", "top5": "top-5 (%)", "top1": "top-1 (%)",
    "wording": "CIDEr-D of the Y-decoder alone, from the true captions' embeddings",
    "train_s": "Processor time of training (s)",
}  # fmt: skip
COLOURS = {"vl-jepa": "#1f6fb4", "token-vlm": "#d1642b"}
LINES = ("-", "--", ":", "-.")  # of this contest, and of those beside it
DPI = 110


def to_dict(
    checkpoint: str,
    plan: Plan,
    runs: Sequence[LearningCurve],
    times: Mapping[str, Mapping[str, Latency]],
    *,
    beside: Mapping[str, tuple[Plan, Sequence[LearningCurve]]] | None = None,
) -> dict[str, Any]:
    """Plain values for `versus.json`; contests beside this one by their names."""
    return {
        "format": FORMAT,
        "checkpoint": checkpoint,
        "plan": plan.to_dict(),
        "runs": [run.to_dict() for run in runs],
        "time_to_answer": {
            name: {cell: dataclasses.asdict(latency) for cell, latency in cells.items()}
            for name, cells in times.items()
        },
        "beside": [
            {"name": name, "plan": other.to_dict(), "runs": [run.to_dict() for run in theirs]}
            for name, (other, theirs) in (beside or {}).items()
        ],
    }


@dataclass(frozen=True, slots=True)
class Column:
    """The runs of one contender in one contest.

    Attributes:
        contender: Its name.
        contest: 0 for the contest that is reported, 1 for the first one beside it.
        label: What the plan of a contest beside has that the reported one's has not; else empty.
        runs: One for each seed.
    """

    contender: str
    contest: int
    label: str
    runs: Sequence[Mapping[str, Any]]

    @property
    def title(self) -> str:
        """Contender and label."""
        return f"{self.contender}, {self.label}" if self.label else self.contender

    def series(self, metric: str) -> list[dict[int, float]]:
        """Per run the metric by samples seen, where it has one; shares in percent."""
        scale = 100.0 if metric.startswith("top") else 1.0
        return [
            {point["samples"]: scale * point[metric] for point in run["points"] if point[metric] is not None}
            for run in self.runs
        ]


def _columns(report: Mapping[str, Any]) -> list[Column]:
    columns = []
    for place, contest in enumerate((report, *report["beside"])):
        own = {key: value for key, value in contest["plan"].items() if value != report["plan"][key]}
        differing = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in own.items())
        label = (differing or str(contest["name"])) if place else ""
        for name in dict.fromkeys(run["contender"] for run in contest["runs"]):
            runs = [run for run in contest["runs"] if run["contender"] == name]
            columns.append(Column(name, place, label, runs))
    return columns


def _tables(report: Mapping[str, Any]) -> Iterator[Table]:
    """Sizes, quality against samples seen, what it cost, and time to an answer."""
    columns = _columns(report)
    own = [column for column in columns if not column.contest]
    yield Table("Trainable parameters", [_size(column) for column in own], ["contender", "parts", "in all"])
    for metric, title in METRICS.items():
        known = [column for column in columns if any(column.series(metric))]
        spread = f"{title}, mean of the seeds (lowest to highest)"
        yield Table(spread, _quality(known, metric), ["samples seen", *(column.title for column in known)])
    if texts := [column for column in columns if any(run["text_s"] for run in column.runs)]:
        rows = [[column.title, _mean([run["text_s"] for run in column.runs], 1)] for column in texts]
        yield Table("Processor time on texts alone, beforehand (s)", rows, ["contender", "mean of the seeds"])
    times = "Time to an answer (ms), median (middle half), in turns"
    names = [column.contender for column in own]
    yield Table(times, _times(report, names), ["", *names])


def text(report: Mapping[str, Any]) -> str:
    """Aligned tables for a terminal."""
    return tables.text(_tables(report))


def markdown(report: Mapping[str, Any]) -> str:
    """The same tables in Markdown, with the plan."""
    plan = ", ".join(f"{key} {value}" for key, value in report["plan"].items())
    parts = ["# VL-JEPA against a token-space VLM", f"X-encoder: {report['checkpoint']}. Plan: {plan}."]
    return "\n\n".join([*parts, tables.markdown(_tables(report))]) + "\n"


def draw(report: Mapping[str, Any], path: Path) -> None:
    """Draw CIDEr and top-5 against samples seen: a thin line per seed, a thick one for their mean.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure, panels = new_figure(2, width=9.5, height=3.8)
    for axes, metric in zip(panels, ("cider", "top5"), strict=True):
        for column in _columns(report):
            series = column.series(metric)
            style = {"color": COLOURS[column.contender], "ls": LINES[column.contest % len(LINES)]}
            shared = sorted(set.intersection(*(set(points) for points in series)))
            for points in series:
                axes.plot(list(points), list(points.values()), lw=0.8, alpha=0.4, **style)
            means = [sum(points[x] for points in series) / len(series) for x in shared]
            axes.plot(shared, means, lw=2, marker="o", ms=4, label=column.title, **style)
        axes.set(xscale="log", xlabel="samples seen", ylabel=METRICS[metric])
        axes.grid(alpha=0.2)
    panels[0].legend(frameon=False, fontsize="small")
    save_figure(figure, path, dpi=DPI)


def _size(column: Column) -> list[str]:
    parts = column.runs[0]["parameters"]
    listed = ", ".join(f"{part} {count / 1e6:.2f} M" for part, count in parts.items())
    return [column.contender, listed, f"{sum(parts.values()) / 1e6:.2f} M"]


def _quality(columns: Sequence[Column], metric: str) -> list[list[str]]:
    digits = 2 if metric in ("cider", "wording") else 1
    every = [column.series(metric) for column in columns]
    counts = sorted({count for series in every for points in series for count in points})

    def cells(count: int) -> Iterator[str]:
        for series in every:
            yield _mean([points[count] for points in series if count in points], digits)

    return [[str(count), *cells(count)] for count in counts]


def _mean(values: Sequence[float], digits: int) -> str:
    """Mean with its lowest and highest value."""
    if not values:
        return "n/a"
    spread = f" ({min(values):.{digits}f} to {max(values):.{digits}f})" if len(values) > 1 else ""
    return f"{sum(values) / len(values):.{digits}f}{spread}"


def _times(report: Mapping[str, Any], names: Sequence[str]) -> list[list[str]]:
    times = report["time_to_answer"]
    rows = []
    for cell in dict.fromkeys(cell for name in names for cell in times[name]):
        row = [cell]
        for name in names:
            found = times[name].get(cell)
            timed = found and f"{found['p50_ms']:.1f} ({found['low_ms']:.1f} to {found['high_ms']:.1f})"
            row.append((found["error"] or timed) if found else "n/a")
        rows.append(row)
    return rows
