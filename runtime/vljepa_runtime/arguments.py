"""What a caller passes, made plain or refused: texts, numbers and arrays. Knows no model and no file."""

from __future__ import annotations

import math
import operator
import os
import reprlib
from collections.abc import Collection, Iterable, Mapping
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vljepa_runtime.errors import InputError

__all__ = ["array", "choice", "instance", "number", "path", "text", "texts", "whole"]


def texts(values: Iterable[str], what: str = "texts") -> tuple[str, ...]:
    """Texts in the order in which they are iterated, so a Series goes by position, not by its index.

    Args:
        values: A list, tuple, array, Series, iterator or view; one text alone, a mapping and a set are refused: it is
            not clear what of a mapping is meant, and a set has no order.
        what: Name for the message.

    Raises:
        InputError: there is none, or one is empty or not text; the message says which.
    """
    if isinstance(values, str):
        raise InputError(f"expected a list of {what}, got {_shown(values)} alone: write [text]")
    if isinstance(values, bytes | bytearray | Mapping) or not hasattr(type(values), "__iter__"):
        raise InputError(f"expected a list of {what}, got {_kind(values)}: write list(...) of what is meant")
    if isinstance(values, set | frozenset):
        raise InputError(
            f"expected a list of {what}, got a {_kind(values)}, which has no order: write sorted(...)"
        )
    if (rank := getattr(values, "ndim", 1)) != 1:
        raise InputError(f"expected one row of {what}, got a {_kind(values)} of {rank} dimensions")
    items = values.to_pylist() if hasattr(values, "to_pylist") else values  # Arrow's own items are no texts
    found = tuple(text(item, f"{what}[{index}]") for index, item in enumerate(items))
    if not found:
        raise InputError(f"expected a list of {what}, got an empty {_kind(values)}")
    return found


def text(value: object, what: str) -> str:
    """A plain text with something in it.

    Raises:
        InputError: it is not text, is blank, or holds half a character, as names that are no UTF-8 do.
    """
    if not isinstance(value, str):
        raise InputError(f"{what}: expected text, got {_shown(value)} of type {_kind(value)}")
    plain = str.__str__(value)  # numpy's, or an enum's, which would print its own name
    if not plain.strip():
        raise InputError(f"{what}: expected a text with at least one word, got {_shown(plain)}")
    if any("\ud800" <= character <= "\udfff" for character in plain):
        raise InputError(
            f"{what}: expected Unicode text, got {_shown(plain)}: decode it with its own encoding"
        )
    return plain


def number(
    value: object, what: str, *, above: float = -math.inf, least: float = -math.inf, most: float = math.inf
) -> float:
    """A finite number, numpy's included, within bounds.

    Raises:
        InputError: it is something else, even if it could be converted, or out of bounds.
    """
    if not isinstance(value, Real) or isinstance(value, bool | np.bool_):
        raise InputError(f"{what}: expected a number, got {_shown(value)} of type {_kind(value)}")
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if not (math.isfinite(found) and above < found and least <= found <= most):
        raise InputError(
            f"{what}: expected {_range('a finite number', above, least, most)}, got {_shown(value)}"
        )
    return found


def whole(value: object, what: str, *, least: int = 0, most: int = 2**31 - 1) -> int:
    """A whole number, numpy's included, within bounds.

    Raises:
        InputError: it is something else, even 8.0 or true, or out of bounds.

    Examples:
        >>> from vljepa_runtime.arguments import whole
        >>> whole(8, "keep", most=256)
        8
        >>> whole(8.0, "keep", most=256)
        Traceback (most recent call last):
        vljepa_runtime.errors.InputError: keep: expected a whole number, got 8.0 of type float
    """
    if isinstance(value, bool | np.bool_ | np.ndarray) or not hasattr(type(value), "__index__"):
        raise InputError(f"{what}: expected a whole number, got {_shown(value)} of type {_kind(value)}")
    found = operator.index(value)  # type: ignore[arg-type]
    if not least <= found <= most:
        raise InputError(
            f"{what}: expected {_range('a whole number', -math.inf, least, most)}, got {_shown(found)}"
        )
    return found


def array(value: object, what: str, dtype: type[np.generic] | None = None) -> npt.NDArray[Any]:
    """An array of numbers.

    Raises:
        InputError: rows have different lengths, or it holds something else.
    """
    try:
        found = np.asarray(value)
        kinds = "biuf" if dtype is not None else "biufc"
        if found.dtype.kind in kinds:
            return found if dtype is None else found.astype(dtype, copy=False)
    except (TypeError, ValueError, RuntimeError) as error:  # what arrays of other libraries raise
        raise InputError(f"{what}: expected an array, got a {_kind(value)} that is none: {error}") from error
    raise InputError(f"{what}: expected an array of numbers, got {_shown(value)} of type {_kind(value)}")


def choice(value: object, what: str, known: Collection[str]) -> str:
    """One of a few words.

    Raises:
        InputError: it is none of them.
    """
    if not isinstance(value, str) or value not in known:
        raise InputError(f"{what}: expected {' or '.join(known)}, got {_shown(value)}")
    return value


def instance(value: object, what: str, *kinds: type) -> None:
    """See that a value is of one of these types.

    Raises:
        InputError: it is not.
    """
    if not isinstance(value, kinds):
        names = " or ".join(kind.__name__ for kind in kinds)
        raise InputError(f"{what}: expected {names}, got {_shown(value)} of type {_kind(value)}")


def path(value: object, what: str) -> Path:
    """A path, given as text or as one.

    Raises:
        InputError: it is something else, or of bytes.
    """
    instance(value, what, str, os.PathLike)
    plain = os.fspath(value)  # type: ignore[call-overload]
    instance(plain, what, str)
    return Path(plain)


def _range(noun: str, above: float, least: float, most: float) -> str:
    low = f" above {above:g}" if above > -math.inf else f" of at least {least:g}" if least > -math.inf else ""
    return f"{noun}{low}{f' and at most {most:g}' if most < 2**31 - 1 else ''}"


def _shown(value: object) -> str:
    return " ".join(reprlib.repr(value).split())


def _kind(value: object) -> str:
    return type(value).__name__
