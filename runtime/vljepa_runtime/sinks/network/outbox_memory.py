"""What of an outbox is not on disk yet: usually for an instant, with a full disk for as long as that is so."""

from __future__ import annotations

from collections import deque

from vljepa_runtime.sinks.network.outbox_rows import Row, note_of

__all__ = ["DROP_SHARE", "OutboxMemory"]

MEMORY_BYTES = 4 << 20
DROP_SHARE = 16  # of a bound is let go at once


class OutboxMemory:
    """Rows in order, up to a bound.

    Attributes:
        size: Bytes of their events.
    """

    def __init__(self) -> None:
        self._rows: deque[Row] = deque()
        self.size = 0

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, row: Row) -> None:
        """Keep one more, the newest."""
        self._rows.append(row)
        self.size += len(row.event)

    def rows(self, *, upto: int | None = None) -> list[Row]:
        """All, or those up to an id."""
        return [row for row in self._rows if upto is None or row.id <= upto]

    def remove(self, *, upto: int) -> None:
        """Forget those up to an id."""
        while self._rows and self._rows[0].id <= upto:
            self.size -= len(self._rows.popleft().event)

    def clear(self) -> None:
        """Forget all."""
        self._rows.clear()
        self.size = 0

    def bound(self) -> int:
        """Let the oldest go where there are too many, and leave a note in their place; how many went."""
        if self.size <= MEMORY_BYTES:
            return 0
        gone = []
        while self._rows and self.size > MEMORY_BYTES - MEMORY_BYTES // DROP_SHARE:
            gone.append(self._rows.popleft())
            self.size -= len(gone[-1].event)
        note = note_of(gone)
        self._rows.appendleft(note)
        self.size += len(note.event)
        return sum(not row.dropped for row in gone)
