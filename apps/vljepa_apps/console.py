"""Text for people, on stderr: a progress line, tables, notes.

Written small so that the base install needs no terminal library.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TextIO

__all__ = ["Progress", "duration", "note", "size", "table"]

REDRAW_S = 0.1
PLAIN_S = 15.0  # a log file gets a line this often, not ten a second
BAR = 24


def note(text: str = "") -> None:
    """Print one line for people."""
    print(text, file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """`75` -> `1m15s`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"


def size(count: int) -> str:
    """`7340032` bytes -> `7.3 MB` (powers of 1000, as disks are sold)."""
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def table(rows: Sequence[Sequence[object]], *, header: Sequence[str] = (), indent: str = "  ") -> str:
    """Align `rows` in columns; numbers are set to the right.

    Args:
        rows: Cells, one sequence per row, all of one length.
        header: Titles of the columns, optional.
        indent: Put before each line.
    """
    cells = [[str(cell) for cell in row] for row in rows]
    everything = [list(header), *cells] if header else cells
    if not everything:
        return ""
    widths = [max(len(row[i]) for row in everything) for i in range(len(everything[0]))]
    right = [bool(rows) and all(isinstance(row[i], int | float) for row in rows) for i in range(len(widths))]

    def line(row: Sequence[str]) -> str:
        parts = [cell.rjust(w) if r else cell.ljust(w) for cell, w, r in zip(row, widths, right)]
        return (indent + "  ".join(parts)).rstrip()

    rule = [indent + "  ".join("-" * w for w in widths)] if header else []
    return "\n".join([*(line(row) for row in everything[:1]), *rule, *(line(row) for row in everything[1:])])


class Progress:
    """A progress line with the time left; on a log file, a plain line now and then.

    Example:
        with Progress("exporting", total=4) as progress:
            for graph in graphs:
                progress.advance(detail=graph)
    """

    def __init__(self, label: str, *, total: float | None = None, stream: TextIO | None = None) -> None:
        """`total` in whatever unit `advance` counts; None when the end is not known."""
        self.label = label
        self.total = total
        self.done = 0.0
        self._stream = stream if stream is not None else sys.stderr
        self._live = self._stream.isatty()
        self._start = self._drawn = time.monotonic()
        self._width = 0

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.done or self.total:  # of several processes one counts; the others have nothing to tell
            self._draw(self._text(""), last=True)

    def advance(self, amount: float = 1.0, *, detail: str = "") -> None:
        """Count `amount` more as done and redraw if it is time to."""
        self.update(self.done + amount, detail=detail)

    def update(self, done: float, *, detail: str = "") -> None:
        """Set how much is done and redraw if it is time to."""
        self.done = done
        now = time.monotonic()
        if now - self._drawn >= (REDRAW_S if self._live else PLAIN_S):
            self._drawn = now
            self._draw(self._text(detail))

    def clear(self) -> None:
        """Take the line away, so that other text can be printed."""
        if self._live and self._width:
            self._stream.write("\r" + " " * self._width + "\r")
            self._stream.flush()
            self._width = 0

    def _text(self, detail: str) -> str:
        elapsed = time.monotonic() - self._start
        parts = [self.label]
        if self.total:
            share = min(1.0, self.done / self.total)
            filled = round(share * BAR)
            parts.append(f"[{'#' * filled}{'.' * (BAR - filled)}] {share:4.0%}")
            left = elapsed / share - elapsed if share else 0.0
            parts.append(
                f"{duration(elapsed)}, {duration(left)} left" if 0 < share < 1 else duration(elapsed)
            )
        else:
            parts.append(f"{self.done:g} in {duration(elapsed)}")
        return "  ".join([*parts, detail] if detail else parts)

    def _draw(self, text: str, *, last: bool = False) -> None:
        if not self._live:
            print(text, file=self._stream, flush=True)
            return
        self._stream.write("\r" + text.ljust(self._width) + ("\n" if last else ""))
        self._stream.flush()
        self._width = 0 if last else len(text)
