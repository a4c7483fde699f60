"""Retrieval both ways: the clip of a text among all clips, the texts of a clip among all texts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from vljepa_data.annotations import Example
from vljepa_evaluation.metrics import average_precision, median_of, ranks
from vljepa_evaluation.tasks.data_sets.shown import Asked, ClipTask, Shown
from vljepa_evaluation.tasks.protocol import Evaluable, Float32
from vljepa_evaluation.tasks.task import TaskResult

__all__ = ["TextToVideo", "VideoToText"]

RECALLS = (1, 5, 10)
AT_ONCE = 512
FEW = 64  # clips beside all texts, of which there may be 60,000


class TextToVideo(ClipTask):
    """Recall at 1, 5 and 10, median rank and mean average precision; every text of every clip is looked for.

    Args:
        name: In a report.
        examples: Clips with their texts.
        prompt: What every clip is asked.
        distinct: Of clips whose first texts are the same, take the first clip and its first text alone: of one's own
            clips, whose texts are often labels.
    """

    def __init__(
        self, name: str, examples: Iterable[Example], prompt: str, *, distinct: bool = False
    ) -> None:
        super().__init__(name, examples, prompt)
        self._distinct = distinct
        self._texts: list[tuple[str, ...]] = []
        self._videos: list[int] = []

    def _asked(self, clip: Shown, asked: Asked) -> Sequence[str]:
        query, _ = next(iter(asked))
        texts = tuple(dict.fromkeys(example.text for example in self.about[clip.segment]))
        self._texts.append(texts[:1] if self._distinct else texts)
        self._videos.append(clip.video)
        return (query,)

    def result(self, model: Evaluable) -> TaskResult:
        """Rank the clips for each text."""
        texts, owners, pool = self._pool(model)
        if len(pool) < 2:
            return TaskResult(task=self.name, note="skipped: all clips have one text, nothing to find")
        parts = [slice(start, start + AT_ONCE) for start in range(0, len(texts), AT_ONCE)]
        places = np.concatenate([ranks(texts[part] @ pool.T, owners[part]) for part in parts])
        videos = self._numbers()
        result = TaskResult.of(
            self.name,
            "recall_at_1",
            {f"recall_at_{k}": places < k for k in RECALLS if k < len(pool)} | {"map": 1 / (places + 1)},
            chance=1 / len(pool),
            note=self._note(len(texts), len(pool), "text to video"),
            groups=[videos[owner] for owner in owners],
        )
        return _with_median(result, places)

    def _kept(self) -> list[int]:
        """Numbers of the clips of the pool."""
        if not self._distinct:
            return list(range(len(self._texts)))
        first: dict[str, int] = {}
        for number, texts in enumerate(self._texts):
            first.setdefault(" ".join(texts[0].lower().split()), number)
        return list(first.values())

    def _numbers(self) -> list[int]:
        return [self._videos[number] for number in self._kept()]

    def _pool(self, model: Evaluable) -> tuple[Float32, npt.NDArray[np.int64], Float32]:
        """Texts (Q, S), the clip of each (Q,), clips (N, S)."""
        kept = self._kept()
        flat = [text for number in kept for text in self._texts[number]]
        owners = np.repeat(np.arange(len(kept)), [len(self._texts[number]) for number in kept])
        parts = [model.embed_text(flat[start : start + AT_ONCE]) for start in range(0, len(flat), AT_ONCE)]
        return np.concatenate(parts), owners, np.stack([self._predicted[number] for number in kept])

    def _note(self, texts: int, clips: int, way: str) -> str:
        if self._distinct:
            return f"one pool of {clips} clips with distinct first texts, {way}"
        return f"one pool of {clips} clips and {texts} texts, {way}"


class VideoToText(TextToVideo):
    """The same the other way: the nearest of a clip's texts counts for recall and rank, all of them for precision."""

    def result(self, model: Evaluable) -> TaskResult:
        """Rank the texts for each clip."""
        texts, owners, pool = self._pool(model)
        if len(pool) < 2:
            return TaskResult(task=self.name, note="skipped: all clips have one text, nothing to find")
        places, precision = [], []
        for start in range(0, len(pool), FEW):
            for number, scores in enumerate(pool[start : start + FEW] @ texts.T, start):
                own = owners == number
                places.append(int((scores[~own] >= scores[own].max()).sum()))
                precision.append(average_precision(scores, own))
        hits = np.array(places)
        result = TaskResult.of(
            self.name,
            "recall_at_1",
            {f"recall_at_{k}": hits < k for k in RECALLS if k < len(texts)} | {"map": precision},
            chance=float(np.mean(np.bincount(owners) / len(texts))),
            note=self._note(len(texts), len(pool), "video to text"),
            groups=self._numbers(),
        )
        return _with_median(result, hits)


def _with_median(result: TaskResult, places: npt.NDArray[np.int64]) -> TaskResult:
    return replace(result, metrics={**result.metrics, "median_rank": median_of(places + 1)})
