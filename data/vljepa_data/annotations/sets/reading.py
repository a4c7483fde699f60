"""What readers of several data sets share: errors that say where an entry stands, lists of objects, yes and no."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from vljepa_data.annotations.example import Example, Segment
from vljepa_data.annotations.records import Contrast, Transition
from vljepa_data.annotations.rows import Row, json_value
from vljepa_data.errors import AnnotationError

__all__ = [
    "YES_NO",
    "clock_s",
    "entries",
    "labels_of",
    "lists",
    "made",
    "members",
    "objects",
    "part_of",
    "span",
    "unasked",
    "values",
    "yes_no",
]

YES_NO = ("yes", "no")
CLOCK = re.compile(r"(\d{1,4}):([0-5]?\d):([0-5]?\d(?:\.\d{1,9})?)")
Kind = TypeVar("Kind", Example, Contrast, Transition)


def made(row: Row, kind: type[Kind], /, **fields: object) -> Kind:
    """A record, with an error that says which row is wrong.

    Raises:
        AnnotationError: a field is impossible.
    """
    try:
        return kind(**fields)  # type: ignore[arg-type]
    except ValueError as error:
        raise row.error(error) from error


def part_of(row: Row, path: Path, start_s: float | None, end_s: float | None) -> Segment:
    """A part of a video.

    Raises:
        AnnotationError: it begins where it ends, or later, or has no beginning or end.
    """
    if start_s is None or end_s is None:
        raise row.error("expected a start and an end in seconds, got none")
    try:
        return Segment(path, start_s, end_s)
    except ValueError as error:
        raise row.error(error) from error


def entries(path: Path, *keys: str) -> Iterator[Row]:
    """Objects of a JSON file that holds a list of them, or holds it under one of these keys; `line` counts them from 1.

    Raises:
        AnnotationError: it holds no such list, or something else is in it.
    """
    value = _below(path, keys)
    if not isinstance(value, list):
        where = f" or an object with {' or '.join(keys)}" if keys else ""
        raise AnnotationError(f"{path}: expected a list of objects{where}, got {type(value).__name__}")
    for number, entry in enumerate(value, 1):
        yield Row(_object(path, f"entry {number}", entry), path, number, "entry")


def members(path: Path, *keys: str) -> Iterator[tuple[str, Row]]:
    """Names and objects of a JSON file that maps one to the other, or does so under the first of these keys found.

    Raises:
        AnnotationError: it holds no such object, or something else is in it.
    """
    value = _below(path, keys)
    for number, (name, entry) in enumerate(_object(path, "the file", value).items(), 1):
        yield name, Row(_object(path, repr(name), entry), path, number, "entry")


def lists(path: Path, *keys: str) -> Iterator[tuple[str, list[Row]]]:
    """The same where names stand for lists of objects."""
    for number, (name, value) in enumerate(_object(path, "the file", _below(path, keys)).items(), 1):
        row = Row({"list": value}, path, number, "entry")
        yield name, objects(row, "list")


def labels_of(path: Path) -> tuple[str, ...]:
    """Names of a JSON file that maps labels to their numbers."""
    return tuple(_object(path, "the file", json_value(path)))


def objects(row: Row, name: str) -> list[Row]:
    """A field that is a list of objects, as rows that stand where this one does.

    Raises:
        AnnotationError: it is something else.
    """
    found = values(row, name)
    if wrong := [value for value in found if not isinstance(value, dict)]:
        raise row.error(f"expected objects in {name!r}, got {ascii(wrong[0])[:60]}")
    return [Row(value, row.path, row.line, row.counted) for value in found]


def values(row: Row, name: str) -> list[Any]:
    """A field that is a list.

    Raises:
        AnnotationError: it is something else.
    """
    value = row.values.get(name)
    if not isinstance(value, list):
        raise row.error(f"expected a list for {name!r}, got {ascii(value)[:60]}")
    return value


def span(row: Row, name: str) -> tuple[float, float]:
    """A field that is a list of start and end in seconds.

    Raises:
        AnnotationError: it is something else.
    """
    return row.pair(row.values.get(name), name)


def clock_s(row: Row, name: str) -> float:
    """A field such as `00:01:02.34` in seconds.

    Raises:
        AnnotationError: it is no time of day.
    """
    text = row.text(name)
    match = CLOCK.fullmatch(text)
    if match is None:
        raise row.error(f"expected a time such as 00:01:02.34 for {name!r}, got {ascii(text)[:40]}")
    hours, minutes, seconds = match.groups()
    return 3600 * int(hours) + 60 * int(minutes) + float(seconds)


def unasked(examples: Iterator[Example]) -> Iterator[Example]:
    """Without the queries that fine-tuning takes: what is asked is the task's."""
    return (replace(example, query="", candidates=()) for example in examples)


def yes_no(row: Row, name: str) -> str:
    """An answer that is yes or no.

    Raises:
        AnnotationError: it is neither.
    """
    answer = row.text(name).lower().rstrip(".")
    if answer not in YES_NO:
        raise row.error(f"expected yes or no for {name!r}, got {answer[:60]!r}")
    return answer


def _below(path: Path, keys: tuple[str, ...]) -> object:
    """What the first of these keys that is there stands for; the whole document without."""
    value = json_value(path)
    return next((value[key] for key in keys if key in value), value) if isinstance(value, dict) else value


def _object(path: Path, what: str, value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise AnnotationError(f"{path}: expected an object for {what}, got {type(value).__name__}")
    return value
