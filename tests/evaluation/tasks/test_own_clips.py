"""Own clips and texts: whoever sees a clip's brightness knows its text, whoever does not is at chance."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from vljepa_apps.demo.stream import write_video
from vljepa_data.annotations import DataSet, Example, Segment
from vljepa_evaluation.tasks import CannotError, TaskResult, clip_frames, evaluate_data, same_answers
from vljepa_runtime.errors import SourceError
from vljepa_runtime.preprocessing import Clip, Preprocess, Unfitted

PRE = Preprocess(frames=4, size=32, patch=16)
LABELS = ("night", "dusk", "day")
LEVELS = (40, 120, 200)


def vector(text: str) -> npt.NDArray[np.float32]:
    """A unit vector that belongs to a text."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    values = np.random.default_rng(seed).normal(size=64).astype(np.float32)
    return values / np.linalg.norm(values)


class Seeing:
    """Says how bright a clip is."""

    names: Sequence[str] = LABELS

    def encode(self, frames: npt.NDArray[np.uint8] | Clip, /) -> npt.NDArray[np.float32]:
        assert isinstance(frames, Clip)
        return np.array([[np.asarray(frames.frames).mean()]], np.float32)

    def predict(self, visual: npt.NDArray[np.float32], query: str, /) -> npt.NDArray[np.float32]:
        return vector(self.names[int(np.abs(np.array(LEVELS) - visual[0, 0]).argmin())])

    def embed_text(self, texts: Sequence[str], /) -> npt.NDArray[np.float32]:
        return np.stack([vector(text) for text in texts])

    def decode(self, embedding: npt.NDArray[np.float32], /) -> str:
        raise AssertionError("no words are wanted")


class Mistaken(Seeing):
    """Takes night and dusk for each other."""

    names = ("dusk", "night", "day")


class Collapsed(Seeing):
    """All texts are one to it."""

    def embed_text(self, texts: Sequence[str], /) -> npt.NDArray[np.float32]:
        return np.stack([vector("")] * len(texts))


def evaluated(
    model: Seeing,
    pre: Preprocess,
    examples: Sequence[Example],
    progress: Callable[[float, str], None] = lambda share, what: None,
) -> Iterator[TaskResult]:
    """The results for clips of one's own."""
    return evaluate_data(model, pre, DataSet.of("own", examples), progress=progress)


@pytest.fixture
def examples(tmp_path: Path) -> list[Example]:
    """Each of three videos shows its brightness for two seconds; each is annotated in two halves."""
    found = []
    for label, level in zip(LABELS, LEVELS):
        path = tmp_path / f"{label}.mp4"
        write_video([np.full((32, 32, 3), level, np.uint8)] * 16, path, fps=8)
        found += [Example(segment=Segment(path, start_s, start_s + 1), text=label) for start_s in (0.0, 1.0)]
    return found


def test_whoever_sees_scores_everything(examples: list[Example]) -> None:
    shares: list[float] = []
    labels, retrieval = evaluated(Seeing(), PRE, examples, progress=lambda share, what: shares.append(share))
    assert labels.main is not None
    assert (labels.task, labels.main.value, labels.main.n) == ("own/labels", 1.0, 6)
    assert labels.chance == pytest.approx(1 / 3)
    assert labels.groups == (0, 0, 1, 1, 2, 2)
    assert labels.chosen == labels.truth == tuple(example.text for example in examples)
    assert labels.shown[3] == f"{examples[3].segment.path}#t=1,2"
    assert clip_frames(labels.shown[3]).shape == (8, 192, 192, 3)
    assert abs(int(clip_frames(labels.shown[3]).mean()) - LEVELS[1]) < 4
    assert retrieval.shown == ()  # three of six clips are looked for
    assert labels.embeddings.shape == (6, 64)
    assert labels.note == "6 questions about clips of 3 videos, 3 candidates"
    assert retrieval.main is not None
    assert (retrieval.task, retrieval.main.value, retrieval.main.n) == (
        "own/retrieval",
        1.0,
        3,
    )  # distinct texts
    assert set(retrieval.metrics) == {
        "recall_at_1",
        "map",
        "median_rank",
    }  # among three, the first five mean nothing
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_mistakes_and_ties_count(examples: list[Example]) -> None:
    labels, retrieval = evaluated(Mistaken(), PRE, examples)
    assert labels.samples.tolist() == [0, 0, 0, 0, 1, 1]
    assert retrieval.samples.tolist() == [0, 0, 1]
    labels, retrieval = evaluated(Collapsed(), PRE, examples)
    assert (labels.samples.sum(), retrieval.samples.sum()) == (0, 1)  # every text finds the same clip


