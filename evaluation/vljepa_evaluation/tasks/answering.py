"""Visual question answering, one task per type of question, balanced so that a blind guess scores chance."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from math import ceil

import numpy as np
import numpy.typing as npt

from vljepa_data.world import BRIEF, COLOURS, QA, SHAPES, Clip, ask, question_types
from vljepa_evaluation.tasks.protocol import Evaluable, Float32, Scoring, nearness
from vljepa_evaluation.tasks.task import MARGIN, OneQuery, TaskResult

__all__ = ["QUESTIONS", "Answering", "blind_guess", "grey_clip"]

# Different wordings per type: what they ask about is balanced together with the answers.
QUESTIONS = {
    "what": len(BRIEF),
    "colour": len(SHAPES),
    "count": 1,
    "presence": len(SHAPES) + len(COLOURS),
    "exists": len(SHAPES) * len(COLOURS),
    "direction": len(SHAPES),
    "first": 1,
}
SUPPLIES = {"first": "pair"}
TRIES = 4
LEARNABLE = 4  # askings per candidate


class Answering(OneQuery):
    """Accuracy among a question's candidates, beside two blind baselines.

    Every (question, answer) pair is asked equally often, as far as the clips allow.

    Args:
        kind: What is asked for, a key of QUESTIONS.
        clips: How many are asked about, one question each.
    """

    def __init__(self, kind: str, clips: int) -> None:
        self.name = f"vqa/{kind}"
        self.supply = SUPPLIES.get(kind, "mixed")
        super().__init__(clips)
        self._kind = kind
        self._clips = clips
        self._asked: Counter[tuple[str, str]] = Counter()
        self._answers: Counter[str] = Counter()
        self._qas: list[QA] = []

    def queries(self, clip: Clip, seed: int) -> Sequence[str]:
        """One question whose answer is still wanted."""
        if not self.wanted or self._kind not in question_types(clip):
            return ()
        for attempt in range(TRIES):
            qa = ask(clip, self._kind, np.random.default_rng([11, seed, attempt]))
            if self._is_wanted(qa):
                self._qas.append(qa)
                return (qa.question,)
        return ()

    def _is_wanted(self, qa: QA) -> bool:
        """Whether this answer, and this answer to this question, may be asked once more."""
        answers, wordings = len(qa.candidates), QUESTIONS[self._kind]
        return self._answers[qa.answer] < ceil(self._clips / answers) and self._asked[
            qa.question, qa.answer
        ] < ceil(self._clips / answers / wordings)

    def take(self, embeddings: Sequence[Float32]) -> None:
        """The question was asked: it and its answer count."""
        super().take(embeddings)
        self._asked[self._qas[-1].question, self._qas[-1].answer] += 1
        self._answers[self._qas[-1].answer] += 1

    def result(self, model: Evaluable) -> TaskResult:
        """Rank the candidates by cosine; ask a grey clip the same questions."""
        return answered(self.name, self._qas, self._predicted, model)


def answered(name: str, qas: Sequence[QA], predicted: Sequence[Float32], model: Evaluable) -> TaskResult:
    """Score predictions against candidates.

    Args:
        name: The task's name in the report.
        qas: Questions with their candidates and answers.
        predicted: Embedding (S,) per question.
        model: For its texts, and for what it says of a grey clip.
    """
    grey = model.encode(grey_clip())
    unseen = {
        question: model.predict(grey, question) for question in dict.fromkeys(qa.question for qa in qas)
    }
    scores = [nearness(model, z, qa.candidates) for z, qa in zip(predicted, qas)]
    margins = np.array([_margin(near, qa) for near, qa in zip(scores, qas)])
    blank = [_margin(nearness(model, unseen[qa.question], qa.candidates), qa) for qa in qas]
    chance = float(np.mean([1 / len(qa.candidates) for qa in qas]))
    return TaskResult.of(
        name,
        "accuracy",
        {
            "accuracy": margins > 0,
            **({} if isinstance(model, Scoring) else {MARGIN: margins}),
            "blind_constant": blind_guess(qas),
            "blind_grey_clip": np.array(blank) > 0,
        },
        chosen=tuple(qa.candidates[int(near.argmax())] for near, qa in zip(scores, qas)),
        truth=tuple(qa.answer for qa in qas),
        chance=chance,
        note="blind_constant: the best fixed answer per question; blind_grey_clip: the model sees no video",
    )


def blind_guess(qas: Sequence[QA]) -> list[float]:
    """Score of whoever knows the question, not the clip, and always gives its most frequent answer here.

    Where a question was asked too seldom to learn from, the most frequent answer to all is given instead.
    """
    answers: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for qa in qas:
        answers[qa.question][qa.answer] += 1
    overall = Counter(qa.answer for qa in qas).most_common(1)[0][0]
    enough = {qa.question: LEARNABLE * len(qa.candidates) for qa in qas}
    best = {
        question: count.most_common(1)[0][0] if count.total() >= enough[question] else overall
        for question, count in answers.items()
    }
    return [float(best[qa.question] == qa.answer) for qa in qas]


def grey_clip(size: int = 96, frames: int = 8) -> npt.NDArray[np.uint8]:
    """Frames (T, S, S, 3) that show nothing."""
    return np.full((frames, size, size, 3), 128, np.uint8)


def _margin(scores: Float32, qa: QA) -> float:
    """How much nearer the answer is than the best other candidate; 0 counts as wrong."""
    right = qa.candidates.index(qa.answer)
    return float(scores[right] - np.delete(scores, right).max())
