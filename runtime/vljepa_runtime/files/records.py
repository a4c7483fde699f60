"""Reads the single values of `bundle.json`, each within its limit. The limits of the format stand here, once.

They are several times what the largest model we can export needs, and small enough that whatever is allocated, padded
or printed from a manifest costs megabytes and milliseconds. Those of a window are in `preprocess_limits.py`, those of
a graph's known tensors in `contract.py`.
"""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from typing import Any, TypeVar

from vljepa_runtime.errors import BundleError

__all__ = [
    "check_file_name",
    "dim",
    "items",
    "known_fields",
    "name",
    "number",
    "positive",
    "string",
    "table",
    "text",
    "verdict",
    "whole",
    "wrong",
]

MAX_FILES = 256  # a bundle has some 20; a Core ML package or sharded weights a few dozen
MAX_FILE_BYTES = 1 << 37  # 128 GiB: every byte is hashed, a sparse file of more would take minutes to refuse
MAX_ENTRIES = 256  # of a table: graphs, prompts, notes, tools
MAX_ITEMS = 1024  # of a list: a decoder of 64 layers has 129 tensors a side
MAX_RANK = 8  # a key-value cache has 4
MAX_DIM = 1 << 24  # the largest vocabulary of a public model is 262,144
MAX_ELEMENTS = 1 << 27  # of the fixed sizes of a tensor: 512 MiB in float32
MAX_EMBEDDING = 1 << 16  # values; the paper's model has 1,536
MAX_NAME = 200  # characters of a name, a key, a version
MAX_TEXT = 8000  # characters of a prompt, a note, a licence

# What could forge another line or hide in one: control characters (ASCII, C1), line separators, marks that turn text
# around. A prompt or a note may have lines.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_SAFE_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*\Z")

T = TypeVar("T")


def check_file_name(name: str) -> str:
    """Return `name` when it can only mean a file inside the bundle.

    Raises:
        BundleError: the name is absolute, climbs out, is hidden, or some system reads it otherwise.
    """
    parts = name.split("/")
    if len(name) > MAX_NAME or not all(_SAFE_PART.match(part) for part in parts) or name == "bundle.json":
        raise BundleError(
            "expected a plain file name inside the bundle (letters, digits, . _ + - and /), "
            f"got {shown(name)}: do not use this bundle, ask its maker for a clean one"
        )
    return name


def wrong(where: str, expected: str, got: object) -> BundleError:
    """What to say of a value that is not what the format says."""
    return BundleError(f"{where[:MAX_NAME]}: expected {expected}, got {shown(got)}: export the bundle again")


def shown(value: object) -> str:
    """A value in a message: escaped, cut, and however deep it nests."""
    return ascii(reprlib.repr(value))[1:-1][:80] if not isinstance(value, str) else ascii(value[:70])


def known_fields(cls: type[Any], values: object, where: str) -> dict[str, Any]:
    """The values of `cls`'s fields: unknown and missing keys refused, defaults filled in."""
    if not isinstance(values, Mapping):
        raise wrong(where, "an object", values)
    known = {item.name: item for item in fields(cls)}
    if unknown := sorted(str(key) for key in set(values) - set(known)):
        raise BundleError(
            f"{where}: unknown keys {shown(', '.join(unknown))[1:-1]}; known: {', '.join(known)}: "
            "upgrade vljepa-edge or export again"
        )
    result = {}
    for key, item in known.items():
        if key in values:
            result[key] = values[key]
        elif item.default is not MISSING:
            result[key] = item.default
        elif item.default_factory is not MISSING:
            result[key] = item.default_factory()
        else:
            raise BundleError(f"{where}: `{key}` is missing: export the bundle again")
    return result


def string(value: object, where: str, *, limit: int = MAX_TEXT) -> str:
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
    if not string(value, where):
        raise wrong(where, "text that is not empty", value)
    return str(value)


def name(value: object, where: str) -> str:
    """A short text of one line that is not empty."""
    found = string(value, where, limit=MAX_NAME)
    if not found or "\n" in found or "\t" in found:
        raise wrong(where, "a name of one line", value)
    return found


def whole(value: object, where: str, *, limit: int = 2**63 - 1) -> int:
    """A whole number of at least 0; neither 8.0 nor true is one."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise wrong(where, "a whole number of at least 0", value)
    if value > limit:
        raise wrong(where, f"at most {limit}", value)
    return value


def positive(value: object, where: str, *, limit: int = MAX_DIM) -> int:
    """A whole number above 0."""
    if whole(value, where, limit=limit) == 0:
        raise wrong(where, "a whole number above 0", value)
    return int(value)  # type: ignore[call-overload,no-any-return]


def number(value: object, where: str) -> float:
    """A number that a float holds."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise wrong(where, "a finite number", value)
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise wrong(where, "a finite number", value)
    return found


def verdict(value: object, where: str) -> bool | None:
    """True, false or nothing."""
    if value is not None and not isinstance(value, bool):
        raise wrong(where, "true, false or null", value)
    return value


def dim(value: object, where: str) -> int | str:
    """One size of a shape: a number, or a symbol where it is free."""
    return name(value, where) if isinstance(value, str) else positive(value, where)


def items(
    value: object, read: Callable[[object, str], T], where: str, *, limit: int = MAX_ITEMS
) -> tuple[T, ...]:
    """A list, every item read by `read`."""
    if not isinstance(value, (list, tuple)):
        raise wrong(where, "a list", value)
    if len(value) > limit:
        raise wrong(where, f"at most {limit} items", len(value))
    return tuple(read(item, f"{where}[{index}]") for index, item in enumerate(value))


def table(
    value: object, read: Callable[[object, str], T], where: str, *, limit: int = MAX_ENTRIES
) -> dict[str, T]:
    """An object, every value read by `read`."""
    if not isinstance(value, Mapping):
        raise wrong(where, "an object", value)
    if len(value) > limit:
        raise wrong(where, f"at most {limit} {where}", len(value))
    return {name(key, where): read(item, f"{where}.{key}") for key, item in value.items()}
