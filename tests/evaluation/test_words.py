"""F1 of words, counted by hand."""

from __future__ import annotations

import pytest

from vljepa_evaluation.metrics import word_f1
from vljepa_runtime.errors import InputError


@pytest.mark.parametrize(
    ("text", "references", "score"),
    [
        ("a man falls", ["A man falls."], 1.0),
        ("a man", ["a man falls"], 0.8),
        ("a a a", ["a man falls"], 1 / 3),
        ("falls", ["nobody", "a man falls"], 0.5),
        ("", ["a man"], 0.0),
        ("!", ["?"], 0.0),
    ],
)
def test_shares_of_words(text: str, references: list[str], score: float) -> None:
    assert word_f1(text, references) == pytest.approx(score)


def test_no_reference_is_refused() -> None:
    with pytest.raises(InputError, match="at least one reference"):
        word_f1("a man", [])
