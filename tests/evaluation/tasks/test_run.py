"""The held-out tasks: a model that knows the truth scores 100 %, one that knows nothing is at chance."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pytest

from vljepa_data.world import PROMPTS, QA, Clip, HandBank, Split, Thing, make_clip
from vljepa_data.world.hands import Hand
from vljepa_data.world.language import brief_caption, brief_captions, caption, noun
from vljepa_data.world.vocabulary import COLOURS, COUNTS, DIGITS, SHAPES
from vljepa_evaluation.metrics import mean_of
from vljepa_evaluation.tasks import (
    MARGIN,
    TASKS,
    CannotError,
    TaskResult,
    batches_of,
    clip_frames,
    evaluate,
    expand_tasks,
    run,
)
from vljepa_evaluation.tasks.answering import Answering, blind_guess
from vljepa_evaluation.tasks.hands import hand_clips
from vljepa_runtime.errors import InputError

S = 64
CLIPS = 16


def vector(text: str) -> npt.NDArray[np.float32]:
    """A unit vector that belongs to a text."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    values = np.random.default_rng(seed).normal(size=S).astype(np.float32)
    return values / np.linalg.norm(values)


def key_of(frames: npt.NDArray[np.uint8]) -> bytes:
    return hashlib.sha256(frames.tobytes()).digest()


def true_answer(clip: Clip, query: str) -> str:
    """What a perfect model says."""
    event = clip.events[0] if clip.events else None
    if query in PROMPTS.values():
        level = next(name for name, prompt in PROMPTS.items() if prompt == query)
        if level == "classify" and event:
            return brief_caption(event.actor, event.action)
        return caption(clip.events, level, aside=clip.aside)
    if event is None:
        return DIGITS[clip.digits[0]]
    if query.startswith("How many"):
        return COUNTS[len(clip.things) - 1]
    if query.startswith("Which way"):
        return f"to the {event.direction}"
    if query.startswith("What colour"):
        shape = SHAPES.index(query.split()[-1].rstrip("?"))
        return next(COLOURS[thing.colour] for thing in clip.things if thing.shape == shape)
    if query.startswith("Is there"):
        asked = query.removesuffix("?").removeprefix("Is there ")
        there = {noun(Thing(t.shape, t.colour)) for t in clip.things}
        there |= {f"a {SHAPES[t.shape]}" for t in clip.things} | {
            f"anything {COLOURS[t.colour]}" for t in clip.things
        }
        return "yes" if asked in there else "no"
    return f"the {SHAPES[event.actor.shape]}"


@dataclass
class Oracle:
    """Knows every clip that was made; decodes by remembering what it predicted."""

    clips: dict[bytes, Clip] = field(default_factory=dict)
    said: dict[bytes, str] = field(default_factory=dict)
    encoded: int = 0

    def encode(self, frames: npt.NDArray[np.uint8], /) -> npt.NDArray[np.float32]:
        self.encoded += 1
        return np.frombuffer(key_of(frames), np.uint8).astype(np.float32)[None]

    def predict(self, visual: npt.NDArray[np.float32], query: str, /) -> npt.NDArray[np.float32]:
        clip = self.clips.get(visual[0].astype(np.uint8).tobytes())
        text = true_answer(clip, query) if clip else "nothing"
        z = vector(text)
        self.said[z.tobytes()] = text
        return z

    def embed_text(self, texts: Sequence[str], /) -> npt.NDArray[np.float32]:
        return np.stack([vector(text) for text in texts])

    def decode(self, embedding: npt.NDArray[np.float32], /) -> str:
        return self.said[embedding.tobytes()]


class Ignorant(Oracle):
    """Predicts noise that has nothing to do with the clip."""

    def predict(self, visual: npt.NDArray[np.float32], query: str, /) -> npt.NDArray[np.float32]:
        z = vector(f"{visual[0, :8].tolist()} {query}")
        self.said[z.tobytes()] = "a red ball rolls to the left"
        return z


