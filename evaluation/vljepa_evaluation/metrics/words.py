"""How many words of a text are those of a reference: F1 as question answering counts it (SQuAD, arXiv 1606.05250)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from vljepa_evaluation.metrics.cider import tokenise
from vljepa_runtime.errors import InputError

__all__ = ["word_f1"]


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
