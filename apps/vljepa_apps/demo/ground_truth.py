"""What the demo's stream really showed, and how well decoded texts agree with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vljepa_apps.demo.timeline import Bar, Match
from vljepa_data.world import EventStream
from vljepa_evaluation.metrics import Annotation, cider_d, match_annotations
from vljepa_evaluation.tasks import Description, matches, parse

__all__ = ["Agreement", "GroundTruth", "judge"]

PARTLY = 0.5  # share of the attributes (colour, shape, action, direction, other) that must be right


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How well the decodings describe the true events, each by the one nearest in time (paper, section 4.5).

    Attributes:
        events: True events.
        exactly: Described with everything right.
        partly: Described with at least half of the attributes right.
        cider: Mean CIDEr-D, 0..10, the events' captions being the corpus.
    """

    events: int
    exactly: int
    partly: int
    cider: float

    @property
    def missed(self) -> int:
        """Events described wrongly or not at all."""
        return self.events - self.exactly - self.partly


@dataclass(frozen=True, slots=True)
class GroundTruth:
    """The annotations of a stream, in order."""

    events: tuple[Annotation, ...]

    @classmethod
    def of(cls, stream: EventStream) -> GroundTruth:
        """The truth of a procedural stream."""
        return cls(
            tuple(
                Annotation(start_s=event.start_s, end_s=event.end_s, captions=(event.text,))
                for event in stream.events
            )
        )

    @property
    def bars(self) -> tuple[Bar, ...]:
        """For the timeline."""
        return tuple(Bar(start_s=e.start_s, end_s=e.end_s, text=e.captions[0]) for e in self.events)

    def caption_at(self, time_s: float) -> str:
        """What was going on at a time, or nearest to it; empty without annotations."""
        outside = [max(e.start_s - time_s, time_s - e.end_s, 0.0) for e in self.events]
        return self.events[outside.index(min(outside))].captions[0] if outside else ""

    def agreement(self, texts: Sequence[str], times_s: Sequence[float]) -> Agreement:
        """Judge the decoded texts and the times they stand for."""
        if not texts or not self.events:
            return Agreement(events=len(self.events), exactly=0, partly=0, cider=0.0)
        indices = match_annotations(np.asarray(times_s, np.float64), self.events)
        nearest = [texts[index] for index in indices]
        found = [judge(text, event.captions[0]) for text, event in zip(nearest, self.events)]
        scores = cider_d(nearest, [event.captions for event in self.events])
        return Agreement(
            events=len(found),
            exactly=found.count(Match.EXACT),
            partly=found.count(Match.PARTLY),
            cider=float(scores.mean()),
        )


def judge(text: str, true_text: str) -> Match:
    """Compare what two captions claim, whatever their wording.

    A text that claims two events counts by the better one, and then at most as partly right.
    """
    decoded, truth = parse(text), parse(true_text)
    if decoded == truth and (decoded.claims or decoded.digits):
        return Match.EXACT
    parts = [Description(claims=(claim,)) for claim in decoded.claims] or [decoded]
    best = max(_share(part, truth) for part in parts)
    return Match.PARTLY if best >= PARTLY else Match.MISSED


def _share(decoded: Description, truth: Description) -> float:
    right = {name: value for name, value in matches(decoded, truth).items() if name != "all"}
    return sum(right.values()) / len(right)
