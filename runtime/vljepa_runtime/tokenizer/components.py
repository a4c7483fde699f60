"""The table of tokenizer components that published models use: fields, what each may hold, how much each lengthens.

Llama 3, Qwen, Mistral, Gemma, CLIP, RoBERTa, BERT and MiniLM, T5, XLM-R and ALBERT are written in these.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

from vljepa_runtime.files.values import shown
from vljepa_runtime.tokenizer.charsmap import check_charsmap, longest_replacement

__all__ = ["PATTERNS", "Refused", "check_component", "check_fields", "check_repeats", "growth", "whole"]

MAX_PARTS = 16  # of a sequence; a Gemma decoder has 3, an ALBERT normaliser 5
MAX_CONTENT = 64  # characters of a replacement
MAX_TEMPLATE = 64  # tokens around a text
MAX_STRIPPED = 16  # characters that a decoder takes off

_CASED = r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}"
_LOWER = r"\p{Ll}\p{Lm}\p{Lo}\p{M}"
_WORD = rf"[^\r\n\p{{L}}\p{{N}}]?[{_CASED}]*[{_LOWER}]+"
_NAME = rf"[^\r\n\p{{L}}\p{{N}}]?[{_CASED}]+[{_LOWER}]*"
_ENDINGS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_TAIL = r"\s*[\r\n]+|\s+(?!\S)|\s+"
PATTERNS = frozenset(
    {
        # GPT-2 and RoBERTa write theirs in the library itself (ByteLevel); some files repeat it
        r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
        # Llama 3, and Qwen 2 and 3 with one digit at a time
        rf"{_ENDINGS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_TAIL}",
        rf"{_ENDINGS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_TAIL}",
        rf"{_ENDINGS}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{_TAIL}",
        # GPT-4o and Llama 4, and Mistral's with single digits
        rf"{_WORD}{_ENDINGS}?|{_NAME}{_ENDINGS}?|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_TAIL}",
        rf"{_WORD}|{_NAME}|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_TAIL}",
        # CLIP
        r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+",
        r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+",
        # digits, blanks and lines
        *(r"\p{N}", r"\p{N}+", r"\p{N}{1,3}", r"\d", r"\d+", "[0-9]", "[0-9]+", "[0-9][0-9][0-9]"),
        *(r"\s+", r"\s", " {2,}", " +", r"[\r\n]", r"\n", r"\n+", r"[\n\r\t]", r"\s{2,}|[\n\r\t]"),
    }
)  # fmt: skip


class Refused(Exception):
    """A tokenizer asks for what no published model needs; the message says what."""


Check = Callable[[Any, str], None]


def whole(value: object, where: str, *, limit: int) -> None:
    """Refuse what is not a whole number of 0 to `limit`."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= limit:
        raise Refused(f"its {where} is no whole number of 0 to {limit}: {shown(value)}")


def check_component(section: str, component: Any, depth: int = 0) -> None:
    """Hold one component, and those inside it, against the table.

    Args:
        section: `normalizer`, `pre_tokenizer`, `post_processor` or `decoder`.
        component: Its JSON.
        depth: Sequences around it.

    Raises:
        Refused: saying what is not allowed.
    """
    kind = component.get("type") if isinstance(component, dict) else None
    if kind == "Sequence" and depth < 2:
        for part in _parts(section, component):
            check_component(section, part, depth + 1)
        return
    if not isinstance(kind, str) or kind not in TABLE[section]:
        raise Refused(f"its {section} is {shown(kind)}, expected {', '.join(TABLE[section])}")
    check_fields(section, {k: v for k, v in component.items() if k != "type"}, TABLE[section][kind])


def check_fields(
    where: str, values: Any, fields: Mapping[str, Check], required: Collection[str] = ()
) -> None:
    """Hold an object's fields against what each may hold; one that is null or absent keeps its default."""
    if not isinstance(values, dict):
        raise Refused(f"its {where} is no object: {shown(values)}")
    for name, value in values.items():
        if name not in fields:
            raise Refused(f"its {where} has an unknown field {shown(name)}")
        if value is not None:
            fields[name](value, f"{where}.{name}")
    for name, check in fields.items():
        if values.get(name) is None and (check in REQUIRED or name in required):
            raise Refused(f"its {where} lacks {name}")


