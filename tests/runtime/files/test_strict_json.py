"""JSON means one thing: what Python's reader takes beyond it is refused."""

from __future__ import annotations

import json

import pytest

from vljepa_runtime.files.strict_json import parse_json


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": 1, "a": 2}', "twice"),
        ("[NaN]", "not a number"),
        ("[-Infinity]", "not a number"),
        ("[1e999]", "too large"),
        ("[1" + "0" * 5000 + "]", "5001 digits"),
        ("[" * 200_000, "deeply"),
        (r'["\ud800"]', "surrogate"),
        (r'["\udc00\ud800"]', "surrogate"),
        ('["\udc80"]', "surrogate"),
        ("{", "."),
        (b"\xff", "utf-8"),
        (b"\xef\xbb\xbf{}", "BOM"),
    ],
)
def test_strict_json_refuses(text: str | bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_json(text)


def test_strict_json_reads_what_json_reads() -> None:
    text = r'{"a": [1, -2.5e3, true, null, "x\n\ud83d\ude00é"], "b": {"a": 18446744073709551615}}'
    assert parse_json(text) == parse_json(text.encode()) == json.loads(text)
