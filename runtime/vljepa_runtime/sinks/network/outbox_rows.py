"""What waits in an outbox: an event as it is kept, and as it is delivered."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from vljepa_runtime.events import Event, wall_clock

__all__ = ["OutboxEntry", "Row", "note_of"]


@dataclass(frozen=True, slots=True)
class Row:
    """An event that waits.

    Attributes:
        id: Rises from row to row.
        event: JSON in UTF-8.
        dropped: How many dropped events it tells of; 0 where it is no note of that.
    """

    id: int
    event: bytes
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """An event with its id, to be delivered.

    Attributes:
        id: The same at each attempt, higher than that of the event before.
        event: What happened.
        line: The same as JSON.
    """

    id: int
    event: Event
    line: str

    def to_json(self) -> str:
        """The event's JSON with `id` as its first field."""
        return f'{{"id": {self.id}, {self.line[1:]}'


def note_of(gone: Sequence[Row]) -> Row:
    """What tells the receiver that there is a gap: it stands where the last of them was."""
    count = sum(row.dropped or 1 for row in gone)
    last = json.loads(gone[-1].event)
    note = Event(
        stream=last["stream"],
        kind="status",
        start_s=last["end_s"],
        end_s=last["end_s"],
        time=wall_clock(),
        text=f"warning: {count} events before this one were dropped: the outbox had no room for more",
    )
    return Row(gone[-1].id, note.to_json().encode(), dropped=count)
