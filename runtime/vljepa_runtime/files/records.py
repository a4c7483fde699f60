"""Frozen dataclasses from JSON and back: read by their annotations, strictly, each value within its limit.

Plain types, `X | None`, tuples, `Mapping`s, `Literal`s, Enums and other records are read as their annotation says;
`Annotated[int, positive, AtMost(64)]` names another reader of `values.py`, or a limit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import Enum
from functools import cache, partial
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from vljepa_runtime.errors import InputError, VljepaError
from vljepa_runtime.files.values import (
    MAX_NAME,
    Reader,
    RecordError,
    flag,
    items,
    member,
    number,
    one_of,
    shown,
    string,
    table,
    whole,
    wrong,
)
from vljepa_runtime.suggestions import did_you_mean

__all__ = ["AtMost", "check_keys", "check_record", "plain", "read_record"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class AtMost:
    """Limit of a number, of a text's characters, or of the entries of a list or table."""

    limit: float


def read_record(cls: type[T], values: object, where: str, *, error: type[VljepaError], advice: str = "") -> T:
    """Read a dataclass from parsed JSON: unknown and missing keys are refused, defaults filled in.

    Args:
        cls: A dataclass whose annotations say what its values are.
        values: Parsed JSON.
        where: Name of the whole for messages; its parts are named by their keys.
        error: Raised for whatever does not fit.
        advice: What to do then; ends the message.

    Examples:
        >>> from dataclasses import dataclass
        >>> from typing import Annotated
        >>> from vljepa_runtime import InputError
        >>> from vljepa_runtime.files import AtMost, check_record, plain, read_record
        >>> @dataclass(frozen=True, kw_only=True)
        ... class Camera:
        ...     name: str
        ...     fps: Annotated[int, AtMost(240)] = 25
        ...
        ...     def __post_init__(self) -> None:
        ...         check_record(self, error=InputError)
        >>> camera = read_record(Camera, {"name": "door"}, "camera", error=InputError)
        >>> plain(camera)
        {'name': 'door', 'fps': 25}
        >>> read_record(Camera, {"name": "door", "fbs": 30}, "camera", error=InputError)
        Traceback (most recent call last):
        vljepa_runtime.errors.InputError: camera: unknown keys fbs, did you mean 'fps'?; known: name, fps
        >>> Camera(name="door", fps=1000)
        Traceback (most recent call last):
        vljepa_runtime.errors.InputError: ...
    """
    try:
        return _record(values, where, cls=cls, prefix="")
    except (
        RecordError,
        InputError,
    ) as problem:  # what a dataclass refuses as an argument is refused here too
        if isinstance(problem, error):
            raise
        raise error(f"{problem}: {advice}" if advice else str(problem)) from problem


def check_record(made: Any, *, error: type[VljepaError], where: str = "") -> None:
    """Hold a dataclass that somebody made to its annotations, for `__post_init__`; lists become tuples.

    Args:
        made: The dataclass.
        error: Raised for whatever does not fit.
        where: Stands before a field's name in messages.

    Raises:
        VljepaError: of the class `error`, when a value is not what its annotation says.
    """
    try:
        for key, read in _readers(cast(Any, type(made))).items():
            object.__setattr__(made, key, read(getattr(made, key), where + key))
    except RecordError as problem:
        raise error(str(problem)) from problem


def plain(value: Any) -> Any:
    """What JSON can say of a record: dataclasses and mappings become dicts, tuples lists, enums their values."""
    if is_dataclass(value):
        return {item.name: plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    return value.value if isinstance(value, Enum) else value


def check_keys(cls: type[Any], values: object, where: str) -> Mapping[str, Any]:
    """See that `values` is an object with keys of `cls` and all that have no default.

    Raises:
        RecordError: it is not.
    """
    if not isinstance(values, Mapping):
        raise wrong(where, "an object", values)
    known = {item.name: item for item in fields(cls) if item.init}
    if unknown := sorted(str(key) for key in values if key not in known):
        meant = did_you_mean(unknown[0][:MAX_NAME], known, lead=", ")
        raise RecordError(
            f"{where}: unknown keys {shown(', '.join(unknown))[1:-1]}{meant}; known: {', '.join(known)}"
        )
    for key, item in known.items():
        if key not in values and item.default is MISSING and item.default_factory is MISSING:
            raise RecordError(f"{where}: `{key}` is missing")
    return values


def _record(values: object, where: str, *, cls: type[T], prefix: str | None = None) -> T:
    """A dataclass; one that is made already stays as it is."""
    if isinstance(values, cls):
        return values
    given, known = check_keys(cls, values, where), _readers(cast(Any, cls))
    at = f"{where}." if prefix is None else prefix
    return cls(**{key: known[key](value, f"{at}{key}") for key, value in given.items()})


@cache
def _readers(cls: Any) -> Mapping[str, Reader]:
    hints = get_type_hints(cls, include_extras=True)
    return {item.name: _reader(hints[item.name]) for item in fields(cls) if item.init}


def _reader(kind: Any) -> Reader:
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _ruled(parts[0], parts[1:])
    if origin in (Union, UnionType):
        return partial(_optional, read=_reader(next(part for part in parts if part is not type(None))))
    if origin is tuple:
        size = None if parts[-1] is Ellipsis else len(parts)
        return partial(items, read=_reader(parts[0]), size=size)
    if origin is Mapping:
        return partial(table, read_key=_reader(parts[0]), read=_reader(parts[1]))
    if origin is Literal:
        return partial(one_of, known=parts)
    if is_dataclass(kind):
        return partial(_record, cls=cast(Any, kind))
    is_enum = isinstance(kind, type) and issubclass(kind, Enum)
    return partial(member, kind=kind) if is_enum else _PLAIN[kind]


def _ruled(kind: Any, rules: tuple[Any, ...]) -> Reader:
    """The last reader among the rules, or the annotation's own, within the last limit."""
    read: Any = next((rule for rule in reversed(rules) if callable(rule)), None) or _reader(kind)
    limit = next((rule.limit for rule in reversed(rules) if isinstance(rule, AtMost)), None)
    found: Reader = read if limit is None else partial(read, limit=limit)
    return found


def _optional(value: object, where: str, *, read: Reader) -> Any:
    return None if value is None else read(value, where)


_PLAIN: Mapping[Any, Reader] = {
    **{str: string, int: whole, float: number, bool: flag},
    Any: lambda value, where: value,
}
