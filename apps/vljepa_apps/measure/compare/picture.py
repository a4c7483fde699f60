"""A comparison as a picture: bars of accuracy and latency. Needs matplotlib, loaded late."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vljepa_apps.measure.figures import new_figure, save_figure

if TYPE_CHECKING:
    from vljepa_apps.measure.compare.report import Comparison

__all__ = ["draw"]

BAR = 0.8  # share of a group's width that its bars fill


def draw(report: Comparison, path: Path) -> None:
    """Draw accuracy per task and latency per cell of every subject.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure, (left, right) = new_figure(2, width=13)
    tasks = list(dict.fromkeys(task for column in report.columns for task in column.tasks))
    cells = list(dict.fromkeys(cell for column in report.columns for cell in column.latency))
    for index, column in enumerate(report.columns):
        _accuracy_bars(left, tasks, column.tasks, index, len(report.columns), column.label)
        medians = [column.latency.get(cell, {}).get("p50_ms") or np.nan for cell in cells]
        _bars(right, medians, index, len(report.columns), column.label)
    _finish(left, tasks, "accuracy (%), 95 % intervals")
    _finish(right, cells, "latency (ms, median)")
    if cells:
        right.set_yscale("log")
    save_figure(figure, path)


def _accuracy_bars(
    axes: Any, tasks: Sequence[str], results: dict[str, dict[str, Any]], index: int, count: int, label: str
) -> None:
    estimates = [
        results.get(task, {}).get("metrics", {}).get(results.get(task, {}).get("headline")) for task in tasks
    ]
    values = [100 * e["value"] if e else np.nan for e in estimates]
    below = [100 * (e["value"] - e["low"]) if e else 0.0 for e in estimates]
    above = [100 * (e["high"] - e["value"]) if e else 0.0 for e in estimates]
    _bars(axes, values, index, count, label, spread=[np.maximum(below, 0), np.maximum(above, 0)])


def _bars(
    axes: Any, values: Sequence[float], index: int, count: int, label: str, *, spread: Any = None
) -> None:
    width = BAR / count
    at = np.arange(len(values)) - BAR / 2 + width * (index + 0.5)
    axes.bar(at, values, width, label=label, yerr=spread, error_kw={"lw": 0.8})


def _finish(axes: Any, names: Sequence[str], title: str) -> None:
    axes.set_xticks(np.arange(len(names)), names, rotation=40, ha="right", fontsize=8)
    axes.set_title(title, fontsize=10)
    axes.grid(axis="y", alpha=0.2)
    if names:
        axes.legend(frameon=False, fontsize=8)
