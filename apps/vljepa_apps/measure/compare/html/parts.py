"""Pieces of the page that several sections share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from vljepa_apps.measure.compare.html import svg
from vljepa_runtime.printable import printable

__all__ = ["Cell", "card", "cards", "sign", "sorting_table"]


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table.

    Attributes:
        text: What it says.
        key: What it is sorted by; None takes the text.
        number: Whether it is set to the right.
        first: Whether it stays in sight where the table is wider than the screen.
        sign: The number of the line whose sign stands ahead.
    """

    text: str
    key: object = None
    number: bool = False
    first: bool = False
    sign: int | None = None

    @property
    def html(self) -> str:
        """The element."""
        kinds = " ".join(kind for kind, is_so in (("num", self.number), ("first", self.first)) if is_so)
        key = "" if self.key is None else f' data-key="{escape(str(self.key))}"'
        ahead = "" if self.sign is None else sign(self.sign)
        return f'<td class="{kinds}"{key}>{ahead}{escape(printable(self.text))}</td>'


def sorting_table(head: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """A table that is sorted by the heading that is pressed, and scrolls where it is too wide."""
    numbers = (
        [all(row[at].number for row in rows) for at in range(len(head))] if rows else [False] * len(head)
    )
    heads = "".join(
        f'<th class="{"num" if is_number else ""}{" first" if not at else ""}">{escape(name)}</th>'
        for at, (name, is_number) in enumerate(zip(head, numbers))
    )
    body = "".join(f"<tr>{''.join(cell.html for cell in row)}</tr>" for row in rows)
    return f'<div class="wide"><table class="sorts"><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>'


def sign(number: int) -> str:
    """The shape of a line, for tables."""
    return f'<span class="sign"><svg viewBox="-7 -7 14 14" aria-hidden="true">{svg.mark(0, 0, number)}</svg></span>'


def card(title: str, body: str, *, note: str = "") -> str:
    """A chart under its title."""
    told = f' <span class="light soft">{escape(printable(note))}</span>' if note else ""
    return f"<div><h3>{escape(printable(title))}{told}</h3>{body}</div>"


def cards(found: Sequence[str], *, note: str = "") -> str:
    """Cards beside each other, as many as fit; nothing where there is none."""
    if not found:
        return ""
    told = f"<p>{escape(note)}</p>" if note else ""
    return f'{told}<div class="grid">{"".join(found)}</div>'
