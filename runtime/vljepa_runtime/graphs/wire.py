"""Protobuf's wire format, read as a stranger's: no schema, no copies, nothing allocated because a number says so.

A message is a view of bytes; its fields come one by one. What a field means is the caller's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from vljepa_runtime.errors import BundleError

__all__ = ["BYTES", "VARINT", "Damaged", "fields", "fields_once", "integers", "text"]

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_FIXED = {FIXED64: 8, FIXED32: 4}
_MAX_VARINT = 10  # bytes of a 64-bit number


class Damaged(BundleError):
    """Bytes that are not a message, or not one of the kind that was expected."""


def fields(message: memoryview) -> Iterator[tuple[int, int, int, memoryview]]:
    """Each field: its number, wire type, the number if it is one, else the bytes (then the number is their length).

    Raises:
        Damaged: the bytes are no message; groups, which nothing writes any more, count as such.
    """
    place, end = 0, len(message)
    nothing = message[:0]
    while place < end:
        tag = message[place]
        place += 1
        if tag >= 0x80:
            tag, place = _varint(message, place - 1)
        number, wire = tag >> 3, tag & 7
        if wire in (BYTES, VARINT):
            if place >= end:
                raise Damaged("a field has no value")
            value = message[place]
            place += 1
            if value >= 0x80:
                value, place = _varint(message, place - 1)
            if wire == VARINT:
                yield number, wire, value, nothing
                continue
        elif wire in _FIXED:
            value = _FIXED[wire]
        else:
            raise Damaged(f"a field has the wire type {wire}")
        if number == 0 or value > end - place:
            raise Damaged(f"field {number} is longer than what holds it")
        yield number, wire, value, message[place : place + value]
        place += value


def fields_once(
    message: memoryview, what: str, known: Collection[int], repeated: Collection[int] = ()
) -> Iterator[tuple[int, int, int, memoryview]]:
    """As `fields`, for a message of which every field is known, and only some may come more than once.

    A reader that merges or overwrites what comes twice would see another message than one that takes the first.

    Raises:
        Damaged: a field is unknown, or comes twice.
    """
    seen: set[int] = set()
    for field in fields(message):
        number = field[0]
        if number not in repeated:
            if number in seen:
                raise Damaged(f"{what} has field {number} twice")
            if number not in known:
                raise Damaged(f"{what} has a field {number} that no exporter of ours writes")
            seen.add(number)
        yield field


def integers(wire: int, value: int, data: memoryview, *, most: int) -> list[int]:
    """A repeated int64 field: one number, or many that are packed.

    Raises:
        Damaged: there are more than `most`.
    """
    if wire == VARINT:
        return [_signed(value)]
    found, place = [], 0
    if wire != BYTES or len(data) > most * _MAX_VARINT:
        raise Damaged(f"expected at most {most} whole numbers")
    while place < len(data):
        number, place = _varint(data, place)
        found.append(_signed(number))
    if len(found) > most:
        raise Damaged(f"expected at most {most} whole numbers, got {len(found)}")
    return found


def text(data: memoryview, *, most: int = 4096) -> str:
    """A string field.

    Raises:
        Damaged: it is too long, or not UTF-8.
    """
    if len(data) > most:
        raise Damaged(f"a name has {len(data)} bytes, expected at most {most}")
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError as error:
        raise Damaged("a name is not UTF-8") from error


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    value = 0
    for index, byte in enumerate(message[place : place + _MAX_VARINT]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, place + index + 1
    raise Damaged("a number does not end")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value
