"""CIDEr-D (Vedantam et al., arXiv 1411.5726): do a caption's n-grams agree with those of its references?

On text that is tokenised alike the scores equal pycocoevalcap's. That package tokenises with a Java program;
`tokenise` is plainer: lower case, words of letters, digits and inner apostrophes or hyphens.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vljepa_runtime.errors import InputError

__all__ = ["CiderD", "cider_d", "tokenise"]

NGRAMS = 4
SIGMA = 6.0  # of the length penalty, in words
WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")

Gram = tuple[str, ...]
Weighted = tuple[list[dict[Gram, float]], list[float], int]


def tokenise(text: str) -> list[str]:
    """Words in lower case without punctuation.

    Examples:
        >>> from vljepa_evaluation.metrics import tokenise
        >>> tokenise("The cat's red-hot, no?")
        ['the', "cat's", 'red-hot', 'no']
    """
    return WORD.findall(text.lower())


class CiderD:
    """Scores captions with the document frequencies of one corpus of references.

    Scores are comparable only within a corpus: build it once and score every model or policy with it.

    Args:
        references: Per document (clip) its reference captions.

    Raises:
        InputError: no document, or one without a reference.

    Examples:
        >>> from vljepa_evaluation.metrics import CiderD
        >>> scorer = CiderD([["a red ball rolls"], ["a blue box jumps"], ["a blue star turns"]])
        >>> [round(scorer.score(text, ["a blue box jumps"]), 1) for text in ("a blue box jumps", "a blue box turns")]
        [10.0, 3.9]
    """

    def __init__(self, references: Sequence[Sequence[str]]) -> None:
        if not references or not all(references):
            raise InputError("expected one document or more, each with at least one reference caption")
        self._frequency: Counter[Gram] = Counter()
        for captions in references:
            self._frequency.update({gram for caption in captions for gram in _grams(caption)})
        self._log_documents = math.log(len(references))
        self._known: dict[str, Weighted] = {}

    def score(self, caption: str, references: Sequence[str]) -> float:
        """CIDEr-D of one caption against its references, 0..10.

        Raises:
            InputError: no reference.
        """
        if not references:
            raise InputError("expected at least one reference caption, got none")
        mine = self._weighted(caption)
        return 10.0 * sum(_similarity(mine, self._weighted(text)) for text in references) / len(references)

    def _weighted(self, caption: str) -> Weighted:
        """TF-IDF weights per n-gram order, their norms, and the length: cached, since captions recur."""
        if caption not in self._known:
            weights: list[dict[Gram, float]] = [{} for _ in range(NGRAMS)]
            length = 0
            for gram, count in _grams(caption).items():
                idf = self._log_documents - math.log(max(1, self._frequency[gram]))
                weights[len(gram) - 1][gram] = count * idf
                length += count if len(gram) == 2 else 0  # the reference code measures length in bigrams
            norms = [math.sqrt(sum(value * value for value in order.values())) for order in weights]
            self._known[caption] = (weights, norms, length)
        return self._known[caption]


def cider_d(captions: Sequence[str], references: Sequence[Sequence[str]]) -> npt.NDArray[np.float64]:
    """CIDEr-D of a test set whose references are also the corpus for document frequencies.

    Args:
        captions: One per document.
        references: One or more per document.

    Returns:
        (N,) float64; the set's score is the mean. Papers often print it times 100.

    Raises:
        InputError: the two differ in length, or a document has no reference.

    Examples:
        >>> from vljepa_evaluation.metrics import cider_d
        >>> cider_d(["a red ball", "a box"], [["a red ball", "a ball"], ["a blue box"]]).round(1)
        array([4.6, 1.7])
    """
    if len(captions) != len(references):
        raise InputError(f"expected one caption per document, got {len(captions)} for {len(references)}")
    scorer = CiderD(references)
    return np.array([scorer.score(caption, texts) for caption, texts in zip(captions, references)])


def _grams(caption: str) -> Counter[Gram]:
    words = tokenise(caption)
    return Counter(
        tuple(words[start : start + order])
        for order in range(1, NGRAMS + 1)
        for start in range(len(words) - order + 1)
    )


def _similarity(caption: Weighted, reference: Weighted) -> float:
    """Mean over n-gram orders of the clipped cosine, times the length penalty."""
    total = 0.0
    for mine, theirs, norm, other in zip(caption[0], reference[0], caption[1], reference[1]):
        overlap = sum(
            min(value, theirs.get(gram, 0.0)) * theirs.get(gram, 0.0) for gram, value in mine.items()
        )
        total += overlap / (norm * other) if norm and other else overlap
    return total / NGRAMS * math.exp(-((caption[2] - reference[2]) ** 2) / (2 * SIGMA**2))
