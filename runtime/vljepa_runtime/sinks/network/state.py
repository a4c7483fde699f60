"""How a network sink is, for people and for programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["SinkCondition", "SinkState"]

SinkCondition = Literal["connected", "waiting", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkState:
    """How a network sink is.

    Attributes:
        name: Kind and receiver, without what is secret.
        state: `connected`; `waiting` for a receiver that is away; `failed` where somebody has to change something.
        waiting: Events that are not delivered.
        dropped: Events for which the outbox had no room.
        rejected: Events that the receiver refused.
        sentence: The same for people.

    Examples:
        >>> from vljepa_runtime import Event
        >>> from vljepa_runtime.sinks import SinkState, WebhookSink
        >>> with WebhookSink("http://user:secret@127.0.0.1:9/hook", outbox="waiting") as sink:
        ...     sink.write(Event(stream="door", kind="segment", text="a ball falls"))
        >>> state: SinkState = sink.state
        >>> state.name, state.state, state.waiting
        ('webhook http://***@127.0.0.1:9/hook', 'waiting', 1)
    """

    name: str
    state: SinkCondition
    waiting: int
    dropped: int
    rejected: int
    sentence: str