def growth(component: Mapping[str, Any]) -> int:
    """Bytes that a checked component may make of one byte, at most."""
    kind = component["type"]
    if kind == "Sequence":
        parts = next(value for key, value in component.items() if key in INSIDE.values())
        return math.prod(growth(part) for part in parts)
    if kind == "Replace":
        pattern = component["pattern"].get("String", " ")
        return max(1, math.ceil(len(component["content"].encode()) / len(pattern.encode())))
    if kind == "Precompiled":
        return longest_replacement(component["precompiled_charsmap"])
    return GROWTH.get(kind, 1)


def check_repeats(section: str, component: Mapping[str, Any]) -> None:
    """Refuse a checked component that lengthens a text in the same way twice: the library is slow with what comes out.

    Raises:
        Refused: naming what makes texts longer.
    """
    kinds = [kind for kind in _kinds(section, component) if kind in GROWTH]
    if len(set(kinds)) != len(kinds):
        raise Refused(f"its {section} makes a text longer in the same way twice: {', '.join(kinds)}")


def _kinds(section: str, component: Mapping[str, Any]) -> list[str]:
    """Of all that is inside a component."""
    if component["type"] != "Sequence":
        return [component["type"]]
    return [kind for part in component[INSIDE[section]] for kind in _kinds(section, part)]


# By Unicode's own tables: U+FDFA is 3 bytes and decomposes to 33; a mark of replacement has 3.
GROWTH = {
    **{"NFKD": 11, "NFKC": 11, "NFD": 3, "NFC": 3, "Lowercase": 2, "BertNormalizer": 3},
    **{"ByteLevel": 2, "Metaspace": 3, "Prepend": 2},
}  # fmt: skip
INSIDE = {
    "normalizer": "normalizers",
    "pre_tokenizer": "pretokenizers",
    "post_processor": "processors",
    "decoder": "decoders",
}


def _parts(section: str, component: Mapping[str, Any]) -> list[Any]:
    parts = component.get(INSIDE[section])
    if not isinstance(parts, list) or set(component) != {"type", INSIDE[section]} or len(parts) > MAX_PARTS:
        raise Refused(f"its {section} is a sequence without a list of at most {MAX_PARTS} {INSIDE[section]}")
    return parts


def _flag(value: object, where: str) -> None:
    if not isinstance(value, bool):
        raise Refused(f"its {where} is neither true nor false: {shown(value)}")


def _character(value: object, where: str) -> None:
    if not isinstance(value, str) or len(value) != 1:
        raise Refused(f"its {where} is not one character: {shown(value)}")


def _text(value: object, where: str) -> None:
    if not isinstance(value, str) or len(value) > MAX_CONTENT:
        raise Refused(f"its {where} is no text of at most {MAX_CONTENT} characters: {shown(value)}")


def _content(value: object, where: str) -> None:
    _text(value, where)


def _filled(value: object, where: str) -> None:
    _text(value, where)
    if not value:
        raise Refused(f"its {where} is empty")


def _behavior(value: object, where: str) -> None:
    if value not in ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"):
        raise Refused(f"its {where} is unknown: {shown(value)}")


def _scheme(value: object, where: str) -> None:
    if value not in ("always", "first", "never"):
        raise Refused(f"its {where} is unknown: {shown(value)}")


def _stripped(value: object, where: str) -> None:
    whole(value, where, limit=MAX_STRIPPED)


def _pattern(value: object, where: str) -> None:
    if not isinstance(value, dict) or len(value) != 1 or not set(value) <= {"String", "Regex"}:
        raise Refused(f"its {where} is neither a String nor a Regex: {shown(value)}")
    _filled_or_known(value, where)


def _filled_or_known(value: Mapping[str, Any], where: str) -> None:
    if "String" in value:
        _filled(value["String"], where)
    elif not isinstance(value["Regex"], str) or value["Regex"] not in PATTERNS:
        raise Refused(
            f"its {where} is a regular expression that no known model uses: {shown(value['Regex'])}"
        )


def _charsmap(value: object, where: str) -> None:
    if not isinstance(value, str) or (problem := check_charsmap(value)):
        raise Refused(
            f"its {where} is no table of characters" + (f": {problem}" if isinstance(value, str) else "")
        )


def _token(value: object, where: str) -> None:
    """`["</s>", 2]`"""
    if not isinstance(value, list) or len(value) != 2:
        raise Refused(f"its {where} is no pair of a token and its number: {shown(value)}")
    _filled(value[0], where)
    whole(value[1], where, limit=2**31 - 1)


