"""Changes a seed: JSON by its structure, anything else by its bytes. The same random state gives the same bytes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

__all__ = ["Document", "change_bytes", "change_json"]

NUMBERS = (
    *("0", "-1", "1", "2", "3.5", "-0.0", "1e-320", "255", "256", "1023", "65536", "1e9", "1000000000", "2147483647"),
    *("2147483648", "4294967296", "9223372036854775807", "9223372036854775808", "18446744073709551616", "1e308"),
    *("1e999", "-1e999", "NaN", "Infinity", "-Infinity", "1" + "0" * 400, "-1" + "0" * 5000, "0.1e-5", "8.0", "1E400"),
)  # fmt: skip
TEXTS = (
    *('""', '" "', '"a"', '"A"', '"x"', '"../x"', '"/etc/passwd"', '"a/b"', '"bundle.json"', r'"\u0000"', r'"\ud800"'),
    *(r'"\udc00\ud800"', r'"\u001b[2J"', r'"\u202e"', r'"\u2028"', '"\u2028"', '"\x85"', '"\U0001f600"', '"NaN"'),
    *('"1e999"', '"' + "x" * 300 + '"', '"' + "é" * 9000 + '"', r'"(a*)*b"', r'"\\p{L}+"', '"AAAAAAAA"', '"\\"'),
)  # fmt: skip
PLAIN = ("null", "true", "false")
SHAPES = (
    "[]",
    "{}",
    "[[]]",
    '{"a":{}}',
    "[1,[2,[3]]]",
    "[null]",
    "[" * 60 + "]" * 60,
    "[" * 3000 + "]" * 3000,
)
VALUES = (*NUMBERS, *TEXTS, *PLAIN, *SHAPES)
BYTES = (
    b"\0",
    b"\xff",
    b"\x80",
    b"\x1b",
    b"\n",
    b"\r",
    b"\xff" * 8,
    b"\0" * 8,
    b"\x7f\xff\xff\xff",
    b"PK\x05\x06",
)
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[-+0-9.eE]+|true|false|null|[\[\]{},:]')


@dataclass(frozen=True, slots=True)
class Document:
    """A JSON text and where its values, keys and members stand."""

    text: str
    values: tuple[tuple[int, int], ...]
    keys: tuple[tuple[int, int], ...]
    members: tuple[tuple[int, int], ...]
    """A key with its value, or an item of a list, without a comma."""

    @classmethod
    def of(cls, text: str) -> Document:
        """Find the places; the text must be JSON."""
        tokens = [(match.start(), match.end()) for match in _TOKEN.finditer(text)]
        found: dict[str, list[tuple[int, int]]] = {"values": [], "keys": [], "members": []}
        _value(text, tokens, 0, found)
        return cls(text, *(tuple(found[name]) for name in ("values", "keys", "members")))


def _value(text: str, tokens: list[tuple[int, int]], at: int, found: dict[str, list[tuple[int, int]]]) -> int:
    """Index of the token after the value at `at`."""
    start, end = tokens[at]
    opening = text[start]
    after = at + 1
    while opening in "[{" and text[tokens[after][0]] not in "]}":
        if text[tokens[after][0]] == ",":
            after += 1
        first = tokens[after][0]
        if opening == "{":
            found["keys"].append(tokens[after])
            after += 2
        after = _value(text, tokens, after, found)
        found["members"].append((first, tokens[after - 1][1]))
    if opening in "[{":
        end = tokens[after][1]
        after += 1
    found["values"].append((start, end))
    return after


def change_json(document: Document, others: Sequence[Document], draw: Random) -> bytes:
    """One to three places of a document replaced, dropped, repeated, renamed or wrapped."""
    places = []
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        start, end, text = draw.choice(CHANGES)(document, others, draw)
        if all(end <= other[0] or start >= other[1] for other in places):
            places.append((start, end, text))
    result = document.text
    for start, end, text in sorted(places, reverse=True):
        result = result[:start] + text + result[end:]
    data = result.encode("utf-8", "surrogatepass")
    return change_bytes(data, draw) if draw.random() < 0.03 else data


Change = Callable[[Document, Sequence[Document], Random], tuple[int, int, str]]


def _replace(document: Document, others: Sequence[Document], draw: Random) -> tuple[int, int, str]:
    return *draw.choice(document.values), draw.choice(VALUES)


def _same_kind(document: Document, others: Sequence[Document], draw: Random) -> tuple[int, int, str]:
    """A number by a number, a text by a text: deeper checks are reached."""
    start, end = draw.choice(document.values)
    kind = document.text[start]
    return start, end, draw.choice(TEXTS if kind == '"' else SHAPES if kind in "[{" else NUMBERS)


def _graft(document: Document, others: Sequence[Document], draw: Random) -> tuple[int, int, str]:
    source = draw.choice(others)
    start, end = draw.choice(source.values)
    return *draw.choice(document.values), source.text[start : min(end, start + 4000)]


def _nudge(document: Document, others: Sequence[Document], draw: Random) -> tuple[int, int, str]:
    start, end = draw.choice(document.values)
    text = document.text[start:end]
    if not text.lstrip("-").isdigit():
        return _graft(document, others, draw)
    return start, end, str(int(text) + draw.choice((-1, 1, 2, -2)) * draw.choice((1, 1, 16, 4096)))


def _drop(document: Document, others: Sequence[Document], draw: Random) -> tuple[int, int, str]:
    if not document.members:
        return _replace(document, others, draw)
    start, end = draw.choice(document.members)
    tail = re.compile(r"\s*,").match(document.text, end)
    if tail:
        return start, tail.end(), ""
    head = document.text.rfind(",", 0, start)
    return (head if head >= 0 and not document.text[head + 1 : start].strip() else start), end, ""


def _repeat(document: Document, others: Sequence[Document], draw: Random) -> tuple[int, int, str]:
    if not document.members:
        return _replace(document, others, draw)
    start, end = draw.choice(document.members)
    return start, end, ",".join([document.text[start:end]] * draw.choice((2, 2, 2, 30)))


def _rename(document: Document, others: Sequence[Document], draw: Random) -> tuple[int, int, str]:
    if not document.keys:
        return _replace(document, others, draw)
    source = draw.choice([other for other in others if other.keys] or [document])
    start, end = draw.choice(source.keys)
    return *draw.choice(document.keys), draw.choice((source.text[start:end], draw.choice(TEXTS)))


def _wrap(document: Document, others: Sequence[Document], draw: Random) -> tuple[int, int, str]:
    start, end = draw.choice(document.values)
    text = document.text[start:end]
    return start, end, draw.choice((f"[{text}]", f'{{"a":{text}}}', f"[{text},{text}]"))


CHANGES: tuple[Change, ...] = (
    _replace,
    _same_kind,
    _same_kind,
    _graft,
    _nudge,
    _drop,
    _repeat,
    _rename,
    _wrap,
)


def change_bytes(data: bytes, draw: Random) -> bytes:
    """One to four places of the bytes flipped, overwritten, cut out, put in or moved."""
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 4))):
        at = draw.randrange(len(changed) + 1)
        match draw.randrange(6):
            case 0 if at < len(changed):
                changed[at] ^= 1 << draw.randrange(8)
            case 1:
                piece = draw.choice(BYTES)
                changed[at : at + len(piece)] = piece
            case 2:
                del changed[at : at + draw.choice((1, 4, 64, len(changed)))]
            case 3:
                changed[at:at] = draw.choice(BYTES)
            case 4:
                start = draw.randrange(len(changed) + 1)
                changed[at:at] = changed[start : start + draw.choice((4, 46, 200))]
            case _ if at < len(changed):
                changed[at] = draw.randrange(256)
    return bytes(changed)
