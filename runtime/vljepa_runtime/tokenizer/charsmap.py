"""SentencePiece's table of characters, checked before a library walks it.

It is a trie in the layout of darts-clone (github.com/s-yata/darts-clone) and the texts that its leaves point to. The
walk adds numbers from the table to its position without looking whether they lie inside.
"""

from __future__ import annotations

import base64
import binascii

import numpy as np
import numpy.typing as npt

__all__ = ["check_charsmap", "longest_replacement"]

MAX_REPLACEMENT = 64  # bytes; Unicode's longest compatibility form has 33
BLOCK = 256  # units; a node's children lie in its block


def check_charsmap(encoded: str) -> str:
    """What is wrong with a table in base64; empty where nothing is."""
    try:
        units, texts = _read(encoded)
    except ValueError as error:
        return str(error)
    if len(units) == 0 or len(units) % BLOCK:
        return f"its trie has {len(units)} units"
    at = np.arange(len(units), dtype=np.int64)
    inner = (units >> 31) == 0
    offset = (units >> 10) << ((units & (1 << 9)) >> 6)
    below = (at ^ offset)[inner]
    if (below // BLOCK >= len(units) // BLOCK).any():
        return "its trie points outside itself"
    leaves = units[below[((units >> 8) & 1 == 1)[inner]]] & 0x7FFFFFFF
    raw = np.frombuffer(texts, np.uint8)
    if (leaves >= len(raw)).any() or ((raw[leaves] & 0xC0) == 0x80).any():
        return "a leaf points outside the texts"
    if not texts.endswith(b"\0") or max(map(len, texts.split(b"\0"))) > MAX_REPLACEMENT:
        return f"it replaces a character by more than {MAX_REPLACEMENT} bytes"
    return ""


def longest_replacement(encoded: str) -> int:
    """Bytes of the longest text in a table that was checked."""
    return max(1, *map(len, _read(encoded)[1].split(b"\0")))


def _read(encoded: str) -> tuple[npt.NDArray[np.int64], bytes]:
    """Units of the trie, and the texts."""
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("it is not base64") from error
    size = int.from_bytes(data[:4], "little")
    if len(data) < 4 or size % 4 or size > len(data) - 4:
        raise ValueError("its trie is longer than the table")
    texts = data[4 + size :]
    texts.decode("utf-8")
    return np.frombuffer(data[4 : 4 + size], "<u4").astype(np.int64), texts
