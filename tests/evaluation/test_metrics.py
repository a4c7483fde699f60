"""Metrics against pycocoevalcap and against small cases done by hand."""

from __future__ import annotations

import numpy as np
import pytest

from vljepa_evaluation.metrics import (
    Annotation,
    CiderD,
    CurvePoint,
    EmbeddingStream,
    bootstrap_interval,
    cider_d,
    match_annotations,
    quality_curve,
    ranks,
    ratio_at_equal_quality,
    recall_at_k,
    tokenise,
    top1,
)
from vljepa_runtime.errors import InputError
from vljepa_runtime.selection import EveryWindow, OfflineWard, OnlineSelection, Uniform

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
    assert [recall_at_k(similarity, k) for k in (1, 2, 3)] == pytest.approx([1 / 3, 2 / 3, 1])
    assert top1(similarity, [0, 0, 1]) == pytest.approx(2 / 3)


def test_a_collapsed_model_retrieves_nothing() -> None:
    assert recall_at_k(np.ones((5, 5)), 4) == 0


def test_bootstrap_interval_is_repeatable_and_covers() -> None:
    values = np.random.default_rng(0).normal(2, 1, size=400)
    interval = bootstrap_interval(values, 1)
    assert interval == bootstrap_interval(values, 1)
    assert interval.low < values.mean() < interval.high
    # the normal approximation is +-1.96 s / sqrt(n)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)
    assert bootstrap_interval([3.0], 0).low == 3.0


def test_match_annotations_measures_to_the_interval() -> None:
    spans = [(0, 4), (4, 20), (21, 22), (40, 50)]
    annotations = [Annotation(start_s=a, end_s=b, captions=("x",)) for a, b in spans]
    assert match_annotations(np.array([1.0, 6.0, 11.0, 23.0]), annotations).tolist() == [0, 2, 3, 3]
    assert match_annotations(np.array([5.0]), annotations).tolist() == [0, 0, 0, 0]


def stream(seed: int, lengths: list[int]) -> EmbeddingStream:
    ends = np.cumsum(lengths)
    keys = np.arange(len(lengths))
    embeddings = np.eye(16)[np.repeat(keys, lengths)]
    embeddings = embeddings + 0.02 * np.random.default_rng(seed).normal(size=embeddings.shape)
    annotations = tuple(
        Annotation(start_s=end - length, end_s=end - 1, captions=(caption(key),))
        for key, length, end in zip(keys.tolist(), lengths, ends.tolist())
    )
    return EmbeddingStream(times_s=np.arange(ends[-1]) * 1.0, embeddings=embeddings, annotations=annotations)


def caption(key: int) -> str:
    return f"w{key} moves q{key} times"


def test_quality_curve_prefers_policies_that_follow_the_events() -> None:
    streams = [stream(0, [5, 9, 30, 4, 12]), stream(1, [20, 3, 3, 14, 20])]
    calls: list[bytes] = []

    def decode(embedding: np.ndarray) -> str:
        calls.append(embedding.tobytes())
        return caption(int(embedding.argmax()))

    policies = {"online": OnlineSelection(), "ward": OfflineWard(5), "every": EveryWindow()}
    uniform = {f"uniform:{s}": Uniform(s) for s in (1, 2, 6, 12, 24)}
    curve = quality_curve(policies | uniform, streams, decode)
    by_name = {point.name: point for point in curve}
    assert [p.per_minute for p in curve] == sorted(p.per_minute for p in curve)
    assert by_name["online"].per_minute == by_name["ward"].per_minute == pytest.approx(5)
    assert by_name["every"].per_minute == pytest.approx(60)
    assert by_name["online"].quality == by_name["ward"].quality == pytest.approx(10)
    assert by_name["uniform:12"].quality < 9
    assert by_name["online"].per_stream == pytest.approx((10, 10))
    assert len(calls) == len(set(calls))
    plain = [point for point in curve if point.name.startswith("uniform")]
    assert ratio_at_equal_quality([by_name["online"]], plain) == pytest.approx(12)


def points(*pairs: tuple[float, float]) -> list[CurvePoint]:
    return [CurvePoint(name="p", per_minute=rate, quality=value, per_stream=()) for rate, value in pairs]


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
        (lambda: top1(np.ones((2, 2)), [0, 2]), r"targets in 0\.\.1"),
        (lambda: recall_at_k(np.ones((2, 2)), 0), "k of 1 or more"),
        (lambda: bootstrap_interval([], 0), "finite values"),
        (lambda: bootstrap_interval([1.0], 0, confidence=95), "confidence in 0..1"),
        (lambda: match_annotations(np.zeros(0), []), "decoded output"),
        (lambda: quality_curve({}, [], str), "one stream or more"),
    ],
)
def test_bad_input(build, message) -> None:
    with pytest.raises(InputError, match=message):
        build()