def _template(value: object, where: str) -> None:
    if not isinstance(value, list) or len(value) > MAX_TEMPLATE:
        raise Refused(f"its {where} is no list of at most {MAX_TEMPLATE} tokens")
    for piece in value:
        if not isinstance(piece, dict) or len(piece) != 1 or not set(piece) <= {"SpecialToken", "Sequence"}:
            raise Refused(f"its {where} has an unknown part: {shown(piece)}")
        check_fields(where, next(iter(piece.values())), {"id": _filled, "type_id": _stripped})
    texts = [piece["Sequence"].get("id") for piece in value if "Sequence" in piece]
    if len(texts) != len(set(texts)) or not set(texts) <= {"A", "B"} or "A" not in texts:
        raise Refused(f"its {where} does not hold each text once")


def _special(value: object, where: str) -> None:
    if not isinstance(value, dict) or len(value) > MAX_TEMPLATE:
        raise Refused(f"its {where} are no object of at most {MAX_TEMPLATE} tokens")
    for token in value.values():
        check_fields(where, token, {"id": _filled, "ids": _ids, "tokens": _names})
        if len(token["ids"]) != len(token["tokens"]):
            raise Refused(f"its {where} have other numbers than tokens")


def _ids(value: object, where: str) -> None:
    if not isinstance(value, list) or not 0 < len(value) <= MAX_STRIPPED:
        raise Refused(f"its {where} is no list of 1 to {MAX_STRIPPED} numbers")
    for item in value:
        whole(item, where, limit=2**31 - 1)


def _names(value: object, where: str) -> None:
    if not isinstance(value, list) or not 0 < len(value) <= MAX_STRIPPED:
        raise Refused(f"its {where} is no list of 1 to {MAX_STRIPPED} tokens")
    for item in value:
        _filled(item, where)


REQUIRED = {
    _filled,
    _content,
    _pattern,
    _character,
    _charsmap,
    _token,
    _template,
    _special,
    _ids,
    _names,
    _behavior,
}
_BYTE_LEVEL: Mapping[str, Check] = dict.fromkeys(("add_prefix_space", "trim_offsets", "use_regex"), _flag)
_METASPACE: Mapping[str, Check] = {
    **{"replacement": _character, "str_rep": _text, "add_prefix_space": _flag},
    **{"prepend_scheme": _scheme, "split": _flag},
}  # fmt: skip
_REPLACE: Mapping[str, Check] = {"pattern": _pattern, "content": _content}
_ENDS: Mapping[str, Check] = {"sep": _token, "cls": _token}
TABLE: Mapping[str, Mapping[str, Mapping[str, Check]]] = {
    "normalizer": {
        **{
            kind: {}
            for kind in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt", "ByteLevel")
        },
        "BertNormalizer": dict.fromkeys(
            ("clean_text", "handle_chinese_chars", "strip_accents", "lowercase"), _flag
        ),
        "Strip": {"strip_left": _flag, "strip_right": _flag},
        "Replace": _REPLACE,
        "Prepend": {"prepend": _filled},
        "Precompiled": {"precompiled_charsmap": _charsmap},
    },
    "pre_tokenizer": {
        **{kind: {} for kind in ("BertPreTokenizer", "Whitespace", "WhitespaceSplit", "UnicodeScripts")},
        "ByteLevel": _BYTE_LEVEL,
        "Metaspace": _METASPACE,
        "CharDelimiterSplit": {"delimiter": _character},
        "Punctuation": {"behavior": _behavior},
        "Digits": {"individual_digits": _flag},
        "Split": {"pattern": _pattern, "behavior": _behavior, "invert": _flag},
    },
    "post_processor": {
        "ByteLevel": _BYTE_LEVEL,
        "BertProcessing": _ENDS,
        "RobertaProcessing": {**_ENDS, "trim_offsets": _flag, "add_prefix_space": _flag},
        "TemplateProcessing": {"single": _template, "pair": _template, "special_tokens": _special},
    },
    "decoder": {
        **{kind: {} for kind in ("ByteFallback", "Fuse")},
        "ByteLevel": _BYTE_LEVEL,
        "Metaspace": _METASPACE,
        "WordPiece": {"prefix": _text, "cleanup": _flag},
        "BPEDecoder": {"suffix": _text},
        "Strip": {"content": _character, "start": _stripped, "stop": _stripped},
        "Replace": _REPLACE,
    },
}
