"""Figures for the reports of measurements. Needs matplotlib, which is loaded late."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vljepa_runtime.errors import MissingExtraError
from vljepa_runtime.files import replace_file

__all__ = ["new_figure", "require_matplotlib", "save_figure"]


def require_matplotlib() -> None:
    """Find out before an hour of measuring, not after it.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise MissingExtraError("matplotlib", "apps")


def new_figure(panels: int, *, width: float, height: float = 4.6) -> tuple[Any, Sequence[Any]]:
    """A figure of `width` x `height` inches and the axes of its panels, from left to right.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(1, panels, squeeze=False)[0]


def save_figure(figure: Any, path: Path, *, dpi: int = 130) -> None:
    """Write a figure in the format that the name ends with, PNG without."""
    kind = path.suffix.lstrip(".") or "png"
    replace_file(path, lambda file: figure.savefig(file, dpi=dpi, format=kind))
