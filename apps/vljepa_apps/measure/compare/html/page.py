"""The page: sections in the order in which somebody asks, all on one address without any other file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from importlib.resources import files
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vljepa_apps import console
from vljepa_apps.measure.compare.html import sections
from vljepa_apps.measure.compare.html.parts import Cell, sorting_table
from vljepa_apps.measure.compare.tables import MISSING
from vljepa_evaluation.metrics import mean_of
from vljepa_evaluation.tasks import FIRST_STREAM
from vljepa_runtime.printable import printable

if TYPE_CHECKING:
    from vljepa_apps.measure.compare.judging import Verdict
    from vljepa_apps.measure.compare.report import Column, Comparison

__all__ = ["page"]

BARS = {"different": "other", "different in margins alone": "unsure"}


def page(report: Comparison, *, command: str = "") -> str:
    """One HTML page.

    Args:
        report: What was measured.
        command: That measures it again.
    """
    first, *others = [column.label for column in report.columns]
    beside = f"{first} beside {others[0] if len(others) == 1 else f'{len(others)} others'}"
    title = beside if others else first
    made = [(name, heading, body) for name, heading, body in _sections(report, command) if body]
    links = "".join(f'<a href="#{name}">{escape(heading)}</a>' for name, heading, _ in made)
    body = "".join(
        f'<section id="{name}"><h2>{escape(heading)}</h2>{body}</section>' for name, heading, body in made
    )
    here = files(__package__)
    style = tokens() + (here / "style.css").read_text(encoding="utf-8")
    script = (here / "sort.js").read_text(encoding="utf-8")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>{style}</style></head><body>"
        f'<header><button class="theme" type="button">Light or dark</button><h1>{escape(title)}</h1>'
        f"{_lead(report)}<nav>{links}</nav></header><main>{body}</main><script>{script}</script></body></html>"
    )


def tokens() -> str:
    """Colours and type of the page of `vljepa serve`."""
    import vljepa_serve

    place = Path(vljepa_serve.__path__[0], "page", "css", "tokens.css")
    return place.read_text(encoding="utf-8")


def _sections(report: Comparison, command: str) -> Iterator[tuple[str, str, str]]:
    yield "lines", "Lines", _lines(report)
    yield "trade", "Accuracy and time", sections.trade(report)
    yield "tasks", "Tasks", sections.tasks(report)
    yield "differences", f"Differences to {report.columns[0].label}", sections.differences(report)
    yield "times", "Times", sections.times(report)
    yield "streams", "Words on demand", sections.streams(report)
    yield "agreement", "Agreement", sections.agreement(report)
    yield "confusions", "Confusions", sections.confusions(report)
    yield "clips", "Clips that cost most", sections.clips(report)
    yield "parity", "Parity", sections.parity(report)
    yield "missing", "Not measured", _missing(report)
    yield "made", "How this was measured", _made(report, command)


def _lead(report: Comparison) -> str:
    held = report.machine
    told = (
        f"Measured {held.get('date', '')} on {held.get('cpu', MISSING)}, {held.get('cores', '?')} cores; commit "
        f"{held.get('commit', MISSING)}. Every line saw the same clips; intervals are of 95\N{NO-BREAK SPACE}%."
    )
    asked = any(column.tasks for column in report.columns)
    bars = "".join(_bar(verdict) for verdict in report.verdicts) if asked else ""
    return f"<p>{escape(told)}</p>{bars}"


def _bar(verdict: Verdict) -> str:
    who, _, rest = str(verdict).partition(": ")
    kind = BARS.get(verdict.kind, "same")
    return f'<div class="bar {kind}"><b>{escape(printable(who))}:</b> {escape(printable(rest))}</div>'


def _lines(report: Comparison) -> str:
    head = ("line", "engine", "precision", "size", "window p50, ms", "p95", "windows/s", "decodings/min",
            "J/window", "peak memory, MB", "start, s")  # fmt: skip
    rows = [
        [Cell(column.label, first=True, sign=number), *_facts(column)]
        for number, column in enumerate(report.columns)
    ]
    note = (
        "<p>Windows a second are those of one after the other, 1 / median. The start is that of a fresh process up to "
        "its first embedding, the median of three; memory is the most that such a process held.</p>"
    )
    return note + sorting_table(head, rows)


def _facts(column: Column) -> list[Cell]:
    facts, window = column.facts, column.latency.get("window", {})
    rate = column.tasks.get("streams", {}).get("metrics", {}).get("decodings_per_minute")
    precision = ", ".join(dict.fromkeys((facts.get("precision") or {}).values())) or MISSING

    def number(value: Any, form: str) -> Cell:
        return Cell(form.format(value) if value else MISSING, key=value or "", number=True)

    size = facts.get("size_bytes")
    speed = column.windows_per_s
    return [
        Cell(str(facts.get("engine", MISSING))),
        Cell(precision),
        Cell(console.size(size) if size else MISSING, key=size or "", number=True),
        number(window.get("p50_ms"), "{:.2f}"),
        number(window.get("p95_ms"), "{:.2f}"),
        number(speed, "{:.1f}" if speed and speed < 100 else "{:,.0f}"),
        _rate(rate),
        number(facts.get("joules_per_window"), "{:.3f}"),
        number(facts.get("peak_rss_mb"), "{:.0f}"),
        number(facts.get("cold_start_s"), "{:.2f}"),
    ]  # fmt: skip


def _rate(rate: Mapping[str, float] | None) -> Cell:
    """With its interval, which one stream alone does not have."""
    if rate is None:
        return Cell(MISSING, key="", number=True)
    interval = f" [{rate['low']:.2f}, {rate['high']:.2f}]" if rate["n"] > 1 else ""
    return Cell(f"{rate['value']:.2f}{interval}", key=rate["value"], number=True)


def _missing(report: Comparison) -> str:
    found = [(column.label, reason) for column in report.columns for reason in column.unmeasured]
    found += [(column.label, edit) for column in report.columns for edit in column.facts.get("edits", ())]
    rows = [[Cell(label, first=True), Cell(reason)] for label, reason in found]
    return sorting_table(("line", "why"), rows) if rows else ""


def _made(report: Comparison, command: str) -> str:
    settings = {key: value for key, value in report.settings.items() if value is not None and value != ()}
    listed = ", ".join(f"{key} {_plain(value)}" for key, value in settings.items())
    facts = {**report.machine, "settings": listed, "seeds": _seeds(report)}
    inside = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(printable(str(value)))}</dd>" for name, value in facts.items()
    )
    again = f"<p>The same again:</p><pre>{escape(printable(command))}</pre>" if command else ""
    return f'<dl class="facts">{inside}</dl>{again}'


def _plain(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)


def _seeds(report: Comparison) -> str:
    """Of the clips that were seen, of streams, and of what is drawn for intervals and tests."""
    seen: dict[str, list[int]] = {}
    for result in next(iter(report.results.values()), {}).values():
        for address in result.shown:
            world, _, seed = address.rpartition("/")
            if world.startswith("world/") and seed.isdecimal():
                seen.setdefault(world, []).append(int(seed))
    drawn = [f"{world} {min(seeds)} to {max(seeds)}" for world, seeds in seen.items()]
    drawn += [f"streams from {FIRST_STREAM}"] if report.settings.get("streams") else []
    return ", ".join([*drawn, f"intervals and tests {signature(mean_of).parameters['seed'].default}"])
