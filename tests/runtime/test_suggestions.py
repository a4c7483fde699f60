"""Mistyped words and what was meant."""

from __future__ import annotations

import pytest

from vljepa_runtime.suggestions import did_you_mean


@pytest.mark.parametrize(
    ("word", "told"),
    [("onx", ": did you mean `onnx`?"), ("zzz", ""), ("", ""), ("opnvino", ": did you mean `openvino`?")],
)
def test_the_closest_word_is_named(word: str, told: str) -> None:
    assert did_you_mean(word, ("onnx", "openvino"), lead=": ", form="`{}`") == told
