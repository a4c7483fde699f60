"""Text-to-video retrieval: find the clip of a detailed caption in a pool of clips with distinct captions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vljepa_data.world import PROMPTS, Clip, caption
from vljepa_evaluation.metrics import ranks
from vljepa_evaluation.tasks.protocol import Evaluable, Float32
from vljepa_evaluation.tasks.task import MARGIN, OneQuery, TaskResult

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
        margins: list[float] = []
        for start in starts:
            texts = model.embed_text(self._captions[start : start + pool])
            nearness = texts @ np.stack(self._predicted[start : start + pool]).T
            places = ranks(nearness)
            margins += _margins(nearness) if pool > 1 else [0.0]
            for k in hits:
                hits[k] += (places < k).astype(float).tolist()
        pools = f"{len(starts)} pools" if len(starts) > 1 else "one pool"
        return TaskResult.of(
            self.name,
            "recall_at_1",
            {f"recall_at_{k}": values for k, values in hits.items()} | {MARGIN: margins},
            chance=1 / pool,
            note=f"{pools} of {pool} clips with distinct captions, text to video",
        )


def _margins(nearness: Float32) -> list[float]:
    """How much nearer each text's own video is than the nearest other one."""
    others = np.where(np.eye(len(nearness), dtype=bool), -np.inf, nearness)
    margins: list[float] = (nearness.diagonal() - others.max(axis=1)).tolist()
    return margins
