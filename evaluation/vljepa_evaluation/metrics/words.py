"""How many words of a text are those of a reference: F1 as question answering counts it (SQuAD, arXiv 1606.05250)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from vljepa_evaluation.metrics.cider import tokenise
from vljepa_runtime.errors import InputError

__all__ = ["normalise_answer", "word_f1"]

ARTICLES = {"a", "an", "the"}
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
DIGITS = {"none": "0"} | {name: str(number) for number, name in enumerate(NUMBERS)}


def normalise_answer(text: str) -> str:
    """An answer as it is compared: lower case, without punctuation and articles, small numbers as digits.

    As the VQA evaluation does (arXiv 1505.00468), but for its list of contractions.

    Examples:
        >>> from vljepa_evaluation.metrics import normalise_answer
        >>> normalise_answer("The Two dogs."), normalise_answer("2 dogs")
        ('2 dogs', '2 dogs')
    """
    words = [DIGITS.get(word, word) for word in tokenise(text)]
    return " ".join(word for word in words if word not in ARTICLES)


def word_f1(text: str, references: Sequence[str]) -> float:
    """Harmonic mean of precision and recall of words, in any order, against the reference that fits best: 0..1.

    Raises:
        InputError: no reference.

    Examples:
        >>> from vljepa_evaluation.metrics import word_f1
        >>> word_f1("a man falls", ["A man sits.", "nobody"])
        0.6666666666666666
    """
    if not references:
        raise InputError("expected at least one reference text, got none")
    return max(_f1(Counter(tokenise(text)), Counter(tokenise(reference))) for reference in references)


def _f1(said: Counter[str], meant: Counter[str]) -> float:
    total = said.total() + meant.total()
    return 2 * (said & meant).total() / total if total else 0.0