class Watching(Ignorant):
    """Remembers what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = set[bytes]()

    def encode(self, frames: npt.NDArray[np.uint8], /) -> npt.NDArray[np.float32]:
        self.seen.add(key_of(frames))
        return super().encode(frames)


@pytest.fixture
def oracle(monkeypatch: pytest.MonkeyPatch) -> Oracle:
    model = Oracle()

    def remembered(seed: int, split: Split, *, kind: str | None = None) -> Clip:
        clip = make_clip(seed, split, kind=kind)
        model.clips[key_of(clip.frames)] = clip
        return clip

    monkeypatch.setattr(run, "make_clip", remembered)
    return model


def by_name(results: Iterator[TaskResult]) -> dict[str, TaskResult]:
    return {result.task: result for result in results}


def test_whoever_knows_the_truth_scores_everything(oracle: Oracle) -> None:
    shares: list[float] = []
    results = by_name(evaluate(oracle, clips=CLIPS, progress=lambda share, what: shares.append(share)))
    assert set(results) == set(TASKS)
    for name, result in results.items():
        if name == "hands":
            assert "no folder" in result.note
            assert not result.measured
            continue
        assert result.main is not None, result.note
        assert (result.main.value, result.main.n) == (1.0, CLIPS), name
        assert len(result.samples) == CLIPS
    assert results["classification"].metrics["top1_of_768"].value == 1.0
    assert results["retrieval"].metrics["recall_at_5"].value == 1.0
    assert results["captions"].metrics["cider_d"].value > 1
    assert results["vqa/count"].metrics["blind_constant"].value == pytest.approx(1 / 4)
    assert results["vqa/exists"].metrics["blind_grey_clip"].value < 0.8
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_whoever_knows_nothing_is_at_chance() -> None:
    results = by_name(evaluate(Ignorant(), clips=60, tasks=["classification", "retrieval", "vqa/exists"]))
    assert results["classification"].metrics["top1_of_128"].value <= 0.06
    assert results["retrieval"].metrics["recall_at_1"].value <= 0.09
    assert 0.25 < results["vqa/exists"].metrics["accuracy"].value < 0.75


def test_a_clip_is_encoded_once_for_all_tasks() -> None:
    model = Ignorant()
    list(evaluate(model, clips=10, tasks=["classification", "retrieval", "captions"]))
    assert 10 <= model.encoded <= 14  # pairs are of no use to classification


def test_the_same_clips_for_every_model() -> None:
    first, second = (list(evaluate(Ignorant(), clips=8, tasks=["classification"])) for _ in range(2))
    assert first[0].to_dict() == second[0].to_dict()


def test_other_batches_have_other_clips_and_each_the_same_every_time() -> None:
    def margins(batch: int) -> list[float]:
        (result,) = evaluate(Ignorant(), clips=6, tasks=["classification"], batch=batch)
        return result.scores[MARGIN].tolist()

    batches = [margins(batch) for batch in (0, 1, 2)]
    assert margins(1) == batches[1]
    assert len({value for batch in batches for value in batch}) == 18
    last = batches_of(6) - 1
    assert len(margins(last)) == 6
    with pytest.raises(ValueError, match=rf"expected a batch of 6 clips among 0\.\.{last}, got {last + 1}"):
        margins(last + 1)


def test_batches_are_joined_clip_by_clip() -> None:
    one = TaskResult.of("t", "accuracy", {"accuracy": [1, 0], MARGIN: [0.1, -0.1]}, chance=0.5)
    two = TaskResult.of("t", "accuracy", {"accuracy": [1, 1, 1], MARGIN: [0.2, 0.3, 0.1]}, chance=0.5)
    joined = TaskResult.joined([one, two])
    assert joined.main == mean_of([1, 0, 1, 1, 1])
    assert joined.scores[MARGIN].tolist() == [0.1, -0.1, 0.2, 0.3, 0.1]
    assert TaskResult.joined([one]) is one
    skipped = TaskResult(task="t", note="skipped: no folder")
    assert TaskResult.joined([one, skipped]) is skipped
    with pytest.raises(InputError, match="batches of one task"):
        TaskResult.joined([one, TaskResult(task="u")])
    with pytest.raises(InputError, match="batches of one task"):
        TaskResult.joined([])


@pytest.mark.parametrize("task", ["classification", "composition", "vqa/colour", "vqa/first"])
def test_what_was_said_of_which_clip_is_kept(task: str) -> None:
    """The headline says how often what was chosen is the truth, and the clip that it is about can be looked at."""
    (result,) = evaluate(Ignorant(), clips=CLIPS, tasks=[task])
    assert len(result.chosen) == len(result.truth) == len(result.shown) == CLIPS
    right = [said == truth for said, truth in zip(result.chosen, result.truth)]
    assert right == result.samples.astype(bool).tolist()
    watching = Watching()
    list(evaluate(watching, clips=CLIPS, tasks=[task]))
    assert {key_of(clip_frames(address)) for address in result.shown} <= watching.seen
    joined = TaskResult.joined([result, result])
    assert joined.shown == result.shown * 2


@pytest.mark.parametrize("address", ["world/mixed", "world/other/3", "film.mp4", "film.mp4#t=a,b"])
def test_what_is_no_clip_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="expected a clip such as"):
        clip_frames(address)


def test_a_task_that_fails_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mute(Ignorant):
        def decode(self, embedding: npt.NDArray[np.float32], /) -> str:
            raise RuntimeError("no voice")

    results = by_name(evaluate(Mute(), clips=4, tasks=["captions", "classification"]))
    assert results["captions"].note == "failed: RuntimeError: no voice"
    assert results["classification"].measured


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["all"], tuple(TASKS)),
        (["captions", "vqa/what"], ("vqa/what", "captions")),
        (["vqa"], tuple(name for name in TASKS if name.startswith("vqa/"))),
        ([], ()),
    ],
    ids=["all", "in order", "group", "none"],
)
def test_expand_tasks(names: list[str], wanted: tuple[str, ...]) -> None:
    assert expand_tasks(names) == wanted


def test_unknown_tasks_and_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="got 'vqa/smell'"):
        expand_tasks(["vqa/smell"])
    with pytest.raises(ValueError, match="at least 1 clip"):
        next(evaluate(Ignorant(), clips=0))


@pytest.mark.parametrize(("kind", "answers"), [("exists", 2), ("count", 4)])
def test_answers_are_balanced(kind: str, answers: int) -> None:
    task, given = Answering(kind, 64), Counter[str]()
    seed = 0
    while task.wanted:
        clip = make_clip(seed, Split.TEST)
        for query in task.queries(clip, seed):
            given[true_answer(clip, query)] += 1
            task.take([vector("x")])
        seed += 1
    assert list(given.values()) == [64 // answers] * answers


def test_blind_guess_learns_only_what_was_asked_often() -> None:
    often = [QA("A?", "yes", ("yes", "no"), "x")] * 9 + [QA("A?", "no", ("yes", "no"), "x")] * 1
    seldom = [QA("B?", "no", ("yes", "no"), "x")] * 2
    assert sum(blind_guess(often)) == 9
    assert blind_guess(often + seldom)[-2:] == [0.0, 0.0]


def test_labels_are_distinct() -> None:
    labels = brief_captions()
    assert len(set(labels)) == len(labels) == 768
    assert "a red ball rolls" in labels


def test_each_photograph_is_shown_once() -> None:
    picture = np.full((128, 128, 4), 200, np.uint8)
    bank = HandBank(tuple((Hand(picture, digit),) for digit in range(10)))
    shown = [clip.digits for _, clip in hand_clips(bank, 0)]
    assert shown == [(digit,) for digit in range(10)]


@pytest.mark.slow
def test_hands_are_measured_on_real_photographs(shared_data: object) -> None:
    result = by_name(evaluate(Ignorant(), tasks=["hands"], hands=f"{shared_data}/sign_digits"))["hands"]
    assert result.main is not None
    assert result.main.n == 168
    assert result.main.value < 0.25


def test_a_folder_without_photographs_is_a_reason(tmp_path: object) -> None:
    result = by_name(evaluate(Ignorant(), tasks=["hands"], hands=str(tmp_path)))["hands"]
    assert result.note.startswith("skipped: ")


def test_intervals() -> None:
    values = np.r_[np.ones(80), np.zeros(20)]
    estimate = mean_of(values)
    assert (estimate.value, estimate.n) == (0.8, 100)
    assert 0.7 < estimate.low < 0.8 < estimate.high < 0.9


def test_a_model_that_rates_texts_is_asked_about_the_candidates(oracle: Oracle) -> None:
    asked: list[int] = []

    class Rating(Oracle):
        def predict(self, visual: npt.NDArray[np.float32], query: str, /) -> npt.NDArray[np.float32]:
            z = oracle.predict(visual, query)
            self.said[str(len(self.said)).encode()] = oracle.said[z.tobytes()]
            return np.array([len(self.said) - 1], np.float32)

        def embed_text(self, texts: Sequence[str], /) -> npt.NDArray[np.float32]:
            raise CannotError("it embeds none")

        def score_texts(
            self, predicted: npt.NDArray[np.float32], texts: Sequence[str], /
        ) -> npt.NDArray[np.float32]:
            asked.append(len(texts))
            right = self.said[str(int(predicted[0])).encode()]
            return np.array([-float(text != right) for text in texts], np.float32)

    tasks = ["classification", "vqa/colour", "retrieval"]
    results = by_name(evaluate(Rating(), clips=CLIPS, tasks=tasks))
    for name in tasks[:2]:
        main = results[name].main
        assert main is not None
        assert (main.value, main.n) == (1.0, CLIPS), name
        assert MARGIN not in results[name].metrics
    assert [*results["classification"].metrics] == ["top1_of_128"]
    assert max(asked) == 128
    assert results["retrieval"].note == "cannot: it embeds none"
