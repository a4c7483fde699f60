"""Rows of CSV and JSON Lines files with their line numbers, so that an error can say where it is."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any, cast

from vljepa_data.errors import AnnotationError
from vljepa_runtime.files import parse_json, split_lines

__all__ = [
    "Row",
    "csv_header",
    "csv_rows",
    "headless_rows",
    "json_document",
    "json_value",
    "jsonl_rows",
    "lookalike",
    "read_text",
    "renaming",
]

MAX_BYTES = 1 << 30  # the sentences of the largest public sets come to some 100 MB
MAX_SECONDS = 1e8  # three years
MAX_NAMES, MAX_NAME = (
    100,
    60,
)  # columns that are looked at for one that looks like a missing one, and characters

SYNONYMS = (  # what tables of clips call the same thing, without capitals and signs
    ("path", "video", "file", "filename", "videopath", "videoid", "youtubeid", "clip", "clippath", "filepath", "name"),
    ("text", "caption", "sentence", "description", "label", "answer", "class"),
    ("starts", "start", "timestart", "starttime", "begin"),
    ("ends", "end", "timeend", "endtime", "stop"),
    ("videos", "clips"),
    ("sentences", "captions", "annotations"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """One record and where it stands: `line` counts lines of a file, or what `counted` says."""

    values: Mapping[str, Any]
    path: Path
    line: int
    counted: str = "line"

    def text(self, name: str, default: str | None = None) -> str:
        """A field as text without outer blanks; `default` where it is absent or empty.

        Raises:
            AnnotationError: it is absent or empty and has no default, or is no text.
        """
        value = self.values.get(name)
        if isinstance(value, (bool, list, dict)) or (isinstance(value, str) and "\0" in value):
            raise self.error(f"expected text for {name!r}, got {ascii(value)[:60]}")
        found = "" if value is None else str(value).strip()
        if not found and default is None:
            raise self.error(f"expected a value for {name!r}, got none")
        return found or cast(str, default)

    def number(self, name: str, default: float | None = None) -> float | None:
        """A field as a number of seconds; `default` where it is absent or empty.

        Raises:
            AnnotationError: it is not a number, or longer than any video.
        """
        found = self.text(name, "")
        if not found:
            return default
        return self.seconds(found, repr(name))

    def seconds(self, text: str, what: str) -> float:
        """A text of this row as a number of seconds.

        Raises:
            AnnotationError: it is not a number, or longer than any video.
        """
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not -MAX_SECONDS <= value <= MAX_SECONDS:
            raise self.error(f"expected a number of seconds for {what}, got {ascii(text)[:60]}")
        return value

    def pair(self, value: object, what: str) -> tuple[float, float]:
        """A list of two numbers, such as a start and an end.

        Raises:
            AnnotationError: it is something else, or longer than any video.
        """
        if isinstance(value, list) and len(value) == 2:
            first, second = (_number(each) for each in value)
            if first is not None and second is not None:
                return first, second
        raise self.error(f"expected two numbers for {what!r}, got {ascii(value)[:60]}")

    def error(self, problem: object) -> AnnotationError:
        """An error that says where this row stands."""
        return AnnotationError(f"{self.path}, {self.counted} {self.line}: {problem}")


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if -MAX_SECONDS <= value <= MAX_SECONDS else None


def read_text(path: Path) -> str:
    """A UTF-8 file, with or without a byte-order mark, its line endings as they are.

    Raises:
        AnnotationError: it cannot be read, has gigabytes or is not UTF-8.
    """
    try:
        if (size := path.stat().st_size) > MAX_BYTES:
            raise AnnotationError(f"{path}: expected at most {MAX_BYTES} bytes of annotations, got {size}")
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise AnnotationError(f"cannot read the annotations {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise AnnotationError(f"{path}: expected UTF-8 text, byte {error.start} is none") from error


def csv_header(path: Path) -> tuple[str, ...]:
    """Names of the columns."""
    return tuple(name.strip() for name in next(_fields(path), (1, []))[1])


def csv_rows(path: Path, *required: str, delimiter: str = ",") -> Iterator[Row]:
    """Rows of a CSV file with a header.

    Args:
        path: The file.
        required: Columns that must be there.
        delimiter: What stands between fields.

    Raises:
        AnnotationError: a required column is absent, or a row has more or fewer fields than the header.
    """
    lines = _fields(path, delimiter)
    header = [name.strip() for name in next(lines, (1, []))[1]]
    if missing := [name for name in required if name not in header]:
        raise AnnotationError(
            f"{path}, line 1: expected the columns {', '.join(required)}, {', '.join(missing)} missing"
            f"{renaming(missing, header)}"
        )
    for number, fields in lines:
        row = Row(dict(zip(header, fields)), path, number)
        if not any(fields):
            continue
        if len(fields) != len(header):
            raise row.error(
                f"expected {len(header)} fields as in the header, got {len(fields)}: quote commas"
            )
        yield row


def headless_rows(path: Path, *names: str) -> Iterator[Row]:
    """Rows of a CSV file without a header.

    Args:
        path: The file.
        names: Of its columns.

    Raises:
        AnnotationError: a row has more or fewer fields.
    """
    for number, fields in _fields(path):
        row = Row(dict(zip(names, fields)), path, number)
        if not any(fields):
            continue
        if len(fields) != len(names):
            raise row.error(f"expected {len(names)} fields, {', '.join(names)}, got {len(fields)}")
        yield row


def renaming(missing: Iterable[str], found: Iterable[str]) -> str:
    """`: rename 'file' to 'path'` for names that are missing and others that look like them, else nothing."""
    names = [name for name in islice(found, MAX_NAMES) if len(name) <= MAX_NAME]
    pairs = [(name, lookalike(name, names)) for name in missing]
    hints = [f"rename {other!r} to {name!r}" for name, other in pairs if other]
    return f": {', '.join(hints)}" if hints else ""


def lookalike(name: str, found: Iterable[str]) -> str | None:
    """The name among those found that says the same as one that is missing, or is nearly spelled like it."""
    by_plain = {_plain(other): other for other in found}
    same = next((words for words in SYNONYMS if _plain(name) in words), ())
    close = get_close_matches(_plain(name), by_plain, n=1, cutoff=0.75)
    wanted = [_plain(name), *same, *close]
    return next((by_plain[word] for word in wanted if word in by_plain and by_plain[word] != name), None)


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name.lower()))


def _fields(path: Path, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Number of the last line and fields of each record of a CSV file."""
    lines = csv.reader(split_lines(read_text(path), keepends=True), delimiter=delimiter)
    try:
        for fields in lines:
            yield lines.line_num, fields
    except csv.Error as error:
        raise AnnotationError(f"{path}, line {lines.line_num}: not CSV: {error}") from error


