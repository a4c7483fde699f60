"""Notes and reasons as lines: each once, none wider than a page."""

from __future__ import annotations

from vljepa_apps.tables import notes, shared


def test_what_is_said_of_several_is_said_once() -> None:
    assert shared([("a", "no GPU"), ("b", "no driver"), ("c", "no GPU")]) == ["a, c: no GPU", "b: no driver"]
    assert shared([("", "a text of nobody")]) == ["a text of nobody"]


def test_a_long_text_goes_on_below() -> None:
    lines = shared([("a", "word " * 50)], width=40)
    assert max(map(len, lines)) <= 40
    assert lines[1].startswith("  word")


def test_what_is_noted_of_all_graphs_names_none() -> None:
    told = notes({"x": "built, not run; 3 nodes kept", "y": "built, not run", "z": "built, not run"})
    assert told == ["built, not run", "x: 3 nodes kept"]
    assert notes({"x": "built, not run", "y": ""}) == ["x: built, not run"]
    assert notes({"x": "", "y": ""}) == []
    assert notes({"x": "built, not run"}) == ["x: built, not run"]
