"""CIDEr-D against pycocoevalcap and against small cases done by hand."""

from __future__ import annotations

import numpy as np
import pytest

from vljepa_evaluation.metrics import CiderD, cider_d, tokenise
from vljepa_runtime.errors import InputError

WORDS = [
    "a",
    "the",
    "red",
    "blue",
    "ball",
    "box",
    "cube",
    "moves",
    "left",
    "right",
    "over",
    "under",
    "and",
    "stops",
    "hand",
    "shows",
    "one",
    "two",
]


def sentences(random: np.random.Generator, count: int) -> list[str]:
    return [" ".join(random.choice(WORDS, size=random.integers(1, 14))) for _ in range(count)]


@pytest.mark.parametrize("seed", range(8))
def test_cider_d_equals_pycocoevalcap(seed) -> None:
    cider = pytest.importorskip("pycocoevalcap.cider.cider")
    random = np.random.default_rng(seed)
    count = int(random.integers(1, 40))
    references = [sentences(random, int(random.integers(1, 5))) for _ in range(count)]
    captions = [
        text if random.random() < 0.5 else own[0] for text, own in zip(sentences(random, count), references)
    ]
    mean, scores = cider.Cider().compute_score(
        dict(enumerate(references)), {index: [text] for index, text in enumerate(captions)}
    )
    ours = cider_d(captions, references)
    assert np.allclose(ours, scores, rtol=1e-9, atol=1e-12)
    assert ours.mean() == pytest.approx(mean)


def test_cider_d_of_equal_and_unrelated_captions() -> None:
    references = [["a red ball rolls to the left"], ["two blue boxes stand still here"]]
    assert cider_d([texts[0] for texts in references], references) == pytest.approx([10, 10])
    assert cider_d(["nothing alike", ""], references).tolist() == [0, 0]


def test_cider_d_scores_with_the_frequencies_of_its_corpus() -> None:
    scorer = CiderD([["a red ball"], ["a blue ball"], ["a green box"]])
    assert scorer.score("a red ball", ["a red ball"]) > scorer.score("a blue ball", ["a red ball"]) > 0


def test_tokenise() -> None:
    assert tokenise("The cat's red-hot, no? (Yes!) 3 x_y") == [
        "the",
        "cat's",
        "red-hot",
        "no",
        "yes",
        "3",
        "x",
        "y",
    ]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: cider_d(["a"], []), "one caption per document"),
        (lambda: cider_d(["a"], [[]]), "at least one reference"),
        (lambda: CiderD([["a"]]).score("a", []), "at least one reference"),
    ],
)
def test_bad_input(build, message) -> None:
    with pytest.raises(InputError, match=message):
        build()