def test_candidates_are_those_of_the_example_and_any_right_text_is_right(examples: list[Example]) -> None:
    own = [replace(example, candidates=(example.text, "rain")) for example in examples]
    other = [replace(example, text="a dark room", query="Where is it?") for example in examples[:1]]
    second = [replace(examples[0], text="at night")]
    labels, _ = evaluated(Seeing(), PRE, [*own, *other, *second])
    assert labels.note == "7 questions about clips of 3 videos, 2 to 5 candidates"
    assert labels.samples.tolist() == [1, 0, 1, 1, 1, 1, 1]  # "Where is it?" is asked of the first clip too
    assert labels.chance == pytest.approx((1 / 2 + 1 / 5 + 5 / 2) / 7)  # "at night" cannot be chosen


def test_one_label_is_no_choice_and_its_embeddings_are_kept(examples: list[Example]) -> None:
    labels, retrieval = evaluated(Seeing(), PRE, examples[:2])
    assert (labels.metrics, retrieval.metrics) == ({}, {})
    assert labels.note.startswith("skipped: there is one label")
    assert retrieval.note.startswith("skipped: all clips have one text")
    assert same_answers(labels, labels)["cosine"].value == pytest.approx(1.0)
    assert "best_label" not in same_answers(labels, labels)


def test_two_models_agree_where_they_choose_the_same(examples: list[Example]) -> None:
    seeing, mistaken = (next(evaluated(model, PRE, examples)) for model in (Seeing(), Mistaken()))
    found = same_answers(mistaken, seeing)
    assert found["best_label"].value == pytest.approx(1 / 3)
    assert found["best_label"].high - found["best_label"].low > 0.7  # three videos, drawn whole
    expected = (2 * vector("dusk") @ vector("night") + 1) / 3
    assert found["cosine"].value == pytest.approx(float(expected), abs=1e-6)


def test_a_video_that_is_gone_is_an_error(examples: list[Example]) -> None:
    examples[3].segment.path.unlink()
    with pytest.raises(SourceError, match=r"dusk\.mp4"):
        list(evaluated(Seeing(), PRE, examples))


def test_a_model_with_a_processor_of_its_own_gets_frames_as_the_video_has_them(
    examples: list[Example],
) -> None:
    shapes = []

    class Whole(Seeing):
        def encode(self, frames: npt.NDArray[np.uint8] | Clip, /) -> npt.NDArray[np.float32]:
            assert isinstance(frames, Clip)
            shapes.append(frames.frames.shape)
            return np.array([[frames.frames.mean()]], np.float32)

    labels, _ = evaluated(Whole(), Unfitted(frames=4, size=16, patch=16), examples)
    assert set(shapes) == {(4, 32, 32, 3)}
    assert labels.main is not None
    assert labels.main.value == 1.0


class Rating(Seeing):
    """Predicts no embedding: it rates texts for the clip of a number, all of them below the least cosine."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def predict(self, visual: npt.NDArray[np.float32], query: str, /) -> npt.NDArray[np.float32]:
        self.seen.append(self.names[int(np.abs(np.array(LEVELS) - visual[0, 0]).argmin())])
        return np.array([len(self.seen) - 1], np.float32)

    def embed_text(self, texts: Sequence[str], /) -> npt.NDArray[np.float32]:
        raise CannotError("it embeds none")

    def score_texts(
        self, predicted: npt.NDArray[np.float32], texts: Sequence[str], /
    ) -> npt.NDArray[np.float32]:
        right = self.seen[int(predicted[0])]
        return np.array([-3.0 if text == right else -5.0 for text in texts], np.float32)


def test_a_model_that_rates_texts_is_measured_by_that_alone(examples: list[Example]) -> None:
    labels, retrieval = evaluated(Rating(), PRE, examples)
    assert labels.main is not None
    assert labels.main.value == 1.0
    assert [*labels.metrics] == ["accuracy"]  # likelihoods are no margins in cosine
    assert labels.embeddings.size == 0  # and their numbers no embeddings
    assert retrieval.note.startswith("cannot: it embeds none")


def test_it_is_right_where_every_candidate_is(examples: list[Example]) -> None:
    both = [replace(example, candidates=LABELS) for example in examples[:2]]
    either = [replace(both[0], text="night"), *(replace(both[0], text=text) for text in ("dusk", "day"))]
    labels, _ = evaluated(Rating(), PRE, either)
    assert labels.main is not None
    assert labels.main.value == 1.0
