"""What policies keep that decide once a stream is over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from vljepa_runtime.selection.protocol import Decision, Observation

__all__ = ["WholeStream"]


@dataclass(slots=True)
class WholeStream:
    """A `State`: everything that was seen, until it is over.

    Attributes:
        decide: What becomes of it; called with at least one window.
    """

    decide: Callable[[list[Observation]], list[Decision]]
    seen: list[Observation] = field(default_factory=list)

    def push(self, observation: Observation) -> list[Decision]:
        """Keep one more window."""
        self.seen.append(observation)
        return []

    def finish(self) -> list[Decision]:
        """Decide on what was seen, and begin anew."""
        seen, self.seen = self.seen, []
        return self.decide(seen) if seen else []
