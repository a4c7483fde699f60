"""What streams gave and is not stored yet, in bounded memory: where it cannot be stored, the oldest goes."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vljepa_log.rows import WINDOW, Batch, StoredEvent, Thumbnail
from vljepa_log.store import Contents, Position

__all__ = ["Waiting", "WaitingWindow"]

OBJECT_BYTES = 400
"""What a window, event or picture takes at most beside its embedding, words or JPEG (tracemalloc, CPython 3.11)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingWindow:
    """A window as it was given.

    Attributes:
        stream: Name of the stream.
        query: What its embedding answers.
        row: As in `WINDOW`, with key 0.
        embedding: (S,) float16.
    """

    stream: str
    query: str
    row: tuple[int, float, float, float, float, int]
    embedding: npt.NDArray[np.float16]


class Waiting:
    """Windows, events and pictures in the order in which they came, and how far their streams are with them.

    Args:
        max_bytes: What is more goes, the oldest first; the newest always stays.

    Attributes:
        dropped: How many have gone so far.
    """

    def __init__(self, max_bytes: int) -> None:
        self.dropped = 0
        self._max_bytes, self._bytes = max_bytes, 0
        self._items: deque[WaitingWindow | StoredEvent | Thumbnail] = deque()
        self._positions: dict[tuple[str, str], Position] = {}

    @property
    def positions(self) -> Mapping[tuple[str, str], Position]:
        """Per stream and query how far it will be stored."""
        return self._positions

    def add(self, item: WaitingWindow | StoredEvent | Thumbnail) -> None:
        """Take in one more, and let the oldest go where that is too much."""
        self._items.append(item)
        self._bytes += _bytes(item)
        while self._bytes > self._max_bytes and len(self._items) > 1:
            self._bytes -= _bytes(self._items.popleft())
            self.dropped += 1

    def set_position(self, stream: str, query: str, position: Position) -> None:
        """Say how far a stream will be stored with what waits."""
        self._positions[stream, query] = position

    def contents(self) -> Contents:
        """All of it, for one step of a store."""
        windows: dict[tuple[str, str], list[WaitingWindow]] = {}
        for item in self._items:
            if isinstance(item, WaitingWindow):
                windows.setdefault((item.stream, item.query), []).append(item)
        return Contents(
            batches=[
                Batch(
                    stream=stream,
                    query=query,
                    windows=np.array([each.row for each in items], WINDOW),
                    embeddings=np.stack([each.embedding for each in items]),
                )
                for (stream, query), items in windows.items()
            ],
            events=[item for item in self._items if isinstance(item, StoredEvent)],
            thumbnails=[item for item in self._items if isinstance(item, Thumbnail)],
            positions=dict(self._positions),
        )

    def clear(self) -> None:
        """It is stored."""
        self._items.clear()
        self._positions.clear()
        self._bytes = 0


def _bytes(item: WaitingWindow | StoredEvent | Thumbnail) -> int:
    if isinstance(item, WaitingWindow):
        return OBJECT_BYTES + item.embedding.nbytes
    return OBJECT_BYTES + len(item.event.text if isinstance(item, StoredEvent) else item.jpeg)
