"""What open pages are told: events in order and none lost, everything else the newest only. Knows no socket.

An event has an id that rises over restarts: the milliseconds since 1970 at which it was told, one more where two share
them. So a page that comes back says which one it saw last, whichever run of the server that was in.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from vljepa_runtime import Event

__all__ = ["Hub", "Subscriber", "Told", "told_json"]

KEPT = 2000  # events in memory
AGAIN = 500  # that a page may have missed
MOST_WAITING = 1000  # before a page that does not read is sent away


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An event as pages have it.

    Attributes:
        id: Larger than that of every event before.
        event: What the runtime told.
        at_start: Its begin by the wall clock, in seconds since 1970.
        at_end: Its end.
        about: Id of the alert or the taught states that it is of, empty for the rest.
    """

    id: int
    event: Event
    at_start: float
    at_end: float
    about: str = ""

    def to_dict(self) -> dict[str, Any]:
        """For JSON: the fields of the event, and those of its place."""
        values: dict[str, Any] = json.loads(self.event.to_json())
        return {
            **values,
            "id": self.id,
            "camera": self.event.stream,
            "at_start": round(self.at_start, 3),
            "at_end": round(self.at_end, 3),
            "about": self.about,
        }


def told_json(told: Told) -> str:
    """The message that tells an event."""
    return json.dumps({"kind": "event", "event": told.to_dict()})


@dataclass(eq=False)
class Subscriber:
    """What waits for one page.

    Attributes:
        wake: Called, from any thread, when something waits.
        lost: It read too slowly, and has to come back.
    """

    wake: Callable[[], object]
    lost: bool = False
    _events: deque[str] = field(default_factory=deque)
    _newest: OrderedDict[tuple[str, str], str] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add_event(self, text: str) -> None:
        """Let an event wait."""
        with self._lock:
            if len(self._events) >= MOST_WAITING:
                self.lost = True
            else:
                self._events.append(text)
        self.wake()

    def replace(self, key: tuple[str, str], text: str) -> None:
        """Let something wait in the place of what waited under the same key."""
        with self._lock:
            self._newest[key] = text
        self.wake()

    def take(self) -> str | None:
        """What is to be sent next: events first."""
        with self._lock:
            if self._events:
                return self._events.popleft()
            return self._newest.popitem(last=False)[1] if self._newest else None


class Hub:
    """Takes what happens and gives it to all pages; from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: deque[Told] = deque(maxlen=KEPT)
        self._subscribers: set[Subscriber] = set()
        self._last_id = 0

    @property
    def last_id(self) -> int:
        """Of the newest event; 0 before the first."""
        return self._last_id

    @property
    def pages(self) -> int:
        """How many listen."""
        return len(self._subscribers)

    def restore(self, events: Iterable[tuple[Event, float, str]]) -> None:
        """Put back what was told before a restart, the oldest first: with the wall clock of its end, and `about`."""
        with self._lock:
            for event, at_end, about in events:
                self._told.append(self._numbered(event, at_end, about))

    def tell(self, event: Event, *, at_end: float, about: str = "") -> Told:
        """Tell an event to all."""
        with self._lock:
            told = self._numbered(event, at_end, about)
            self._told.append(told)
            text = told_json(told)
            for each in self._subscribers:
                each.add_event(text)
        return told

    def send(self, kind: str, content: Mapping[str, Any], *, about: str = "") -> None:
        """Tell something of which the newest counts, such as the counters of a camera."""
        if not self._subscribers:
            return
        text = json.dumps({"kind": kind, **content})
        with self._lock:
            for each in self._subscribers:
                each.replace((kind, about), text)

    def newest(self, count: int) -> list[Told]:
        """The last events, the oldest first."""
        with self._lock:
            return list(self._told)[-count:]

    def subscribe(self, wake: Callable[[], object], *, after: int | None = None) -> Subscriber:
        """Listen from here on, and to what came after an event."""
        found = Subscriber(wake)
        with self._lock:
            for text in self._missed(after):
                found.add_event(text)
            self._subscribers.add(found)
        return found

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Listen no more."""
        with self._lock:
            self._subscribers.discard(subscriber)

    def _missed(self, after: int | None) -> list[str]:
        if after is None or after == self._last_id:
            return []
        missed = [told for told in self._told if told.id > after]
        is_whole = len(missed) < len(self._told) or len(self._told) < KEPT
        if len(missed) > AGAIN or after > self._last_id or not is_whole:
            return [json.dumps({"kind": "gap"})]
        return [told_json(told) for told in missed]

    def _numbered(self, event: Event, at_end: float, about: str) -> Told:
        told_ms = round(1000 * (datetime.fromisoformat(event.time).timestamp() if event.time else at_end))
        self._last_id = max(self._last_id + 1, told_ms)
        at_start = at_end - (event.end_s - event.start_s)
        return Told(id=self._last_id, event=event, at_start=at_start, at_end=at_end, about=about)
