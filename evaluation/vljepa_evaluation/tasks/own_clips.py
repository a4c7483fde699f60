"""Clips and texts of one's own: which label is right, which clip a text means, and how far two models agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vljepa_data.annotations import Example, Segment, by_segment, read_segment
from vljepa_data.world import PROMPTS
from vljepa_evaluation.metrics import Estimate, mean_of, ranks, row_cosines
from vljepa_evaluation.tasks.protocol import Evaluable, Float32
from vljepa_evaluation.tasks.run import measure_tasks
from vljepa_evaluation.tasks.shown import own_address
from vljepa_evaluation.tasks.task import MARGIN, OneQuery, TaskResult
from vljepa_runtime.preprocessing import Clip, Preprocess

__all__ = ["OwnClip", "evaluate_own", "same_answers"]

RECALLS = (1, 5)
LEAST_COSINE = -1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnClip:
    """One clip with all that was said of it.

    Attributes:
        frames: As the model's preprocessing takes it.
        examples: At least one.
        video: Number of its file; clips of one file are not independent.
    """

    frames: Clip
    examples: tuple[Example, ...]
    video: int


@dataclass(frozen=True, slots=True)
class _Question:
    """One query about one clip; any of `right` answers it."""

    right: frozenset[str]
    candidates: tuple[str, ...]
    video: int


def evaluate_own(
    model: Evaluable,
    pre: Preprocess,
    examples: Sequence[Example],
    *,
    progress: Callable[[float, str], None] = lambda share, what: None,
) -> Iterator[TaskResult]:
    """Measure a model on annotated clips.

    Args:
        model: Anything that encodes, predicts and embeds texts.
        pre: How its clips are read.
        examples: Texts about clips; at least one.
        progress: Called with the share done (0..1) and what is being done.

    Yields:
        `own/labels`: accuracy among each example's candidates, all distinct texts where it names none; with the
        chosen candidate and the embedding of every question, for `same_answers`. `own/retrieval`: text to video.

    Raises:
        SourceError: a video cannot be read.
    """
    groups = by_segment(examples)
    texts = tuple(dict.fromkeys(example.text for example in examples))
    tasks: tuple[Labels | OwnRetrieval, ...] = (Labels(len(groups), texts), OwnRetrieval(len(groups)))

    def report() -> None:
        progress(1 - tasks[0].wanted / len(groups), "clips" if tasks[0].wanted else "ranking")

    segments = list(groups)
    yield from measure_tasks(
        model, tasks, _clips(groups, pre), report, address=lambda number: own_address(segments[number])
    )


def same_answers(mine: TaskResult, other: TaskResult) -> dict[str, Estimate]:
    """How far two models say the same of the same clips, whether right or wrong.

    Args:
        mine: A task of one model.
        other: The same of another, on the same clips.

    Returns:
        `best_label`, share of samples with the same best candidate or words; `cosine`, mean of the cosines of
        both embeddings. Either is missing where it was not measured, or cannot be compared.
    """
    found = {}
    if mine.chosen and len(mine.chosen) == len(other.chosen):
        same = [a == b for a, b in zip(mine.chosen, other.chosen)]
        found["best_label"] = mean_of(same, groups=mine.groups or None)
    if mine.embeddings.size and mine.embeddings.shape == other.embeddings.shape:
        found["cosine"] = mean_of(row_cosines(mine.embeddings, other.embeddings), groups=mine.groups or None)
    return found


def _clips(groups: Mapping[Segment, tuple[Example, ...]], pre: Preprocess) -> Iterator[tuple[int, OwnClip]]:
    """Each clip, read when it is its turn."""
    videos = {path: number for number, path in enumerate(dict.fromkeys(each.path for each in groups))}
    for number, (segment, examples) in enumerate(groups.items()):
        frames = read_segment(segment, pre)
        yield number, OwnClip(frames=frames, examples=examples, video=videos[segment.path])


class Labels:
    """Accuracy among own candidates, every distinct query of a clip asked once.

    Args:
        clips: How many there are.
        texts: Candidates of those examples that name none.
    """

    name = "own/labels"
    supply = "own"

    def __init__(self, clips: int, texts: tuple[str, ...]) -> None:
        self.wanted = clips
        self._texts = texts
        self._questions: list[_Question] = []
        self._predicted: list[Float32] = []

    def queries(self, clip: OwnClip, number: int, /) -> Sequence[str]:
        """Each query once; all texts of a clip that answer one query are right."""
        asked: dict[str, list[Example]] = {}
        for example in clip.examples:
            (question,) = example.asked(PROMPTS, "classify")
            asked.setdefault(question.query, []).append(example)
        for examples in asked.values():
            named = tuple(dict.fromkeys(name for example in examples for name in example.candidates))
            right = frozenset(example.text for example in examples)
            self._questions.append(_Question(right, named or self._texts, clip.video))
        return tuple(asked)

    def take(self, embeddings: Sequence[Float32]) -> None:
        """Keep those of one clip."""
        self._predicted += embeddings
        self.wanted -= 1

    def result(self, model: Evaluable) -> TaskResult:
        """Rank each question's candidates by cosine; a tie with a wrong one is wrong."""
        videos = tuple(question.video for question in self._questions)
        unlabelled = TaskResult(
            task=self.name,
            note="skipped: there is one label, nothing to choose from",
            groups=videos,
            embeddings=np.stack(self._predicted),
        )
        counts = [len(question.candidates) for question in self._questions]
        if max(counts) < 2:
            return unlabelled
        chosen, margins = self._choose(model)
        return TaskResult.of(
            self.name,
            "accuracy",
            {"accuracy": margins > 0, MARGIN: margins},
            chance=float(np.mean([len(q.right) / len(q.candidates) for q in self._questions])),
            note=f"{len(margins)} questions about clips of {len(set(videos))} videos, {_span(counts)} candidates",
            groups=videos,
            chosen=tuple(chosen),
            truth=tuple(" | ".join(sorted(question.right)) for question in self._questions),
            embeddings=unlabelled.embeddings,
        )

    def _choose(self, model: Evaluable) -> tuple[list[str], npt.NDArray[np.float64]]:
        """Per question the best candidate, and how much nearer the nearest right one is than any wrong one."""
        names = list(dict.fromkeys(name for question in self._questions for name in question.candidates))
        index, rows = {name: place for place, name in enumerate(names)}, model.embed_text(names)
        chosen, margins = [], []
        for question, predicted in zip(self._questions, self._predicted):
            scores = rows[[index[name] for name in question.candidates]] @ predicted
            right = np.array([name in question.right for name in question.candidates])
            wrong = scores[~right].max() if not right.all() else LEAST_COSINE
            chosen.append(question.candidates[int(scores.argmax())])
            margins.append(float(scores[right].max() - wrong))
        return chosen, np.array(margins)