def jsonl_rows(path: Path) -> Iterator[Row]:
    """Objects of a JSON Lines file.

    Raises:
        AnnotationError: a line is not a JSON object.
    """
    for number, line in enumerate(split_lines(read_text(path)), 1):
        if not line.strip():
            continue
        try:
            values = parse_json(line)
        except ValueError as error:
            raise AnnotationError(f"{path}, line {number}: not JSON: {error}") from error
        if not isinstance(values, dict):
            raise AnnotationError(
                f"{path}, line {number}: expected a JSON object, got {type(values).__name__}"
            )
        yield Row(values, path, number)


def json_document(path: Path) -> dict[str, Any]:
    """A whole JSON file that holds one object.

    Raises:
        AnnotationError: it is not JSON, or not an object.
    """
    document = json_value(path)
    if not isinstance(document, dict):
        raise AnnotationError(f"{path}: expected a JSON object, got {type(document).__name__}")
    return document


def json_value(path: Path) -> Any:
    """A whole JSON file.

    Raises:
        AnnotationError: it is not JSON.
    """
    try:
        return parse_json(read_text(path))
    except json.JSONDecodeError as error:
        raise AnnotationError(f"{path}, line {error.lineno}: not JSON: {error.msg}") from error
    except ValueError as error:
        raise AnnotationError(f"{path}: not JSON that can be read: {error}") from error
