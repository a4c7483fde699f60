"""Which taught state a stream shows now: told as labels are, when it changes, and without any decoding."""

from __future__ import annotations

from dataclasses import dataclass

from vljepa_runtime.arguments import instance, number
from vljepa_runtime.errors import InputError
from vljepa_runtime.selection.best_label import LabelState
from vljepa_runtime.selection.protocol import Floats, Observation
from vljepa_runtime.states import UNSURE, Feature, States

__all__ = ["BestState"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BestState:
    """Decide when another state has been the likeliest for a while.

    "unsure" is a state like the others, see `States`. A decision's score is the probability of the likeliest state,
    0..1, and 0 where a window is like none of the examples. What holds and takes over is as in `BestLabel`.

    Attributes:
        states: What `vljepa teach` wrote.
        margin: Probability by which another state must be likelier.
        hold_s: For how long.

    Examples:
        >>> from vljepa_runtime import load
        >>> from vljepa_runtime.selection import BestState
        >>> from vljepa_teach import Example, teach
        >>> model = load("tiny")
        >>> rows = [("early", 0, 2), ("early", 0.5, 2.5), ("late", 3.5, 5.5), ("late", 4, 6)]
        >>> states = teach(model, [Example(name, "clip.mp4", start, end) for name, start, end in rows]).states
        >>> with model.session(query=states.query, select=BestState(states=states, hold_s=0)) as session:
        ...     for event in session.run("clip.mp4"):
        ...         print(event.kind, event.text)
        status tiny on ...
        answer early
        ...
    """

    states: States
    margin: float = 0.05
    hold_s: float = 0.5

    def __post_init__(self) -> None:
        instance(self.states, "states", States)
        number(self.margin, "margin", least=0, most=1)
        number(self.hold_s, "hold_s", least=0)

    @property
    def feature(self) -> Feature:
        """What it looks at: a session pools tokens for a policy that says `tokens` here."""
        return self.states.feature

    def start(self) -> LabelState:
        """A fresh state for one stream."""
        names = (*self.states.names, UNSURE)
        return LabelState(labels=names, scores=self._scores, margin=self.margin, hold_s=self.hold_s)

    def _scores(self, seen: Observation, embedding: Floats) -> Floats:
        if self.feature == "embedding":
            return self.states.with_unsure(embedding)
        if seen.tokens is None:
            raise InputError("these states look at pooled tokens: run them in a session, which gives them")
        return self.states.with_unsure(seen.tokens)
