"""Single values of a stranger's JSON, each read within its limit: what a record's annotations are made of.

Limits that no annotation names are here: several times what the largest model needs, and small enough that what is
allocated, padded or printed costs megabytes and milliseconds.
"""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Callable, Mapping
from enum import Enum
from numbers import Real
from typing import Annotated, Any

__all__ = [
    "Name",
    "Positive",
    "PositiveNumber",
    "Reader",
    "RecordError",
    "Share",
    "Text",
    "above_zero",
    "dim",
    "flag",
    "items",
    "member",
    "name",
    "number",
    "one_of",
    "positive",
    "shown",
    "string",
    "table",
    "text",
    "whole",
    "within",
    "wrong",
]

Reader = Callable[[Any, str], Any]

MAX_ENTRIES = 256  # of a table: graphs, prompts, notes, tools
MAX_ITEMS = 1024  # of a list: a decoder of 64 layers has 129 tensors a side
MAX_DIM = 1 << 24  # the largest vocabulary of a public model is 262,144
MAX_NAME = 200  # characters of a name, a key, a version
MAX_TEXT = 8000  # characters of a prompt, a note, a licence
MAX_WHOLE = 2**63 - 1

# What could forge another line or hide in one: control characters (ASCII, C1), line separators, marks that turn text
# around. A prompt or a note may have lines.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


class RecordError(ValueError):
    """A value is not what its record says; `read_record` turns it into the caller's error."""


def shown(value: object) -> str:
    """A value in a message: escaped, cut, and however deep it nests."""
    return ascii(reprlib.repr(value))[1:-1][:80] if not isinstance(value, str) else ascii(value[:70])


def wrong(where: str, expected: str, got: object) -> RecordError:
    """What to say of a value that is not what its record says."""
    return RecordError(f"{where[:MAX_NAME]}: expected {expected}, got {shown(got)}")


def string(value: object, where: str, *, limit: float = MAX_TEXT) -> str:
    """A text, perhaps empty; lines are allowed, other control characters are not."""
    if not isinstance(value, str):
        raise wrong(where, "text", value)
    if len(value) > limit:
        raise wrong(where, f"at most {limit} characters", value)
    if _CONTROL.search(value.replace("\n", "").replace("\t", "")):
        raise wrong(where, "text without control characters", value)
    return value


def text(value: object, where: str) -> str:
    """A text that is not empty."""
    if not (found := string(value, where)):
        raise wrong(where, "text that is not empty", value)
    return found


def name(value: object, where: str) -> str:
    """A short text of one line that is not empty."""
    found = string(value, where, limit=MAX_NAME)
    if not found or "\n" in found or "\t" in found:
        raise wrong(where, "a name of one line", value)
    return found


def whole(value: object, where: str, *, limit: float = MAX_WHOLE) -> int:
    """A whole number of at least 0; neither 8.0 nor true is one."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise wrong(where, "a whole number of at least 0", value)
    if value > limit:
        raise wrong(where, f"at most {limit}", value)
    return value


def positive(value: object, where: str, *, limit: float = MAX_DIM) -> int:
    """A whole number above 0."""
    if (found := whole(value, where, limit=limit)) == 0:
        raise wrong(where, "a whole number above 0", value)
    return found


def number(value: object, where: str) -> float:
    """A number that a float holds."""
    if not isinstance(value, Real) or isinstance(value, bool):
        raise wrong(where, "a finite number", value)
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise wrong(where, "a finite number", value)
    return found


def above_zero(value: object, where: str) -> float:
    """A number above 0 that a float holds."""
    if (found := number(value, where)) <= 0:
        raise wrong(where, "a finite number above 0", value)
    return found


def within(low: float, high: float, what: str) -> Reader:
    """What reads a number from `low` to `high`; messages call it `what`, such as "seconds"."""

    def read(value: object, where: str) -> float:
        if not low <= (found := number(value, where)) <= high:
            raise wrong(where, f"{what} from {low:g} to {high:g}", value)
        return found

    return read


def flag(value: object, where: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise wrong(where, "true or false", value)
    return value


def dim(value: object, where: str) -> int | str:
    """One size of a shape: a number, or a symbol where it is free."""
    return name(value, where) if isinstance(value, str) else positive(value, where)


def one_of(value: object, where: str, *, known: tuple[Any, ...]) -> Any:
    """One of a few values."""
    if not isinstance(value, str) or value not in known:
        raise wrong(where, " or ".join(known), value)
    return value


def member(value: object, where: str, *, kind: type[Enum]) -> Enum:
    """A member of an enum of texts, or its value."""
    return kind(one_of(value, where, known=tuple(each.value for each in kind)))


def items(
    value: object, where: str, *, read: Reader, limit: float = MAX_ITEMS, size: int | None = None
) -> tuple[Any, ...]:
    """A list, every item read by `read`."""
    if not isinstance(value, (list, tuple)):
        raise wrong(where, "a list", value)
    if len(value) > limit:
        raise wrong(where, f"at most {limit} items", len(value))
    if size is not None and len(value) != size:
        raise wrong(where, f"{size} items", value)
    return tuple(read(item, f"{where}[{index}]") for index, item in enumerate(value))


def table(
    value: object, where: str, *, read_key: Reader, read: Reader, limit: float = MAX_ENTRIES
) -> dict[str, Any]:
    """An object, every key and value read."""
    if not isinstance(value, Mapping):
        raise wrong(where, "an object", value)
    if len(value) > limit:
        raise wrong(where, f"at most {limit} {where}", len(value))
    return {read_key(key, where): read(item, f"{where}.{key}") for key, item in value.items()}


Name = Annotated[str, name]
Text = Annotated[str, text]
Positive = Annotated[int, positive]
PositiveNumber = Annotated[float, above_zero]
Share = Annotated[float, within(0, 1, "a number")]
