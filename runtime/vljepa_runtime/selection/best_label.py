"""Which of a few labels a stream shows now: told when it changes, not at every window, and without any decoding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vljepa_runtime.arguments import array, number, texts
from vljepa_runtime.errors import InputError
from vljepa_runtime.selection.holding import Holding
from vljepa_runtime.selection.protocol import Decision, Floats, Observation, unit

__all__ = ["BestLabel", "LabelState"]

NO_LABEL = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BestLabel:
    """Decide when another label has been the best for a while.

    A label's score is the cosine between its embedding and the predicted one, -1..1; it ranks labels of one query
    and is no probability. With `min_score` there is one more answer, "none of them" (an empty text), whose score is
    `min_score`. The first window decides at once. Later, a label takes over when its score is `margin` above that of
    the present one in every window over `hold_s`; a window that shows one held picture counts as long as that was
    on show.

    On twelve streams of two minutes of the procedural world, windows every 0.5 s, some 25 labels each, `margin` 0.05
    and `hold_s` 0.5 name 14.8 changes a minute where there are 14.1; without either there are 24.3.

    Attributes:
        labels: L texts.
        embeddings: (L, S) of the labels, from `Model.embed_text`.
        min_score: Cosine below which no label holds; None names the best one always.
        margin: Cosine by which another label must be better.
        hold_s: For how long.

    Examples:
        >>> import vljepa_runtime as vj
        >>> model, labels = vj.load("tiny"), ("a box bounces", "a ball rolls")
        >>> policy = vj.BestLabel(labels=labels, embeddings=model.embed_text(labels), hold_s=1)
        >>> with model.session(select=policy) as session:
        ...     for event in session.run(vj.open_source("clip.mp4")):
        ...         print(event.kind, event.start_s, event.text)
        status 0.0 tiny on ...
        answer 0.0 a box bounces
    """

    labels: tuple[str, ...]
    embeddings: Floats
    min_score: float | None = None
    margin: float = 0.05
    hold_s: float = 0.5

    def __post_init__(self) -> None:
        labels = texts(self.labels, "labels")
        if len(set(labels)) != len(labels):
            raise InputError("expected each label once, one is given twice")
        rows = array(self.embeddings, "embeddings", np.float32)
        if rows.ndim != 2 or len(rows) != len(labels):
            raise InputError(f"expected embeddings ({len(labels)}, S), one per label, got {rows.shape}")
        if self.min_score is not None:
            number(self.min_score, "min_score", least=-1, most=1)
        number(self.margin, "margin", least=0, most=2)
        number(self.hold_s, "hold_s", least=0)

    def start(self) -> LabelState:
        """A fresh state for one stream."""
        labels = (*self.labels, NO_LABEL)
        return LabelState(labels=labels, scores=self._scores, margin=self.margin, hold_s=self.hold_s)

    def _scores(self, seen: Observation, embedding: Floats) -> Floats:
        """(L,) cosines, and that of "none of them" where there is such an answer."""
        least = [] if self.min_score is None else [self.min_score]
        return np.append(self.embeddings @ embedding, least).astype(np.float32)


@dataclass(slots=True)
class LabelState:
    """What one stream shows.

    Attributes:
        labels: L + 1 texts, the last for none of the others.
        scores: Of a window and its embedding at length 1: (L + 1,), or (L,) where one of them always holds.
        margin: Score by which another label must be better.
        hold_s: For how long.
    """

    labels: tuple[str, ...]
    scores: Callable[[Observation, Floats], Floats]
    margin: float
    hold_s: float
    told: Holding[int] | None = None  # the label that was told last; L is none of them

    def push(self, observation: Observation) -> list[Decision]:
        """Take the next window."""
        embedding = unit(observation.embedding)
        scores = self.scores(observation, embedding)
        best = int(scores.argmax())
        if self.told is None:
            self.told = Holding(self.hold_s, best, best, observation.start_s)
        else:
            if scores[best] - scores[self.told.present] <= self.margin:
                best = self.told.present
            if not self.told.push(best, observation):
                return []
        decision = Decision(
            start_s=self.told.start_s,
            end_s=observation.end_s,
            time_s=observation.time_s,
            embedding=embedding,
            score=float(scores[: len(self.labels) - 1].max()),
            text=self.labels[best],
        )
        return [decision]

    def finish(self) -> list[Decision]:
        """Nothing is pending."""
        return []
