"""Small files of one versioned JSON object: limited in size, of a known version, read strictly as a record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from vljepa_runtime.errors import InputError
from vljepa_runtime.files.records import read_record
from vljepa_runtime.files.strict_json import parse_json
from vljepa_runtime.files.values import shown

__all__ = ["read_document"]

T = TypeVar("T")


def read_document(
    cls: type[T], data: bytes | str, where: str, *, what: str, version: int, most: int, advice: str
) -> T:
    """Read a record with its version, `v`, from JSON.

    Args:
        cls: See `read_record`.
        data: The file's content.
        where: Names the file in messages.
        what: It should hold, for messages.
        version: The one that is read.
        most: Bytes, or characters.
        advice: What to do about one that is refused.

    Raises:
        InputError: it is longer, no JSON, of another version, or has unknown, missing or impossible values.

    Examples:
        >>> from dataclasses import dataclass
        >>> from vljepa_runtime.files import read_document
        >>> @dataclass(frozen=True, kw_only=True)
        ... class Door:
        ...     name: str
        ...     v: int = 1
        >>> of = {"what": "a door", "version": 1, "most": 1 << 20, "advice": "write it again"}
        >>> read_document(Door, '{"v": 1, "name": "front"}', "door.json", **of)
        Door(name='front', v=1)
        >>> read_document(Door, '{"v": 2, "name": "front"}', "door.json", **of)
        Traceback (most recent call last):
        vljepa_runtime.errors.InputError: door.json: expected a door of version 1, got 2: write it again
    """
    if len(data) > most:
        raise InputError(f"{where}: expected at most {most >> 20} MiB of {what}: {advice}")
    try:
        values = parse_json(data)
    except ValueError as error:
        raise InputError(f"{where}: expected {what}, it is no JSON: {error}: {advice}") from error
    if not isinstance(values, Mapping) or values.get("v") != version:
        found = values.get("v") if isinstance(values, Mapping) else values
        raise InputError(f"{where}: expected {what} of version {version}, got {shown(found)}: {advice}")
    return read_record(cls, values, where, error=InputError, advice=advice)
