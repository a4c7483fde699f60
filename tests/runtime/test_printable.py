"""Whatever a terminal would obey is shown as an escape; JSON keeps its value."""

from __future__ import annotations

import json
import unicodedata

import pytest

from vljepa_runtime.errors import InputError
from vljepa_runtime.events import Event
from vljepa_runtime.printable import ascii_json, json_text, printable

HOSTILE = {
    "escape": "\x1b[2J\x1b]0;title\x07",
    "C1 CSI": "\x9b31m",
    "C1 OSC": "\x9d0;title\x9c",
    "right to left override": "invoice\u202egpj.exe",
    "isolates": "\u2066a\u2067b\u2068c\u2069",
    "marks": "\u200ea\u200fb\u061c",
    "tag characters": "flag\U000e0041\U000e007f",
    "line separators": "a\u2028b\u2029c",
    "carriage return": "good\rbad",
    "delete and backspace": "a\x7f\x08",
    "lone surrogate": "name-\udcff",
    "byte order mark": "\ufeffa",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_nothing_a_terminal_obeys_is_left(text: str) -> None:
    for shown in (printable(text), printable(text, lines=True), json_text({"name": text})):
        assert [c for c in shown if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")] == []
    kept = text.replace("\udcff", "\\udcff")  # half a character is no text; most readers refuse it
    assert json.loads(json_text({"name": text}))["name"] == kept
    assert json.loads(ascii_json(json_text([text], indent=1))) == [kept]
    line = Event(stream=text, kind="segment", text=text, query=text).to_json()
    assert line.isprintable()
    assert Event.from_json(line) == Event(stream=kept, kind="segment", text=kept, query=kept)


@pytest.mark.parametrize(
    "text",
    ["a red ball", "Bär, 球, мяч", "👩\u200d🚀 \u0646\u0645\u06cc\u200c", "π ≈ 3"],
    ids=lambda t: t[:4],
)
def test_words_stay_as_they_are(text: str) -> None:
    assert printable(text) == text
    assert json_text(text) == f'"{text}"'
    assert ascii_json(json_text(text)).isascii()
    assert json.loads(ascii_json(json_text(text))) == text


def test_every_character_of_the_first_planes() -> None:
    """The oracle is the Unicode database: what is a control, a direction or a separator never passes."""
    everything = "".join(map(chr, range(0x3000)))
    halves = "".join(map(chr, range(0xD800, 0xE000)))
    assert all(
        c.isprintable() or c in "\u200c\u200d" or unicodedata.category(c) in ("Zs", "Cn", "Co")
        for c in printable(everything + halves)
    )
    assert json.loads(json_text(everything)) == everything
    assert json.loads(json_text(halves)) == printable(halves)


def test_line_ends_stay_where_lines_are_meant() -> None:
    assert printable("a\n\tb\r", lines=True) == "a\n\tb\\r"
    assert printable("a\n\tb") == "a\\n\\tb"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [{"a": -float("inf")}]], ids=str)
def test_what_json_cannot_say_is_refused(value: object) -> None:
    with pytest.raises(InputError, match="finite"):
        json_text(value)
