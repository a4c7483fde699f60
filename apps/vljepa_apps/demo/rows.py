"""What the demo prints while it runs: a row for each decoding, the truth beside it."""

from __future__ import annotations

from itertools import zip_longest
from textwrap import wrap

from vljepa_apps.demo.run import Decoding

__all__ = ["header", "row"]

WORDS = 44  # width of a column of text


def header(*, truth: bool) -> str:
    """The titles of the columns, those of the truth only where it is known."""
    return _row("time", "decoded", "truth" if truth else "", "match" if truth else "")


def row(decoding: Decoding) -> str:
    """One decoding; a long text goes on below, in its column."""
    clock = f"{int(decoding.time_s) // 60}:{int(decoding.time_s) % 60:02d}"
    return _row(clock, decoding.text, decoding.true_text, decoding.match.value)


def _row(time: str, text: str, true_text: str, match: str) -> str:
    cells = zip_longest([time], wrap(text, WORDS), wrap(true_text, WORDS), [match], fillvalue="")
    return "\n".join(f"{t:>6}  {s:<{WORDS}}  {r:<{WORDS}}  {m}".rstrip() for t, s, r, m in cells)
