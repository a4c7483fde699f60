"""Same meaning or same words? Two texts that say the same against one that does not (SugarCrepe++, VISLA)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vljepa_data.annotations import Contrast
from vljepa_evaluation.metrics import mean_of
from vljepa_evaluation.tasks.data_sets.shown import Asked, ClipTask, Shown
from vljepa_evaluation.tasks.protocol import Evaluable, Float32
from vljepa_evaluation.tasks.task import MARGIN, TaskResult

__all__ = ["Contrasting"]

AT_ONCE = 256


class Contrasting(ClipTask):
    """Text to text: both sides of the pair are nearer to each other than to the third text; image to text: the picture
    is nearer to both (arXiv 2406.11171). A tie is wrong.

    Args:
        name: In a report.
        contrasts: Texts with pictures, of which some or all may be missing.
        prompt: What is asked of a picture.
    """

    def __init__(self, name: str, contrasts: Sequence[Contrast], prompt: str) -> None:
        super().__init__(name, (), prompt)
        self._contrasts = tuple(contrasts)
        segments = dict.fromkeys(each.segment for each in contrasts)
        self.about = {segment: () for segment in segments if segment.path.is_file()}
        self.wanted = len(self.about)
        self._seen: list[Shown] = []

    def _asked(self, clip: Shown, asked: Asked) -> Sequence[str]:
        self._seen.append(clip)
        return (self._prompt,)

    def result(self, model: Evaluable) -> TaskResult:
        """Compare the texts with each other, and with what was predicted of their pictures."""
        columns = [
            _embedded(model, [each.same[0] for each in self._contrasts]),
            _embedded(model, [each.same[1] for each in self._contrasts]),
            _embedded(model, [each.other for each in self._contrasts]),
        ]
        first, second, other = columns
        together = (first * second).sum(axis=1)
        apart = np.maximum((first * other).sum(axis=1), (second * other).sum(axis=1))
        pictures = {each.segment: number for number, each in enumerate(self._contrasts)}
        result = TaskResult.of(
            self.name,
            "text_to_text",
            {"text_to_text": together > apart, MARGIN: together - apart},
            note=f"{len(self._contrasts)} contrasts, {len(self._seen)} of {len(pictures)} pictures",
            groups=[pictures[each.segment] for each in self._contrasts],
        )
        return self._with_pictures(result, columns)

    def _with_pictures(self, result: TaskResult, columns: Sequence[Float32]) -> TaskResult:
        """The same for pictures that are there."""
        rows = {clip.segment: row for clip, row in zip(self._seen, self._predicted)}
        numbers = [number for number, each in enumerate(self._contrasts) if each.segment in rows]
        if not numbers:
            return result
        seen = np.stack([rows[self._contrasts[number].segment] for number in numbers])
        first, second, other = ((column[numbers] * seen).sum(axis=1) for column in columns)
        hits = (np.minimum(first, second) > other).astype(np.float64)
        groups = [result.groups[number] for number in numbers]
        return replace(
            result,
            metrics={**result.metrics, "image_to_text": mean_of(hits, groups=groups, span=(0.0, 1.0))},
            scores={**result.scores, "image_to_text": hits}
            if len(numbers) == len(self._contrasts)
            else result.scores,
        )


def _embedded(model: Evaluable, texts: Sequence[str]) -> Float32:
    parts = [model.embed_text(texts[start : start + AT_ONCE]) for start in range(0, len(texts), AT_ONCE)]
    return np.concatenate(parts)
