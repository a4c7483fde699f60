"""The controlled comparison as data, text, Markdown and picture. Measures nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
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
METRICS = {"cider": "CIDEr-D", "top5": "top-5 (%)", "top1": "top-1 (%)"}
COLOURS = {"vl-jepa": "#1f6fb4", "token-vlm": "#d1642b"}
DPI = 110


def to_dict(
    checkpoint: str, plan: Plan, runs: Sequence[LearningCurve], times: Mapping[str, Mapping[str, Latency]]
) -> dict[str, Any]:
    """Plain values for `versus.json`."""
    return {
        "format": FORMAT,
        "checkpoint": checkpoint,
        "plan": plan.to_dict(),
        "runs": [run.to_dict() for run in runs],
        "time_to_answer": {
            name: {cell: dataclasses.asdict(latency) for cell, latency in cells.items()}
            for name, cells in times.items()
        },
    }


def _tables(report: Mapping[str, Any]) -> Iterator[Table]:
    """Sizes, quality against samples seen, and time to an answer."""
    names = list(dict.fromkeys(run["contender"] for run in report["runs"]))
    seen = ["samples seen", *names]
    yield Table(
        "Trainable parameters", [_size(report, name) for name in names], ["contender", "parts", "in all"]
    )
    for metric, title in METRICS.items():
        spread = f"{title}, mean of {len(report['plan']['seeds'])} seeds (lowest to highest)"
        yield Table(spread, _quality(report, names, metric), seen)
    cost = "Processor time of training (s), mean of the seeds"
    yield Table(cost, _quality(report, names, "train_s"), seen)
    times = "Time to an answer (ms), median (middle half), in turns"
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
        for name, colour in COLOURS.items():
            series = _series(report, name, metric)
            shared = sorted(set.intersection(*(set(points) for points in series))) if series else []
            for points in series:
                axes.plot(list(points), list(points.values()), color=colour, lw=0.8, alpha=0.5)
            means = [sum(points[x] for points in series) / len(series) for x in shared]
            axes.plot(shared, means, color=colour, lw=2, marker="o", ms=4, label=name)
        axes.set(xscale="log", xlabel="samples seen", ylabel=METRICS[metric])
        axes.grid(alpha=0.2)
        axes.legend(frameon=False)
    save_figure(figure, path, dpi=DPI)


def _size(report: Mapping[str, Any], name: str) -> list[str]:
    parts = next(run["parameters"] for run in report["runs"] if run["contender"] == name)
    listed = ", ".join(f"{part} {count / 1e6:.2f} M" for part, count in parts.items())
    return [name, listed, f"{sum(parts.values()) / 1e6:.2f} M"]


def _series(report: Mapping[str, Any], name: str, metric: str) -> list[dict[int, float]]:
    """Per seed the metric by samples seen; shares in percent."""
    scale = 100.0 if metric.startswith("top") else 1.0
    return [
        {point["samples"]: scale * point[metric] for point in run["points"]}
        for run in report["runs"]
        if run["contender"] == name
    ]


def _quality(report: Mapping[str, Any], names: Sequence[str], metric: str) -> list[list[str]]:
    digits = 2 if metric == "cider" else 1
    every = {name: _series(report, name, metric) for name in names}
    counts = sorted({count for series in every.values() for points in series for count in points})
    rows = []
    for count in counts:
        row = [str(count)]
        for name in names:
            values = [points[count] for points in every[name] if count in points]
            spread = f" ({min(values):.{digits}f} to {max(values):.{digits}f})" if len(values) > 1 else ""
            row.append(f"{sum(values) / len(values):.{digits}f}{spread}" if values else "n/a")
        rows.append(row)
    return rows


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
