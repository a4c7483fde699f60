"""Text-to-video retrieval: find the clip of a detailed caption in a pool of clips with distinct captions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vljepa_data.world import PROMPTS, Clip, caption
from vljepa_evaluation.metrics import mean_of, ranks
from vljepa_evaluation.tasks.protocol import Evaluable
from vljepa_evaluation.tasks.task import OneQuery, TaskResult

__all__ = ["POOL", "Retrieval"]

POOL = 500


class Retrieval(OneQuery):
    """Recall at 1 and 5 over pools of 500; each text is looked for among its pool's videos.

    Args:
        clips: How many; whole pools are made of them, and the last one is smaller.
    """

    name = "retrieval"
    supply = "mixed"

    def __init__(self, clips: int) -> None:
        super().__init__(clips)
        self._captions: list[str] = []

    def queries(self, clip: Clip, seed: int) -> Sequence[str]:
        """The paper's retrieval prompt, for clips whose caption is not in the pool yet."""
        text = caption(clip.events, "retrieval", aside=clip.aside)
        done = len(self._predicted)
        if not self.wanted or text in self._captions[done - done % POOL :]:
            return ()
        self._captions.append(text)
        return (PROMPTS["retrieval"],)

    def result(self, model: Evaluable) -> TaskResult:
        """Rank every pool's videos for each of its texts."""
        count = len(self._predicted)
        pool = min(POOL, count)
        starts = range(0, count - pool + 1, pool)
        hits: dict[int, list[float]] = {1: [], 5: []}
        for start in starts:
            texts = model.embed_text(self._captions[start : start + pool])
            places = ranks(texts @ np.stack(self._predicted[start : start + pool]).T)
            for k in hits:
                hits[k] += (places < k).astype(float).tolist()
        pools = f"{len(starts)} pools" if len(starts) > 1 else "one pool"
        return TaskResult(
            task=self.name,
            headline="recall_at_1",
            metrics={f"recall_at_{k}": mean_of(values) for k, values in hits.items()},
            chance=1 / pool,
            note=f"{pools} of {pool} clips with distinct captions, text to video",
            samples=np.array(hits[1]),
        )
