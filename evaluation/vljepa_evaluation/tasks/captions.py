"""Captions in words, through the Y-decoder: CIDEr-D against every paraphrase, and which attributes are right."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from vljepa_data.world import PROMPTS, Clip, paraphrases
from vljepa_evaluation.metrics import cider_d
from vljepa_evaluation.tasks.attributes import Description, describe, matches, parse
from vljepa_evaluation.tasks.protocol import Evaluable, worded
from vljepa_evaluation.tasks.task import OneQuery, TaskResult

__all__ = ["Captions"]

SHOWN = 8
CIDER_SPAN = (0.0, 10.0)


class Captions(OneQuery):
    """What the Y-decoder makes of predicted embeddings.

    Args:
        clips: How many are captioned.
    """

    name = "captions"
    supply = "mixed"

    def __init__(self, clips: int) -> None:
        super().__init__(clips)
        self._references: list[tuple[str, ...]] = []
        self._truth: list[Description] = []

    def queries(self, clip: Clip, seed: int) -> Sequence[str]:
        """The paper's captioning prompt."""
        if not self.wanted:
            return ()
        self._references.append(paraphrases(clip.events, "caption"))
        self._truth.append(describe(clip))
        return (PROMPTS["caption"],)

    def result(self, model: Evaluable) -> TaskResult:
        """Decode everything."""
        texts = worded(model, self._predicted)
        scores = cider_d(texts, self._references)
        shares: defaultdict[str, list[float]] = defaultdict(list)
        for text, truth in zip(texts, self._truth):
            for attribute, right in matches(parse(text), truth).items():
                shares[attribute].append(right)
        every = shares.pop("all")
        order = np.argsort(every, kind="stable")[:SHOWN]  # what went wrong comes first
        return TaskResult.of(
            self.name,
            "all_attributes",
            {"all_attributes": every, "cider_d": scores, **shares},
            spans={"cider_d": CIDER_SPAN},
            note="CIDEr-D on a scale to 10, document frequencies from these references; attributes read from the text",
            chosen=tuple(texts),
            truth=tuple(references[0] for references in self._references),
            examples=tuple((texts[i], self._references[i][0]) for i in order),
        )
