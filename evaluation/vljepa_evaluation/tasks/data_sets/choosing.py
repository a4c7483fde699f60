"""Choose the right one of several texts: labels, actions to come, answers to questions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from vljepa_data.annotations import Example, Vocabulary
from vljepa_evaluation.metrics import Estimate, binary_f1, mean_of
from vljepa_evaluation.tasks.data_sets.label_rows import label_rows
from vljepa_evaluation.tasks.data_sets.shown import Asked, ClipTask, Shown
from vljepa_evaluation.tasks.protocol import Evaluable, Float32, Scoring, nearness
from vljepa_evaluation.tasks.task import MARGIN, TaskResult

__all__ = ["Choosing"]

LEAST_COSINE = -1.0
TIE = 1e-6  # what rounding makes of cosines that are equal
KEPT = 2000  # embeddings, to compare two models by
SHOWN = 8
TOP = 5
YES_NO = {"yes", "no"}


@dataclass(frozen=True, slots=True)
class _Question:
    """One query about one clip; any of `right` answers it."""

    right: frozenset[str]
    candidates: tuple[str, ...]
    video: int


class Choosing(ClipTask):
    """Accuracy among candidates: an example's own, else those of a vocabulary, else all texts of the set.

    Answers that are not among the candidates cannot be chosen, and count as wrong.

    Args:
        name: In a report.
        examples: Clips with the right text.
        prompt: The query of examples that have none.
        vocabulary: Labels and templates; its labels stand before the candidates of examples.
        texts: Candidates where nothing else says any.
        by_class: Also the mean over classes of recall at 5, as EPIC-Kitchens-100 counts anticipation.
    """

    def __init__(
        self,
        name: str,
        examples: Iterable[Example],
        prompt: str,
        vocabulary: Vocabulary,
        *,
        texts: tuple[str, ...],
        by_class: bool = False,
    ) -> None:
        super().__init__(name, examples, prompt)
        self._vocabulary, self._texts, self._by_class = vocabulary, texts, by_class
        self._questions: list[_Question] = []

    def _asked(self, clip: Shown, asked: Asked) -> Sequence[str]:
        for examples in asked.values():
            lists = dict.fromkeys(example.candidates for example in examples)
            named = (
                tuple(dict.fromkeys(name for each in lists for name in each))
                if len(lists) > 1
                else next(iter(lists))
            )
            candidates = self._vocabulary.labels or named or self._texts
            right = frozenset(example.text for example in examples)
            self._questions.append(_Question(right, candidates, clip.video))
        return tuple(query for query, _ in asked)

    def result(self, model: Evaluable) -> TaskResult:
        """Rank each question's candidates by cosine; a tie with a wrong one is wrong."""
        videos = tuple(question.video for question in self._questions)
        rates = isinstance(model, Scoring)
        embeddings = np.empty((0, 0), np.float32) if rates else np.stack(self._predicted[:KEPT])
        counts = [len(question.candidates) for question in self._questions]
        if max(counts) < 2:
            return TaskResult(
                task=self.name,
                note="skipped: there is one label, nothing to choose from",
                groups=videos,
                embeddings=embeddings,
            )
        chosen, margins, places = self._choose(model)
        scores = {"accuracy": margins > TIE} | ({} if rates else {MARGIN: margins})
        if min(counts) > TOP:
            scores[f"top{TOP}"] = places < TOP
        result = TaskResult.of(
            self.name,
            "accuracy",
            scores,
            chance=float(
                np.mean([len(q.right & {*q.candidates}) / len(q.candidates) for q in self._questions])
            ),
            note=f"{len(margins)} questions about clips of {len(set(videos))} videos, {_span(counts)} candidates",
            groups=videos,
            chosen=tuple(chosen),
            truth=tuple(" | ".join(sorted(question.right)) for question in self._questions),
            embeddings=embeddings,
            examples=self._wrong(chosen),
        )
        return replace(result, metrics={**result.metrics, **self._further(chosen, places, videos)})

    def _choose(self, model: Evaluable) -> tuple[list[str], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Per question the best candidate, how much nearer the nearest right one is than a wrong one, and its place."""
        least = -np.inf if isinstance(model, Scoring) else LEAST_COSINE
        chosen, margins, places = [], [], []
        for question, scores in zip(self._questions, self._scores(model)):
            right = np.array([name in question.right for name in question.candidates])
            wrong = scores[~right].max() if not right.all() else least
            best = scores[right].max() if right.any() else least
            chosen.append(question.candidates[int(scores.argmax())])
            margins.append(float(best - wrong))
            places.append(int((scores[~right] >= best - TIE).sum()))
        return chosen, np.array(margins), np.array(places)

    def _scores(self, model: Evaluable) -> Iterator[Float32]:
        """Per question how near each candidate is; texts are embedded once for all questions."""
        asked = list(zip(self._questions, self._predicted))
        if isinstance(model, Scoring):
            yield from (nearness(model, predicted, question.candidates) for question, predicted in asked)
            return
        names = list(dict.fromkeys(name for each in {q.candidates for q in self._questions} for name in each))
        index = {name: place for place, name in enumerate(names)}
        rows = label_rows(model, names, self._vocabulary)
        columns = {q.candidates: np.array([index[name] for name in q.candidates]) for q in self._questions}
        for question, predicted in asked:
            picked = columns[question.candidates]
            every = len(picked) == len(rows)
            scores = (rows if every else rows[picked]) @ predicted
            yield scores[picked] if every else scores

    def _further(
        self, chosen: Sequence[str], places: npt.NDArray[np.int64], videos: Sequence[int]
    ) -> dict[str, Estimate]:
        """Figures that are no mean over questions."""
        if all({*question.candidates} == YES_NO for question in self._questions):
            truth = [question.right == {"yes"} for question in self._questions]
            said = [answer == "yes" for answer in chosen]
            return {"f1": binary_f1(truth, said, groups=videos), "yes_ratio": mean_of(said, groups=videos)}
        if not self._by_class:
            return {}
        hits: dict[str, list[float]] = {}
        for question, place in zip(self._questions, places.tolist()):
            for label in question.right:
                hits.setdefault(label, []).append(float(place < TOP))
        return {
            f"class_mean_recall_at_{TOP}": mean_of(
                [float(np.mean(each)) for each in hits.values()], span=(0.0, 1.0)
            )
        }

    def _wrong(self, chosen: Sequence[str]) -> tuple[tuple[str, str], ...]:
        """What was chosen beside the truth, of a few questions that were answered wrongly."""
        pairs = [
            (said, min(question.right))
            for said, question in zip(chosen, self._questions)
            if said not in question.right
        ]
        return tuple(pairs[:SHOWN])


def _span(counts: Sequence[int]) -> str:
    """`8`, or `2 to 8`."""
    low, high = min(counts), max(counts)
    return str(high) if low == high else f"{low} to {high}"
