"""Charts of a comparison: a row for each line, the same scale for all rows, intervals always drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vljepa_apps.measure.compare.html import svg
from vljepa_apps.measure.compare.html.svg import WIDTH, Axis, Box

__all__ = ["Curve", "Point", "Row", "intervals", "matrix", "pareto", "selective", "spread"]

PAD, ROW, FOOT = 10, 36, 26
PLOT = Box(PAD, WIDTH - PAD)
SHOWN_RUNS = 120
LABELS_AT = tuple(side for row in range(8) for side in (-9 - 14 * row, 17 + 14 * row))
"""Base lines of a name above and below its mark, in rows of 14 pixels."""
FAR = 12  # pixels between a mark and its name, from which on a line joins them


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line's value with its interval.

    Attributes:
        number: Of the line, which gives shape and colour.
        label: Its name.
        value: The estimate.
        low: Lower end of the interval.
        high: Its upper end.
        told: The numbers in words, at the end of the row.
        runs: Single values behind it.
        inner: Quartiles, where these are drawn.
    """

    number: int
    label: str
    value: float
    low: float
    high: float
    told: str
    runs: Sequence[float] = ()
    inner: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One line in a plane: (value, low, high) of either axis."""

    number: int
    label: str
    x: tuple[float, float, float]
    y: tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Points (x, y, low, high) in the order of x."""

    kind: str
    points: Sequence[tuple[float, float, float, float]]


def intervals(
    rows: Sequence[Row], *, title: str, zero: float | None = None, limits: tuple[float, float] | None = None
) -> str:
    """A dot with its interval for each line, `zero` marked: chance, or no difference."""
    ends = [end for row in rows for end in (row.low, row.high)] + ([] if zero is None else [zero])
    axis = svg.linear(min(ends), max(ends), PLOT, limits=limits)
    height = ROW * len(rows) + FOOT
    parts = [*_grid(axis, height), *_zero(axis, zero, height)]
    for index, row in enumerate(rows):
        y = ROW * index + 24
        parts += _named(row, ROW * index + 12)
        parts.append(svg.line(axis.at(row.low), y, axis.at(row.high), y, f"span c{row.number % 8}"))
        parts.append(svg.mark(axis.at(row.value), y, row.number, title=f"{row.label}: {row.told}"))
    return svg.drawing(parts, height=height, title=title)


def spread(rows: Sequence[Row], *, title: str) -> str:
    """How single values lie, on a logarithmic scale: every run, the middle half, the median, 5 % to 95 %."""
    ends = [end for row in rows for end in (row.low, row.high, *row.runs)]
    axis = svg.logarithmic(min(ends), max(ends), PLOT)
    height = (ROW + 8) * len(rows) + FOOT
    parts = [*_grid(axis, height)]
    for index, row in enumerate(rows):
        top = (ROW + 8) * index
        y, colour = top + 27, f"c{row.number % 8}"
        parts += _named(row, top + 12)
        for number, run in enumerate(row.runs[:SHOWN_RUNS]):
            parts.append(svg.rect(axis.at(run) - 0.75, y + 5 + 5 * (number % 2), 1.5, 4, f"run {colour}"))
        parts.append(svg.line(axis.at(row.low), y, axis.at(row.high), y, f"span {colour}"))
        low, high = row.inner or (row.value, row.value)
        told = f"{row.label}: {row.told}"
        parts.append(
            svg.rect(axis.at(low), y - 4, axis.at(high) - axis.at(low), 8, f"half {colour}", title=told)
        )
        parts.append(svg.line(axis.at(row.value), y - 6, axis.at(row.value), y + 6, f"median {colour}"))
    return svg.drawing(parts, height=height, title=title)


