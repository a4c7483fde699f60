"""JSON that means one thing everywhere: how every file that a stranger may have written is parsed.

Python's own reader takes more than JSON says (NaN, repeated keys, halves of characters) and some of it raises outside
ValueError (nesting); whoever reads a manifest, a tokenizer, an event or an annotation would have to know all that.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

__all__ = ["parse_json"]

# Public folders hold 10**30 for "no limit". Far longer ones are in no file, and raise outside ValueError: float() of
# 309 digits gives OverflowError.
MAX_DIGITS = 40
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")


def parse_json(data: bytes | str) -> Any:
    """Parse one JSON document.

    Args:
        data: Text, or UTF-8 bytes without a byte-order mark. Its size is the caller's to bound.

    Raises:
        ValueError: it is not JSON; a key appears twice; a number is NaN, infinite or longer than 40 digits; a text
            holds half a character (a lone surrogate); or it is nested deeper than Python can read.
    """
    text = data if isinstance(data, str) else data.decode("utf-8")
    try:
        value = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_int=_whole,
            parse_float=_finite,
        )
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if _SURROGATE.search(text):
        _refuse_lone_surrogates(value)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key appears twice")
    return result


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number")


def _whole(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"a number has {len(digits)} digits")
    return int(digits)


def _finite(digits: str) -> float:
    if not math.isfinite(number := float(digits)):
        raise ValueError(f"the number {digits[:20]} is too large")
    return number


def _refuse_lone_surrogates(value: object) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (UnicodeEncodeError, RecursionError) as error:
        raise ValueError("a text holds half a character (a lone surrogate)") from error
