"""Open-vocabulary classification: name shape, colour and action of what happens, among every such caption."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from vljepa_data.world import ACTIONS, COLOURS, PROMPTS, SHAPES, Clip, brief_caption, brief_captions
from vljepa_evaluation.metrics import ranks
from vljepa_evaluation.tasks.protocol import Evaluable, Float32, Scoring
from vljepa_evaluation.tasks.task import MARGIN, OneQuery, TaskResult

__all__ = ["Classification"]

CANDIDATES = 128
SHOWN = 8


class Classification(OneQuery):
    """Top-1 among 128 captions (the truth and 127 drawn ones) and among all 768.

    Args:
        name: `classification`, or `composition` on combinations never trained on.
        clips: How many are classified.
        supply: Which clips: a key of `run.SUPPLIES`.
    """

    def __init__(self, name: str, clips: int, *, supply: str) -> None:
        self.name = name
        self.supply = supply
        super().__init__(clips)
        self._labels = brief_captions()
        self._index = {label: i for i, label in enumerate(self._labels)}
        self._truth: list[int] = []
        self._seeds: list[int] = []

    def queries(self, clip: Clip, seed: int) -> Sequence[str]:
        """The paper's classification prompt, for clips with one event."""
        if len(clip.events) != 1 or not self.wanted:
            return ()
        event = clip.events[0]
        self._truth.append(self._index[brief_caption(event.actor, event.action)])
        self._seeds.append(seed)
        return (PROMPTS["classify"],)

    def result(self, model: Evaluable) -> TaskResult:
        """Rank the candidates; a model that rates texts itself is asked about the 128 alone."""
        truth = np.array(self._truth)
        few = np.stack([_with_distractors(t, seed, len(self._labels)) for t, seed in zip(truth, self._seeds)])
        if isinstance(model, Scoring):
            rated = [
                model.score_texts(z, [self._labels[i] for i in row]) for z, row in zip(self._predicted, few)
            ]
            return self._result(few, np.stack(rated), {})
        scores = np.stack(self._predicted) @ model.embed_text(self._labels).T
        margins, best = _margins(near := np.take_along_axis(scores, few, axis=1)), scores.argmax(axis=1)
        more = {MARGIN: margins, f"top1_of_{len(self._labels)}": ranks(scores, truth) == 0}
        return self._result(few, near, more | self._parts(best, truth), best)

    def _result(
        self,
        few: npt.NDArray[np.int64],
        nearness: Float32,
        more: Mapping[str, npt.ArrayLike],
        best: npt.NDArray[np.int64] | None = None,
    ) -> TaskResult:
        """Of the labels' numbers (n, 128), the truth first, how near they are, and further metrics."""
        truth = np.array(self._truth)
        nearest = few[np.arange(len(few)), nearness.argmax(axis=1)]
        best = nearest if best is None else best
        wrong = [i for i in range(len(truth)) if best[i] != truth[i]][:SHOWN]
        return TaskResult.of(
            self.name,
            f"top1_of_{CANDIDATES}",
            {f"top1_of_{CANDIDATES}": _margins(nearness) > 0, **more},
            chance=1 / CANDIDATES,
            note=f"top1_of_{CANDIDATES}: the truth and {CANDIDATES - 1} drawn; top1_of_{len(self._labels)}: all",
            chosen=tuple(self._labels[i] for i in nearest),
            truth=tuple(self._labels[i] for i in truth),
            examples=tuple((self._labels[best[i]], self._labels[truth[i]]) for i in wrong),
        )

    def _parts(
        self, best: npt.NDArray[np.int64], truth: npt.NDArray[np.int64]
    ) -> dict[str, npt.NDArray[np.bool_]]:
        """How often each attribute of the best of all captions is right."""
        sizes = (len(SHAPES), len(COLOURS), len(ACTIONS))
        got, wanted = np.unravel_index(best, sizes), np.unravel_index(truth, sizes)
        names = ("shape", "colour", "action")
        return {name: g == w for name, g, w in zip(names, got, wanted)}


def _with_distractors(truth: int, seed: int, total: int) -> npt.NDArray[np.int64]:
    """The truth, then distinct others drawn by the clip's seed."""
    others = np.random.default_rng([7, seed]).permutation(total)
    return np.concatenate([[truth], others[others != truth][: CANDIDATES - 1]])


def _margins(nearness: Float32) -> Float32:
    """How much nearer the first of each row is than the best other one: (n,)."""
    margins: Float32 = nearness[:, 0] - nearness[:, 1:].max(axis=1)
    return margins
