"""This project's own manifest: one text about one clip on each line of a CSV or JSON Lines file.

Columns: `path` (relative to the folder of videos, by default the manifest's own) and `text`; optional `start_s` and
`end_s` (seconds), `query`, `candidates` (a list in JSON, separated by `|` in CSV) and `split`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vljepa_data.annotations.example import Example, Segment
from vljepa_data.annotations.rows import Row, csv_rows, jsonl_rows, renaming

__all__ = ["COLUMNS", "read_manifest"]

COLUMNS = ("path", "start_s", "end_s", "text", "query", "candidates", "split")
REQUIRED = ("path", "text")


def read_manifest(path: Path, videos: Path) -> Iterator[Example]:
    """Read a manifest.

    Raises:
        AnnotationError: with file and line, for an unknown column, a missing or impossible value.
    """
    rows = csv_rows(path, *REQUIRED) if path.suffix.lower() == ".csv" else jsonl_rows(path)
    for row in rows:
        if missing := [name for name in REQUIRED if name not in row.values]:
            raise row.error(
                f"expected path and text, {' and '.join(missing)} missing{renaming(missing, row.values)}"
            )
        if unknown := sorted(set(row.values) - set(COLUMNS)):
            hint = renaming([name for name in COLUMNS if name not in row.values], unknown)
            raise row.error(f"unknown columns {', '.join(unknown)}; known: {', '.join(COLUMNS)}{hint}")
        try:
            yield Example(
                segment=_segment(row, videos),
                text=row.text("text"),
                query=row.text("query", ""),
                candidates=_candidates(row),
                split=row.text("split", ""),
            )
        except ValueError as error:
            raise error if type(error) is not ValueError else row.error(error) from error


def _segment(row: Row, videos: Path) -> Segment:
    start_s = row.number("start_s", 0.0)
    return Segment(videos / row.text("path"), start_s or 0.0, row.number("end_s"))


def _candidates(row: Row) -> tuple[str, ...]:
    value = row.values.get("candidates")
    if isinstance(value, list):
        return tuple(str(text).strip() for text in value)
    return tuple(text.strip() for text in str(value or "").split("|") if text.strip())
