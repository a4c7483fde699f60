"""Policies that look at the clock only: every window, or one decoding per interval (the paper's baseline)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from vljepa_runtime.arguments import choice, number
from vljepa_runtime.selection.protocol import Decision, Floats, Observation, change_since, unit

__all__ = ["EveryWindow", "Uniform"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EveryWindow:
    """Decode every window."""

    def start(self) -> _EveryWindowState:
        """A fresh state for one stream."""
        return _EveryWindowState()


@dataclass(slots=True)
class _EveryWindowState:
    last: Floats | None = None

    def push(self, observation: Observation) -> list[Decision]:
        embedding = unit(observation.embedding)
        change, self.last = change_since(embedding, self.last), embedding
        return [
            Decision(
                start_s=observation.start_s,
                end_s=observation.end_s,
                time_s=observation.time_s,
                embedding=embedding,
                change=change,
            )
        ]

    def finish(self) -> list[Decision]:
        return []


@dataclass(frozen=True, slots=True)
class Uniform:
    """Decode once per interval, whatever happens; a picture that is held over several intervals is decoded once.

    Attributes:
        interval_s: Seconds between decodings.
        pooling: `point` decodes the first window of an interval at once; `mean` decodes the mean embedding of
            all windows of the interval when it is over.
    """

    interval_s: float
    pooling: Literal["point", "mean"] = "point"

    def __post_init__(self) -> None:
        number(self.interval_s, "seconds of an interval", above=0)
        choice(self.pooling, "pooling", ("point", "mean"))

    def start(self) -> _UniformState:
        """A fresh state for one stream."""
        return _UniformState(self)


@dataclass(slots=True)
class _UniformState:
    policy: Uniform
    origin_s: float | None = None
    slot: int = -1
    seen: list[Observation] = field(default_factory=list)
    total: Floats | None = None
    last: Floats | None = None

    def push(self, observation: Observation) -> list[Decision]:
        if self.origin_s is None:
            self.origin_s = observation.end_s
        # The small constant keeps 3 * 0.1 s in slot 3 of a 0.1 s grid.
        slot = math.floor((observation.end_s - self.origin_s) / self.policy.interval_s + 1e-6)
        opens, self.slot = slot > self.slot, max(slot, self.slot)
        if self.policy.pooling == "point":
            return [self._decide([observation], observation.embedding.astype(np.float32))] if opens else []
        closed = self.finish() if opens else []
        self.total = observation.weight * observation.embedding + (0 if self.total is None else self.total)
        self.seen = [self.seen[0] if self.seen else observation, observation]
        return closed

    def finish(self) -> list[Decision]:
        if self.total is None:
            return []
        decision = self._decide(self.seen, self.total)
        self.seen, self.total = [], None
        return [decision]

    def _decide(self, seen: list[Observation], total: Floats) -> Decision:
        embedding = unit(total)
        change, self.last = change_since(embedding, self.last), embedding
        return Decision(
            start_s=seen[0].start_s,
            end_s=seen[-1].end_s,
            time_s=(seen[0].time_s + seen[-1].time_s) / 2,
            embedding=embedding,
            change=change,
        )