class OwnRetrieval(OneQuery):
    """Text to video: the first text of each clip is looked for among all; of clips whose texts are one, the first.

    Args:
        clips: How many there are.
    """

    name = "own/retrieval"
    supply = "own"

    def __init__(self, clips: int) -> None:
        super().__init__(clips)
        self._pool: dict[str, tuple[int, str, int]] = {}  # by meaning: number of the clip, first text, video

    def queries(self, clip: OwnClip, number: int, /) -> Sequence[str]:
        """The query that the first text answers."""
        first = clip.examples[0]
        self._pool.setdefault(" ".join(first.text.lower().split()), (number, first.text, clip.video))
        return (first.asked(PROMPTS, "caption")[0].query,)

    def result(self, model: Evaluable) -> TaskResult:
        """Rank the clips of the pool for each of its texts."""
        numbers, texts, videos = zip(*self._pool.values())
        pool = len(texts)
        if pool < 2:
            return TaskResult(task=self.name, note="skipped: all clips have one text, nothing to find")
        places = ranks(model.embed_text(texts) @ np.stack([self._predicted[n] for n in numbers]).T)
        hits = {k: (places < k).astype(float) for k in RECALLS if k < pool}
        return TaskResult.of(
            self.name,
            "recall_at_1",
            {f"recall_at_{k}": values for k, values in hits.items()},
            chance=1 / pool,
            note=f"one pool of {pool} clips with distinct first texts, text to video",
            groups=videos,
        )


def _span(counts: Sequence[int]) -> str:
    """`8`, or `2 to 8`."""
    low, high = min(counts), max(counts)
    return str(high) if low == high else f"{low} to {high}"
