"""The few shapes that charts are drawn with, as SVG inside of a page; colours are classes of its style sheet."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape

__all__ = [
    "WIDTH",
    "Axis",
    "Box",
    "drawing",
    "line",
    "linear",
    "logarithmic",
    "mark",
    "polyline",
    "rect",
    "text",
]

WIDTH = 360  # of every chart: that of a phone, so that letters are never scaled down
LETTER = 6.2  # mean width of a letter of 12 px
MARKS = ("circle", "square", "diamond", "triangle", "wedge", "cross", "star", "bar")
STEPS = (1, 2, 5)
FEW, MANY = 4, 6  # ticks of an axis


@dataclass(frozen=True, slots=True)
class Box:
    """Where an axis' values go, in pixels."""

    left: float
    right: float

    @property
    def length(self) -> float:
        """From end to end; negative where it runs backwards."""
        return self.right - self.left


@dataclass(frozen=True, slots=True)
class Axis:
    """Values to pixels.

    Attributes:
        at: Place of a value.
        ticks: Values that are written at the axis.
    """

    at: Callable[[float], float]
    ticks: Sequence[float]


def linear(low: float, high: float, box: Box, *, limits: tuple[float, float] | None = None) -> Axis:
    """An axis over values with round ends; `limits` are values that it never leaves."""
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    step = _step((high - low) / FEW)
    low, high = math.floor(low / step) * step, math.ceil(high / step) * step
    if limits:
        low, high = max(low, limits[0]), min(high, limits[1])
    ticks = [low + index * step for index in range(round((high - low) / step) + 1)]
    span = high - low or 1.0
    return Axis(lambda value: box.left + box.length * (min(max(value, low), high) - low) / span, ticks)


def logarithmic(low: float, high: float, box: Box) -> Axis:
    """An axis of positive values."""
    low, high = low / 1.15, high * 1.15
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [
        step * 10.0**decade for decade in decades for step in STEPS if low <= step * 10.0**decade <= high
    ]
    if len(ticks) > MANY:
        ticks = [tick for tick in ticks if f"{tick:e}"[0] == "1"]
    start, length = math.log(low), math.log(high / low)
    return Axis(
        lambda value: box.left + box.length * (math.log(min(max(value, low), high)) - start) / length, ticks
    )


def _step(rough: float) -> float:
    size = 10.0 ** math.floor(math.log10(rough))
    return next((step * size for step in STEPS if step * size >= rough), 10 * size)


def drawing(parts: Iterable[str], *, height: float, title: str) -> str:
    """A chart; its title is what a screen reader says."""
    inside = "".join(parts)
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{inside}</svg>"
    )


def text(x: float, y: float, words: str, *, kind: str = "", anchor: str = "start", room: float = 0.0) -> str:
    """Words at a place, cut where they would need more room."""
    if room and len(words) * LETTER > room:
        words = words[: max(3, int(room / LETTER) - 1)] + "\N{HORIZONTAL ELLIPSIS}"
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(words)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """A straight line."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def rect(
    x: float, y: float, width: float, height: float, kind: str, *, style: str = "", title: str = ""
) -> str:
    """A rectangle, with what a pointer is told."""
    told = f"<title>{escape(title)}</title>" if title else ""
    look = f' style="{style}"' if style else ""
    size = f'width="{max(0.0, width):.1f}" height="{max(0.0, height):.1f}"'
    return f'<rect x="{x:.1f}" y="{y:.1f}" {size} class="{kind}"{look}>{told}</rect>'


def polyline(points: Sequence[tuple[float, float]], kind: str) -> str:
    """A line through points."""
    listed = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{listed}" class="{kind}"/>'


def polygon(points: Sequence[tuple[float, float]], kind: str) -> str:
    """A filled area."""
    listed = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polygon points="{listed}" class="{kind}"/>'


def mark(x: float, y: float, number: int, *, size: float = 4.5, title: str = "") -> str:
    """The sign of a line: a shape and a colour, each telling by itself which one it is."""
    shape, colour = MARKS[number % len(MARKS)], f"mark c{number % len(MARKS)}"
    told = f"<title>{escape(title)}</title>" if title else ""
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size:.1f}" class="{colour}">{told}</circle>'
    corners = [(x + size * 1.15 * dx, y + size * 1.15 * dy) for dx, dy in _CORNERS[shape]]
    listed = " ".join(f"{a:.1f},{b:.1f}" for a, b in corners)
    return f'<polygon points="{listed}" class="{colour}">{told}</polygon>'


_CORNERS = {
    "square": ((-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)),
    "diamond": ((0, -1.2), (1.2, 0), (0, 1.2), (-1.2, 0)),
    "triangle": ((0, -1.1), (1.05, 0.85), (-1.05, 0.85)),
    "wedge": ((0, 1.1), (1.05, -0.85), (-1.05, -0.85)),
    "cross": tuple(
        (x, y)
        for x, y in (
            (-0.35, -1.1), (0.35, -1.1), (0.35, -0.35), (1.1, -0.35), (1.1, 0.35), (0.35, 0.35),
            (0.35, 1.1), (-0.35, 1.1), (-0.35, 0.35), (-1.1, 0.35), (-1.1, -0.35), (-0.35, -0.35),
        )
    ),
    "star": tuple(
        (size * math.sin(math.pi * n / 5), -size * math.cos(math.pi * n / 5))
        for n in range(10)
        for size in [0.55 if n % 2 else 1.3]
    ),
    "bar": ((-0.45, -1.2), (0.45, -1.2), (0.45, 1.2), (-0.45, 1.2)),
}  # fmt: skip
