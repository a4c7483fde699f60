"""Titled tables: aligned text for a terminal, or Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING

from vljepa_apps import console

if TYPE_CHECKING:
    from vljepa_evaluation.gates import GraphParity

__all__ = ["PARITY_HEADER", "WIDTH", "Table", "markdown", "notes", "parity_cells", "shared", "text"]

WIDTH = 100  # columns that a text for people may take
PARITY_HEADER = ("mean cos", "p1 cos", "worst cos", "max abs", "PSNR dB")


@dataclass(frozen=True, slots=True)
class Table:
    """One table of a report.

    Attributes:
        title: Stands above it.
        rows: Cells, all rows of one length; a column of numbers is set to the right.
        header: Titles of the columns, optional in text.
    """

    title: str
    rows: Sequence[Sequence[object]]
    header: Sequence[str] = ()


def text(tables: Iterable[Table]) -> str:
    """Aligned tables for a terminal, an empty line between them."""
    return "\n\n".join(f"{table.title}\n{console.table(table.rows, header=table.header)}" for table in tables)


def markdown(tables: Iterable[Table]) -> str:
    """The same tables in Markdown, each under a heading of its own."""
    return "\n\n".join(f"## {table.title}\n\n{_pipes(table)}" for table in tables)


def _pipes(table: Table) -> str:
    lines = [f"| {' | '.join(table.header)} |", f"|{' --- |' * len(table.header)}"]
    rows = ([str(cell).replace("|", "/") for cell in row] for row in table.rows)
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def shared(said: Iterable[tuple[str, str]], *, width: int = WIDTH) -> list[str]:
    """Texts of `width` columns, each once, after the names of all that it is said of."""
    names: dict[str, list[str]] = {}
    for name, what in said:
        names.setdefault(what, []).append(name)
    lines = (f"{', '.join(who)}: {what}" if any(who) else what for what, who in names.items())
    return [part for line in lines for part in wrap(line, width, subsequent_indent="  ")]


def notes(graphs: Mapping[str, str], *, width: int = WIDTH) -> list[str]:
    """What is noted of each graph, as lines of `width` columns; what is noted of all names none."""
    parts = [(name, part) for name, text in graphs.items() for part in text.split("; ") if part]
    counts = Counter(part for _, part in parts)
    of_all = len(graphs) if len(graphs) > 1 else 0
    return shared((("" if counts[part] == of_all else name, part) for name, part in parts), width=width)


def parity_cells(parity: GraphParity | None) -> tuple[str, ...]:
    """Cells under `PARITY_HEADER`; without a parity they say so."""
    if parity is None:
        return ("n/a",) * len(PARITY_HEADER)
    cosines = (parity.mean_cosine, parity.p1_cosine, parity.worst_cosine)
    return (*(f"{value:.6f}" for value in cosines), f"{parity.max_abs:.2g}", f"{parity.psnr_db:.1f}")
