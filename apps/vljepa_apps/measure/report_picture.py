"""Pictures of a report: accuracy and latency bars, and the selective decoding curve. Needs matplotlib, loaded late."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vljepa_runtime.errors import MissingExtraError
from vljepa_runtime.files.atomic import replace_file

if TYPE_CHECKING:
    from vljepa_apps.measure.report import Report
    from vljepa_evaluation.tasks.selective import Curve

__all__ = ["draw", "draw_curves", "require_matplotlib", "save_figure"]

DPI = 130
BAR = 0.8  # share of a group's width that its bars fill


def draw(report: Report, path: Path) -> None:
    """Draw accuracy per task and latency per cell of every subject.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure, (left, right) = _figure(2, width=13)
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


def draw_curves(curves: Sequence[Curve], path: Path) -> None:
    """Draw CIDEr against decodings per minute for every policy.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure, (axes,) = _figure(1, width=7)
    for curve in curves:
        points = sorted(
            (rate, q.value, q.low, q.high) for rate, q in zip(curve.rates.tolist(), curve.quality) if rate
        )
        rate, value, low, high = np.array(points).reshape(-1, 4).T
        style = "--" if "pooled" in curve.policy else "-"
        (line,) = axes.plot(rate, value, style, marker="o", ms=3, label=curve.policy)
        axes.fill_between(rate, low, high, alpha=0.12, color=line.get_color(), lw=0)
    axes.axvline(60, color="0.7", lw=0.8)
    axes.set(xscale="log", xlabel="decodings per minute", ylabel="CIDEr-D of the nearest output")
    axes.legend(frameon=False)
    axes.grid(alpha=0.2)
    save_figure(figure, path)


def require_matplotlib() -> None:
    """Find out before an hour of measuring, not after it.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise MissingExtraError("matplotlib", "apps")


def _figure(panels: int, *, width: float) -> tuple[Any, Sequence[Any]]:
    require_matplotlib()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, 4.6), layout="constrained")
    return figure, figure.subplots(1, panels, squeeze=False)[0]


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


def save_figure(figure: Any, path: Path, *, dpi: int = DPI) -> None:
    """Write a figure in the format that the name ends with, PNG without."""
    kind = path.suffix.lstrip(".") or "png"
    replace_file(path, lambda file: figure.savefig(file, dpi=dpi, format=kind))
