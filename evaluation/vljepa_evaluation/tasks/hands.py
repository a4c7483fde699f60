"""Hand signs: which digit does the hand show, over validation photographs, each shown once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from vljepa_data.world import QA, Clip, HandBank, Split, ask, make_clip
from vljepa_evaluation.tasks.answering import answered
from vljepa_evaluation.tasks.protocol import Evaluable
from vljepa_evaluation.tasks.task import OneQuery, TaskResult

__all__ = ["Hands", "hand_clips"]


def hand_clips(bank: HandBank, first_seed: int) -> Iterator[tuple[int, Clip]]:
    """One clip per photograph, with the seed it was made from.

    Args:
        bank: The photographs.
        first_seed: Where the seeds begin.
    """
    seed = first_seed
    for hand in bank.all:
        alone = HandBank(((hand,),) * 10)
        while True:
            clip = make_clip(seed, Split.TEST, kind="hand", hands=alone)
            seed += 1
            if len(clip.digits) == 1:  # a quarter of the clips change their digit half-way
                yield seed - 1, clip
                break


class Hands(OneQuery):
    """Accuracy among ten digits.

    Args:
        clips: How many photographs are shown.
    """

    name = "hands"
    supply = "hands"

    def __init__(self, clips: int) -> None:
        super().__init__(clips)
        self._qas: list[QA] = []

    def queries(self, clip: Clip, seed: int) -> Sequence[str]:
        """The digit question."""
        if not self.wanted:
            return ()
        self._qas.append(ask(clip, "digit", np.random.default_rng(seed)))
        return (self._qas[-1].question,)

    def result(self, model: Evaluable) -> TaskResult:
        """Rank the ten digits by cosine."""
        return answered(self.name, self._qas, self._predicted, model)
