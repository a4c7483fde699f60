"""What was measured side by side as a picture: a window of each line. Needs matplotlib, loaded late."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vljepa_apps.measure.figures import new_figure, save_figure
from vljepa_apps.measure.peers.worker import WINDOW
from vljepa_apps.measure.side_by_side.report import REFERENCE

if TYPE_CHECKING:
    from vljepa_apps.measure.side_by_side.report import SideBySide, Workplace

__all__ = ["draw"]

OURS, OTHERS = "tab:blue", "tab:gray"


def draw(found: SideBySide, path: Path) -> None:
    """Draw how many times as fast as torch eager in float32 each line's window is.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure, panels = new_figure(len(found.places), width=7.5 * len(found.places))
    for axes, place in zip(panels, found.places):
        _bars(axes, place)
    save_figure(figure, path)


def _bars(axes: Any, place: Workplace) -> None:
    lines = [line for line in place.lines if line.peer.name == REFERENCE or place.faster(line) is not None]
    for row, line in enumerate(lines):
        ratio = place.faster(line)
        value = ratio.value if ratio else 1.0
        spread = [[value - ratio.low], [ratio.high - value]] if ratio else None
        color = OURS if line.peer.ours else OTHERS
        axes.barh(row, value, color=color, xerr=spread, error_kw={"lw": 0.8})
        ms = line.latency[WINDOW].p50_ms
        end = ratio.high if ratio else value
        axes.text(end, row, f"  {ms:,.{0 if ms >= 100 else 1}f} ms", va="center", fontsize=8)
    axes.set_yticks(range(len(lines)), [line.peer.title for line in lines], fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.18)
    axes.set_title(f"{place.title}\na window, times as fast as torch eager fp32", fontsize=10)
    axes.grid(axis="x", alpha=0.2)
