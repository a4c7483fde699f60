"""Words for the streams of a group: a thread makes them while windows go on through the model, at most a few behind.

Knows no source; each stream's events keep their order.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from functools import partial

from vljepa_runtime.events import Event, Told
from vljepa_runtime.streams.reader import StreamReader
from vljepa_runtime.streams.workers import Workers

__all__ = ["Words"]

MOST_WAITING = 8
"""Segments of a stream that wait for their words before its next window does."""
Outcome = tuple[StreamReader, list[Event] | Exception]


class Words:
    """What is told of each stream, where something of it waits for its words.

    All methods are called while holding `changed`.

    Args:
        changed: Notified when words are made.
    """

    def __init__(self, changed: threading.Condition) -> None:
        self._waiting: dict[StreamReader, deque[Told]] = {}
        self._held: set[StreamReader] = set()  # whose next window waits
        self._worker: Workers[Outcome] = Workers(1, changed, name="decode")

    @property
    def readers(self) -> tuple[StreamReader, ...]:
        """Streams of which something waits."""
        return tuple(self._waiting)

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def through(self, reader: StreamReader, item: Told) -> Event | None:
        """An event that need not wait; what has to is kept."""
        if isinstance(item, Event) and reader not in self._waiting:
            return item
        self._waiting.setdefault(reader, deque()).append(item)
        return None

    def handled(self, reader: StreamReader) -> None:
        """A window is told: the next one comes, unless too much waits for its words."""
        if len(self._waiting.get(reader, ())) < MOST_WAITING:
            reader.handled()
        else:
            self._held.add(reader)

    def take(self, fail: Callable[[StreamReader, Exception], object]) -> Event | None:
        """The next event that waited, if there is one.

        Args:
            fail: Called where words could not be made; what waits behind them is not told.
        """
        while (done := self._worker.take()) is not None:
            self._made(*done, fail)
        for reader, items in self._waiting.items():
            if isinstance(items[0], Event):
                event = items.popleft()
                self._settle(reader)
                assert isinstance(event, Event)
                return event
        self._go_on()
        return None

    def close(self) -> None:
        """Let the thread end after what it is at."""
        self._worker.close()

    def _made(
        self,
        reader: StreamReader,
        outcome: list[Event] | Exception,
        fail: Callable[[StreamReader, Exception], object],
    ) -> None:
        items = self._waiting.pop(reader)
        items.popleft()
        if isinstance(outcome, Exception):
            self._held.discard(reader)
            fail(reader, outcome)
            return
        self._waiting[reader] = items  # behind the others: it has had its turn
        items.extendleft(reversed(outcome))

    def _settle(self, reader: StreamReader) -> None:
        """Forget a stream of which nothing waits any more, and let its window come that was held."""
        left = len(self._waiting[reader])
        if not left:
            del self._waiting[reader]
        if reader in self._held and left < MOST_WAITING:
            self._held.discard(reader)
            reader.handled()

    def _go_on(self) -> None:
        """Have the words made that come next: no event waits in front of them."""
        if self._worker.idle and self._waiting:
            reader, items = next(iter(self._waiting.items()))
            words = items[0]
            assert not isinstance(words, Event)
            self._worker.submit(partial(_made_of, reader, words))


def _made_of(reader: StreamReader, words: Callable[[], list[Event]]) -> Outcome:
    try:
        return reader, words()
    except Exception as error:  # the group's to tell
        return reader, error
