"""What a receiver behind a network is to those who deliver: connect, send, disconnect, and what may go wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from vljepa_runtime.sinks.network.outbox_rows import OutboxEntry
from vljepa_runtime.sources.live.deadline import Deadline

__all__ = ["DeliveryError", "RejectedError", "Transport"]


class DeliveryError(Exception):
    """An attempt failed; another one may do. Stays inside `sinks`.

    Args:
        sentence: What happened.
        retry_after_s: What the receiver asks for.
        needs_help: Somebody has to change something, here or at the receiver.
    """

    def __init__(self, sentence: str, *, retry_after_s: float = 0.0, needs_help: bool = False) -> None:
        super().__init__(sentence)
        self.retry_after_s = retry_after_s
        self.needs_help = needs_help


class RejectedError(DeliveryError):
    """The receiver will never take what was sent; the rest may be fine."""


class Transport(Protocol):
    """How events get to one receiver; called by one thread.

    Attributes:
        name: Of the receiver, without what is secret.
        batch: How many events it takes at once.
    """

    name: str
    batch: int

    def connect(self, deadline: Deadline) -> None:
        """Have a connection that works, where there is such a thing.

        Raises:
            DeliveryError: there is none.
        """

    def send(self, entries: Sequence[OutboxEntry], deadline: Deadline) -> None:
        """Deliver events, and return when the receiver has them all.

        Raises:
            DeliveryError: it may not have them.
        """

    def announce(self, stream: str, name: str, alerts: Sequence[str]) -> None:
        """Expect a stream, what people call it and its alerts; on the thread of the caller."""

    def disconnect(self) -> None:
        """Hang up."""
