"""Rows of CSV and JSON Lines files with their line numbers, so that an error can say where it is."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from vljepa_data.errors import AnnotationError

__all__ = ["Row", "csv_header", "csv_rows", "json_document", "jsonl_rows", "read_text"]


@dataclass(frozen=True, slots=True)
class Row:
    """One record and where it stands."""

    values: Mapping[str, Any]
    path: Path
    line: int

    def text(self, name: str, default: str | None = None) -> str:
        """A field as text without outer blanks; `default` where it is absent or empty.

        Raises:
            AnnotationError: it is absent or empty and has no default.
        """
        value = self.values.get(name)
        found = "" if value is None else str(value).strip()
        if not found and default is None:
            raise self.error(f"expected a value for {name!r}, got none")
        return found or cast(str, default)

    def number(self, name: str, default: float | None = None) -> float | None:
        """A field as a number; `default` where it is absent or empty.

        Raises:
            AnnotationError: it is not a number.
        """
        found = self.text(name, "")
        if not found:
            return default
        try:
            return float(found)
        except ValueError:
            raise self.error(f"expected a number of seconds for {name!r}, got {found!r}") from None

    def error(self, problem: object) -> AnnotationError:
        """An error that says where this row stands."""
        return AnnotationError(f"{self.path}, line {self.line}: {problem}")


def read_text(path: Path) -> str:
    """A UTF-8 file, with or without a byte-order mark.

    Raises:
        AnnotationError: it cannot be read or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise AnnotationError(f"cannot read the annotations {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise AnnotationError(f"{path}: expected UTF-8 text, byte {error.start} is none") from error


def csv_header(path: Path) -> tuple[str, ...]:
    """Names of the columns."""
    return tuple(name.strip() for name in next(csv.reader(read_text(path).splitlines()), []))


def csv_rows(path: Path, *required: str) -> Iterator[Row]:
    """Rows of a CSV file with a header.

    Raises:
        AnnotationError: a required column is absent, or a row has more or fewer fields than the header.
    """
    header = csv_header(path)
    if missing := [name for name in required if name not in header]:
        raise AnnotationError(
            f"{path}, line 1: expected the columns {', '.join(required)}, {', '.join(missing)} missing"
        )
    lines = csv.reader(read_text(path).splitlines(keepends=True))
    next(lines)
    for fields in lines:
        row = Row(dict(zip(header, fields)), path, lines.line_num)
        if not any(fields):
            continue
        if len(fields) != len(header):
            raise row.error(
                f"expected {len(header)} fields as in the header, got {len(fields)}: quote commas"
            )
        yield row


def jsonl_rows(path: Path) -> Iterator[Row]:
    """Objects of a JSON Lines file.

    Raises:
        AnnotationError: a line is not a JSON object.
    """
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
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
    try:
        document = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise AnnotationError(f"{path}, line {error.lineno}: not JSON: {error.msg}") from error
    except RecursionError as error:
        raise AnnotationError(f"{path}: not JSON that can be read: nested too deeply") from error
    if not isinstance(document, dict):
        raise AnnotationError(f"{path}: expected a JSON object, got {type(document).__name__}")
    return document
