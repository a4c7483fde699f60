"""Metrics against pycocoevalcap and against small cases done by hand."""

from __future__ import annotations

import numpy as np
import pytest

from vljepa_evaluation.metrics import (
    Annotation,
    CiderD,
    cider_d,
    f1_of_moments,
    match_annotations,
    mean_of,
    ranks,
    ratio_at_equal_quality,
    tokenise,
)
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


def test_retrieval() -> None:
    similarity = np.array([[0.9, 0.1, 0.2], [0.8, 0.7, 0.1], [0.3, 0.2, 0.1]])
    assert ranks(similarity).tolist() == [0, 1, 2]
    assert ranks(similarity, [0, 0, 1]).tolist() == [0, 0, 1]


def test_a_collapsed_model_retrieves_nothing() -> None:
    assert ranks(np.ones((5, 5))).tolist() == [4] * 5


def test_the_interval_of_a_mean_is_repeatable_and_covers() -> None:
    values = np.random.default_rng(0).normal(2, 1, size=400)
    found = mean_of(values, seed=1)
    assert found == mean_of(values, seed=1)
    assert found.low < values.mean() < found.high
    # the normal approximation is +-1.96 s / sqrt(n)
    assert found.high - found.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)
    assert mean_of([3.0]).low == 3.0


def test_match_annotations_measures_to_the_interval() -> None:
    spans = [(0, 4), (4, 20), (21, 22), (40, 50)]
    annotations = [Annotation(start_s=a, end_s=b, captions=("x",)) for a, b in spans]
    assert match_annotations(np.array([1.0, 6.0, 11.0, 23.0]), annotations).tolist() == [0, 2, 3, 3]
    assert match_annotations(np.array([5.0]), annotations).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("reference", "other", "expected"),
    [
        pytest.param([], [], 1.0, id="none"),
        pytest.param([1.0], [], 0.0, id="missed"),
        pytest.param([1.0, 5.0], [1.5, 5.0], 1.0, id="within-a-stride"),
        pytest.param([1.0, 5.0], [1.6, 5.0], 0.5, id="too-late"),
        pytest.param([1.0], [0.5, 1.0, 1.5], 0.5, id="each-once"),
        pytest.param([1.0, 1.4], [1.2], 2 / 3, id="one-for-two"),
    ],
)
def test_moments_of_decoding(reference: list[float], other: list[float], expected: float) -> None:
    assert f1_of_moments(np.array(reference), np.array(other), within_s=0.5) == pytest.approx(expected)


def points(*pairs: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    rates, quality = np.array(pairs, float).reshape(-1, 2).T
    return rates, quality


@pytest.mark.parametrize(
    ("ours", "uniform", "ratio"),
    [
        pytest.param([(10, 4), (30, 8)], [(30, 4), (90, 8)], 3.0, id="between points"),
        pytest.param([(30, 8), (10, 4)], [(60, 8)], 2.0, id="at a point, any order"),
        pytest.param([(10, 9)], [(60, 8)], 6.0, id="sparsest is enough"),
        pytest.param([(10, 4), (90, 7)], [(60, 8)], None, id="never reached"),
        pytest.param([(10, 9)], [(5, 8), (20, 8)], None, id="rate not measured"),
        pytest.param([], [(60, 8)], None, id="empty"),
    ],
)
def test_ratio_at_equal_quality(ours, uniform, ratio) -> None:
    found = ratio_at_equal_quality(points(*ours), points(*uniform))
    assert found == (None if ratio is None else pytest.approx(ratio))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: cider_d(["a"], []), "one caption per document"),
        (lambda: cider_d(["a"], [[]]), "at least one reference"),
        (lambda: CiderD([["a"]]).score("a", []), "at least one reference"),
        (lambda: ranks(np.full((2, 2), np.nan)), "finite"),
        (lambda: ranks(np.ones((2, 2)), [0, 2]), r"targets in 0\.\.1"),
        (lambda: mean_of([]), "finite values"),
        (lambda: mean_of([1.0, np.inf]), "finite values"),
        (lambda: match_annotations(np.zeros(0), []), "decoded output"),
    ],
)
def test_bad_input(build, message) -> None:
    with pytest.raises(InputError, match=message):
        build()
