"""What the commands print: results on stdout, notes, tables and a progress line for people on stderr.

Everything passes through here, so that no text of a file, a bundle or a camera commands the terminal, and none is in
the way of an encoding. Written small so that the base install needs no terminal library.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, TextIO, TypeVar

from vljepa_log.days import duration
from vljepa_runtime.errors import OutputError
from vljepa_runtime.printable import ascii_json, fits, json_text, printable

__all__ = [
    "Progress",
    "abandon_stdout",
    "document",
    "duration",
    "ensure_streams",
    "flush",
    "has_stdout",
    "json_line",
    "note",
    "put",
    "report",
    "result",
    "size",
    "table",
]

REDRAW_S = 0.1
PLAIN_S = 15.0  # a log file gets a line this often, not ten a second
BAR = 24
Item = TypeVar("Item")


def result(text: str) -> None:
    """Print text for people on stdout."""
    _put_out(printable(text, lines=True) + "\n")


def document(value: Any, *, indent: int | None = None) -> None:
    """Print a value as JSON on stdout.

    Raises:
        InputError: the value holds NaN or infinity.
    """
    json_line(json_text(value, indent=indent))


def report(value: Any, text: Callable[[], str], *, as_json: bool, indent: int | None = 2) -> None:
    """Print what a command found: the value as JSON, or its text for people, which is made only then."""
    if as_json:
        document(value, indent=indent)
    else:
        result(text())


def json_line(text: str) -> None:
    r"""Print JSON that is written already; what stdout's encoding lacks becomes `\uXXXX`."""
    _put_out((text if fits(text, sys.stdout) else ascii_json(text)) + "\n")


def flush() -> None:
    """Write through what others left in stdout."""
    _put_out("")


def note(text: str = "") -> None:
    """Print lines for people on stderr; when nobody reads them the work goes on."""
    try:
        put(sys.stderr, printable(text, lines=True) + "\n")
    except (OSError, ValueError):
        return


def _put_out(text: str) -> None:
    """Write to stdout; a reader that went away is a BrokenPipeError, all else that goes wrong an OutputError."""
    try:
        put(sys.stdout, text)
    except BrokenPipeError:
        raise
    except OSError as error:
        abandon_stdout()
        raise OutputError(f"cannot write to stdout: {error.strerror}") from error


def put(stream: TextIO, text: str) -> None:
    r"""Write printable text through; what the stream's encoding lacks becomes `\xNN` or `\uXXXX`."""
    if not fits(text, stream):
        text = text.encode(stream.encoding, "backslashreplace").decode(stream.encoding)
    if text:  # nothing is a write too, and fails on a full device
        stream.write(text)
    stream.flush()


def ensure_streams() -> None:
    """Make stdin, stdout and stderr usable, as whoever started this process left them.

    Where one is closed comes /dev/null: else the next file that is opened takes its number, and what libraries print
    lands in it. A pipe that its other user made non-blocking loses lines when it is full; it is made to wait.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is not None:
            with suppress(OSError):
                os.set_blocking(number, True)
            continue
        null = os.open(os.devnull, os.O_RDWR)
        try:
            os.fstat(number)
        except OSError:
            os.dup2(null, number)
        setattr(sys, name, open(null, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def has_stdout() -> bool:
    """Whether what is printed may reach somebody: stdout is not /dev/null."""
    try:
        return not os.path.samestat(os.fstat(sys.stdout.fileno()), os.stat(os.devnull))
    except (OSError, ValueError):  # no file of the system, as in tests
        return True


def abandon_stdout() -> None:
    """Let what stdout still holds go nowhere; it would fail again when the interpreter closes it."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        return


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
    cells = [[printable(str(cell)) for cell in row] for row in rows]
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

    def update(self, done: float, detail: str = "") -> None:
        """Set how much is done and redraw if it is time to."""
        self.done = done
        now = time.monotonic()
        if now - self._drawn >= (REDRAW_S if self._live else PLAIN_S):
            self._drawn = now
            self._draw(self._text(detail))

    def step(self, done: float, total: float, detail: str = "") -> None:
        """Set how much is done of what is to be done, where that shows on the way."""
        self.total = total
        self.update(done, detail)

    def over(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items, each counted when it has been used."""
        for item in items:
            yield item
            self.advance()

    def clear(self) -> None:
        """Take the line away, so that other text can be printed."""
        if self._live and self._width:
            self._put("\r" + " " * self._width + "\r")
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
        return printable("  ".join([*parts, detail] if detail else parts))

    def _draw(self, text: str, *, last: bool = False) -> None:
        if not self._live:
            self._put(text + "\n")
            return
        self._put("\r" + text.ljust(self._width) + ("\n" if last else ""))
        self._width = 0 if last else len(text)

    def _put(self, text: str) -> None:
        """Write, as a note is written: nobody has to read it."""
        try:
            put(self._stream, text)
        except (OSError, ValueError):
            self._live = False
