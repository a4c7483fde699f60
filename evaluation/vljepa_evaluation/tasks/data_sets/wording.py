"""What the Y-decoder says: captions against all their references, answers against the truth."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from vljepa_data.annotations import Example
from vljepa_evaluation.metrics import cider_d, normalise_answer, word_f1
from vljepa_evaluation.tasks.data_sets.shown import Asked, ClipTask, Shown
from vljepa_evaluation.tasks.protocol import Evaluable, worded
from vljepa_evaluation.tasks.task import TaskResult

__all__ = ["Captioning", "OpenAnswers"]

SHOWN = 8
CIDER_SPAN = (0.0, 10.0)


class Captioning(ClipTask):
    """CIDEr-D of a caption against all texts of its clip.

    Args:
        name: In a report.
        examples: Clips with their references.
        prompt: What is asked.
    """

    def __init__(self, name: str, examples: Iterable[Example], prompt: str) -> None:
        super().__init__(name, examples, prompt)
        self._references: list[tuple[str, ...]] = []
        self._videos: list[int] = []

    def _asked(self, clip: Shown, asked: Asked) -> Sequence[str]:
        for examples in asked.values():
            self._references.append(tuple(example.text for example in examples))
            self._videos.append(clip.video)
        return tuple(query for query, _ in asked)

    def result(self, model: Evaluable) -> TaskResult:
        """Decode and score everything."""
        texts = worded(model, self._predicted)
        scores = cider_d(texts, self._references)
        order = np.argsort(scores, kind="stable")[:SHOWN].tolist()
        return TaskResult.of(
            self.name,
            "cider_d",
            {"cider_d": scores},
            spans={"cider_d": CIDER_SPAN},
            note="CIDEr-D on a scale to 10, document frequencies from these references",
            groups=self._videos,
            chosen=tuple(texts),
            truth=tuple(texts[0] for texts in self._references),
            examples=tuple((texts[number], self._references[number][0]) for number in order),
        )


class OpenAnswers(Captioning):
    """Exact match after normalisation, and how many words are right; any of several answers is right."""

    def result(self, model: Evaluable) -> TaskResult:
        """Decode and compare everything."""
        texts = worded(model, self._predicted)
        pairs = list(zip(texts, self._references))
        exact = [normalise_answer(said) in map(normalise_answer, right) for said, right in pairs]
        wrong = [(said, right[0]) for (said, right), hit in zip(pairs, exact) if not hit]
        return TaskResult.of(
            self.name,
            "exact_match",
            {"exact_match": exact, "word_f1": [word_f1(said, right) for said, right in pairs]},
            note="through the Y-decoder; lower case, no punctuation, no articles, numbers as digits",
            groups=self._videos,
            chosen=tuple(texts),
            truth=tuple(" | ".join(right) for right in self._references),
            examples=tuple(wrong[:SHOWN]),
        )