def pareto(
    points: Sequence[Point], *, title: str, unit: str, limits: tuple[float, float] | None = None
) -> str:
    """Better is up and left; the dashed steps join what no other line beats in both."""
    plot, top, bottom = Box(34, WIDTH - PAD), 14, 236
    x = svg.logarithmic(min(p.x[1] for p in points), max(p.x[2] for p in points), plot)
    y = svg.linear(min(p.y[1] for p in points), max(p.y[2] for p in points), Box(bottom, top), limits=limits)
    parts = [
        part
        for tick in y.ticks
        for part in (
            svg.line(plot.left, y.at(tick), plot.right, y.at(tick), "grid"),
            svg.text(plot.left - 5, y.at(tick) + 4, _tick(tick), kind="tick", anchor="end"),
        )
    ]
    parts += [
        svg.text(x.at(tick), bottom + 16, _tick(tick), kind="tick", anchor="middle") for tick in x.ticks
    ]
    parts.append(svg.text(plot.right, bottom + 30, f"{unit}, fewer is better", kind="tick", anchor="end"))
    parts.append(svg.polyline(_front(points, x, y, plot.right), "front"))
    for point in points:
        at, colour = (x.at(point.x[0]), y.at(point.y[0])), f"span c{point.number % 8}"
        parts.append(svg.line(x.at(point.x[1]), at[1], x.at(point.x[2]), at[1], colour))
        parts.append(svg.line(at[0], y.at(point.y[1]), at[0], y.at(point.y[2]), colour))
        told = f"{point.label}: {point.y[0]:.1f} at {point.x[0]:.2f} {unit}"
        parts.append(svg.mark(*at, point.number, size=5.5, title=told))
    parts += _labels(points, x, y, plot, (top, bottom))
    return svg.drawing(parts, height=bottom + 38, title=title)


def selective(
    curves: Sequence[Curve], shipped: tuple[float, float] | None, *, number: int, title: str
) -> str:
    """Quality against decodings a minute; bands and bars are intervals, the mark is the bundle as it is shipped."""
    plot, top, bottom = Box(34, WIDTH - PAD), 14, 176
    every = [point for curve in curves for point in curve.points]
    x = svg.logarithmic(min(p[0] for p in every), max(p[0] for p in every), plot)
    y = svg.linear(min(p[2] for p in every), max(p[3] for p in every), Box(bottom, top))
    parts = []
    for tick in y.ticks:
        parts.append(svg.line(plot.left, y.at(tick), plot.right, y.at(tick), "grid"))
        parts.append(svg.text(plot.left - 5, y.at(tick) + 4, _tick(tick), kind="tick", anchor="end"))
    parts += [
        svg.text(x.at(tick), bottom + 16, _tick(tick), kind="tick", anchor="middle") for tick in x.ticks
    ]
    parts.append(svg.text(plot.right, bottom + 30, "decodings a minute", kind="tick", anchor="end"))
    for curve in curves:
        band = [(x.at(p[0]), y.at(p[2])) for p in curve.points]
        band += [(x.at(p[0]), y.at(p[3])) for p in reversed(curve.points)]
        parts.append(svg.polygon(band, f"band {curve.kind}"))
        parts.append(svg.polyline([(x.at(p[0]), y.at(p[1])) for p in curve.points], f"curve {curve.kind}"))
    if shipped:
        at = x.at(shipped[0]), y.at(shipped[1])
        parts.append(
            svg.mark(*at, number, size=5.5, title=f"{shipped[0]:.1f} a minute, CIDEr-D {shipped[1]:.2f}")
        )
    return svg.drawing(parts, height=bottom + 38, title=title)


def matrix(counts: Mapping[tuple[str, str], int], labels: Sequence[str], *, title: str) -> str:
    """What was said (across) where something was true (down); a row adds up to 100 %."""
    left = min(130.0, 12 + max(map(len, labels)) * svg.LETTER)
    cell = min(34.0, (WIDTH - PAD - left) / len(labels))
    top = 12 + min(96.0, max(map(len, labels)) * svg.LETTER * 0.85)
    parts = []
    for column, name in enumerate(labels):
        place = f"translate({left + cell * (column + 0.5) + 4:.1f} {top - 6:.1f}) rotate(-55)"
        parts.append(f'<g transform="{place}">{svg.text(0, 0, name, kind="tick", room=104)}</g>')
    for row, truth in enumerate(labels):
        total = sum(counts.get((truth, said), 0) for said in labels)
        y = top + cell * row
        parts.append(svg.text(left - 6, y + cell / 2 + 4, truth, kind="tick", anchor="end", room=left - 8))
        for column, said in enumerate(labels):
            count = counts.get((truth, said), 0)
            share = count / total if total else 0.0
            x, told = left + cell * column, f"{truth}: {said}, {count} of {total}"
            kind = "heat right" if row == column else "heat"
            parts.append(
                svg.rect(x, y, cell - 1, cell - 1, kind, style=f"fill-opacity:{share:.2f}", title=told)
            )
            if count:
                strong = "count strong" if share > 0.55 else "count"
                parts.append(
                    svg.text(x + cell / 2, y + cell / 2 + 4, str(count), kind=strong, anchor="middle")
                )
    return svg.drawing(parts, height=top + cell * len(labels) + 6, title=title)


