"""Progress lines and tables, as a person and as a log file sees them."""

from __future__ import annotations

import io

import pytest

from vljepa_apps import console


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59.4, "59s"), (75, "1m15s"), (3600, "1h00m"), (7384, "2h03m"), (-1, "0s")],
)
def test_duration(seconds: float, text: str) -> None:
    assert console.duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (7_340_032, "7.3 MB"), (5_000_000_000, "5.0 GB")],
)
def test_size(count: int, text: str) -> None:
    assert console.size(count) == text


def test_table_aligns_words_left_and_numbers_right() -> None:
    assert console.table([("a", 1), ("long", 200)], header=("name", "n"), indent="") == (
        "name    n\n----  ---\na       1\nlong  200"
    )


def test_table_without_rows_keeps_its_header() -> None:
    assert console.table([], header=("name",), indent="") == "name\n----"
    assert console.table([]) == ""


def test_progress_redraws_one_line_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "REDRAW_S", 0.0)
    stream = Terminal()
    with console.Progress("frames", total=2, stream=stream) as progress:
        progress.advance(detail="first")
        progress.advance()
    text = stream.getvalue()
    assert text.count("\n") == 1
    assert "50%" in text
    assert "first" in text
    assert text.rstrip().split("\r")[-1].startswith("frames  [####")


def test_progress_in_a_log_is_plain_lines() -> None:
    stream = io.StringIO()
    with console.Progress("frames", total=1000, stream=stream) as progress:
        for _ in range(1000):
            progress.advance()
    assert stream.getvalue().count("\n") == 1
    assert "\r" not in stream.getvalue()
    assert "100%" in stream.getvalue()


def test_progress_without_an_end_counts() -> None:
    stream = io.StringIO()
    with console.Progress("frames", stream=stream) as progress:
        progress.advance(3)
    assert stream.getvalue().startswith("frames  3 in 0s")


def test_a_process_that_counts_nothing_says_nothing() -> None:
    stream = io.StringIO()
    with console.Progress("training", stream=stream):
        pass
    assert stream.getvalue() == ""
