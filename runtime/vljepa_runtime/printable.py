"""Text from outside (names, labels, vocabularies, messages of libraries) made safe to print.

A terminal obeys control characters, C1 codes and direction marks; JSON readers take the same text escaped.
"""

from __future__ import annotations

import json
import unicodedata
from typing import Any

from vljepa_runtime.errors import InputError

__all__ = ["ascii_json", "fits", "json_text", "plain_reason", "printable"]

OBEYED = (
    "Cc",
    "Cf",
    "Cs",
    "Zl",
    "Zp",
)  # control, format (bidi, tags), surrogate, line and paragraph separator
JOINERS = "\u200c\u200d"  # format characters that Persian and emoji are written with


def printable(text: str, *, lines: bool = False) -> str:
    r"""The text with everything that a terminal would obey shown as an escape: ESC becomes `\x1b`.

    Args:
        text: Of any origin.
        lines: Let line ends and tabs through, for text of several lines.

    Examples:
        >>> from vljepa_runtime.printable import printable
        >>> print(printable("a name that \x1b[31mturns the screen red"))
        a name that \x1b[31mturns the screen red
    """
    if text.isprintable():
        return text
    allowed = JOINERS + "\n\t" if lines else JOINERS
    return "".join(c if c in allowed or not _is_obeyed(c) else _escape(c) for c in text)


def json_text(value: Any, *, indent: int | None = None) -> str:
    """A value as JSON that a terminal shows as it is; a reader gets back exactly the value.

    Only half characters, which file names of odd bytes are made of and most readers refuse, arrive as `printable`
    shows them.

    Raises:
        InputError: the value holds NaN or infinity, which JSON cannot say.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)
    except ValueError as error:
        raise InputError(f"expected finite numbers in a result, got NaN or infinity: {error}") from error
    if text.isprintable():
        return text
    # Outside of strings JSON has only line ends of its own; inside, an escape means the same character.
    return "".join(c if c == "\n" or c in JOINERS or not _is_obeyed(c) else _json_escape(c) for c in text)


def ascii_json(text: str) -> str:
    """The same JSON document in ASCII, for a stream whose encoding lacks its characters."""
    return text if text.isascii() else "".join(c if c.isascii() else _json_escape(c) for c in text)


def fits(text: str, stream: object) -> bool:
    """Whether the encoding of a text stream has all characters of a text."""
    try:
        text.encode(getattr(stream, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def plain_reason(error: Exception) -> str:
    """What the system or a library says of an error, without number and file name, to go on a sentence with."""
    text = str(getattr(error, "strerror", None) or error)
    return text[:1].lower() + text[1:]


def _is_obeyed(character: str) -> bool:
    return unicodedata.category(character) in OBEYED


def _escape(character: str) -> str:
    return (
        character.encode("ascii", "backslashreplace").decode()
        if ord(character) > 0x7F
        else _control(character)
    )


def _control(character: str) -> str:
    return {"\n": r"\n", "\r": r"\r", "\t": r"\t"}.get(character, f"\\x{ord(character):02x}")


def _json_escape(character: str) -> str:
    if "\ud800" <= character <= "\udfff":
        return "\\" + _escape(character)
    return json.dumps(character)[1:-1] if ord(character) != 0x7F else "\\u007f"