def _named(row: Row, y: float) -> list[str]:
    room = WIDTH - 2 * PAD - len(row.told) * svg.LETTER - 12
    return [
        svg.text(PAD, y, row.label, kind="name", room=room),
        svg.text(WIDTH - PAD, y, row.told, kind="told", anchor="end"),
    ]


def _grid(axis: Axis, height: float) -> list[str]:
    low, high = axis.at(axis.ticks[0]) if axis.ticks else 0, WIDTH - PAD
    parts = []
    for tick in axis.ticks:
        x = axis.at(tick)
        anchor = "start" if x - low < 8 else "end" if high - x < 8 else "middle"
        parts.append(svg.line(x, 0, x, height - FOOT + 6, "grid"))
        parts.append(svg.text(x, height - 6, _tick(tick), kind="tick", anchor=anchor))
    return parts


def _zero(axis: Axis, zero: float | None, height: float) -> list[str]:
    return [] if zero is None else [svg.line(axis.at(zero), 0, axis.at(zero), height - FOOT + 6, "zero")]


def _front(points: Sequence[Point], x: Axis, y: Axis, right: float) -> list[tuple[float, float]]:
    """Steps along the points that no other beats in both, from the fastest on."""
    best, steps = float("-inf"), list[tuple[float, float]]()
    for point in sorted(points, key=lambda p: (p.x[0], -p.y[0])):
        if point.y[0] > best:
            if steps:
                steps.append((x.at(point.x[0]), steps[-1][1]))
            best = point.y[0]
            steps.append((x.at(point.x[0]), y.at(best)))
    return [*steps, (right, steps[-1][1])] if steps else []


def _labels(points: Sequence[Point], x: Axis, y: Axis, plot: Box, ends: tuple[float, float]) -> list[str]:
    """A name at each mark, where it lies least on others: beside it, then ever further up and down, with a line."""
    marks = [(x.at(p.x[0]), y.at(p.y[0])) for p in points]
    taken = [(a - 6, b - 6, a + 6, b + 6) for a, b in marks]
    parts = []
    for point, (a, b) in sorted(zip(points, marks), key=lambda each: each[1][1]):
        width = min(len(point.label) * svg.LETTER, plot.length * 0.6)
        places = [(a + 9, b + 4), (a - 9 - width, b + 4)]
        places += [(a + dx * width, b + dy) for dy in LABELS_AT for dx in (-0.5, 0, -1)]
        boxes = [(left, base - 10, left + width, base + 3) for left, base in places]
        costs = [_outside(box, plot, ends) + sum(_shared(box, other) for other in taken) for box in boxes]
        left, top, _, base = boxes[min(range(len(boxes)), key=costs.__getitem__)]
        taken.append((left, top, left + width, base))
        if min(abs(top - b), abs(base - b)) > FAR:
            parts.append(svg.line(a, b, min(max(a, left), left + width), top if top > b else base, "lead"))
        parts.append(svg.text(left, base - 3, point.label, kind=f"name t{point.number % 8}", room=width + 1))
    return parts


def _shared(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Area that two boxes have in common."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, wide) * max(0.0, high)


def _outside(box: tuple[float, ...], plot: Box, ends: tuple[float, float]) -> float:
    """Area of a box that lies outside of the plot, counted so that nothing else weighs as much."""
    inside = _shared(box, (plot.left, ends[0] - 12, plot.right, ends[1]))
    return 20 * ((box[2] - box[0]) * (box[3] - box[1]) - inside)


def _tick(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.4g}"


def curve_of(kind: str, plain: Mapping[str, Any]) -> Curve:
    """One policy's curve, as `vljepa_evaluation.metrics.Curve.to_dict` gives it."""
    points = [
        (each["per_minute"], each["cider_d"]["value"], each["cider_d"]["low"], each["cider_d"]["high"])
        for each in plain["points"]
    ]
    return Curve(kind=kind, points=sorted(point for point in points if point[0] > 0))
