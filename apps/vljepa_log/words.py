"""The words that a log has of a span of a stream: those that were decoded for what shares most time with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from vljepa_log.store import Store, Where

if TYPE_CHECKING:
    from vljepa_runtime import Event

__all__ = ["shared_s", "words_of"]

LATE_S = 60.0
"""How far apart the clocks of a span and of an event may be; beyond, they are of two runs of a stream."""


class _Span(Protocol):
    """What has a place in a stream: a moment that was found, a segment."""

    @property
    def stream(self) -> str: ...
    @property
    def query(self) -> str: ...
    @property
    def start_s(self) -> float: ...
    @property
    def end_s(self) -> float: ...
    @property
    def time(self) -> float: ...


def shared_s(event: Event, start_s: float, end_s: float) -> float:
    """Seconds of a span of stream time that an event has, too."""
    return min(event.end_s, end_s) - max(event.start_s, start_s)


def words_of(store: Store, span: _Span, shared: Callable[[Event, float, float], float] = shared_s) -> str:
    """The words of the decoded event that shares most with a span, of the same run of its stream; empty without one.

    Args:
        store: Of the log.
        span: Its stream, query and times; `time` is its end by the wall clock.
        shared: What an event shares with a begin and an end; above 0 where it is about that span.
    """
    began = span.time - (span.end_s - span.start_s)
    told = Where(streams=(span.stream,), queries=(span.query,), since=began - LATE_S)
    best, words = 0.0, ""
    for stored in store.events(told):
        event = stored.event
        late = (stored.time - event.end_s) - (span.time - span.end_s)
        is_said = event.decoded and event.text and abs(late) <= LATE_S
        if is_said and (seconds := shared(event, span.start_s, span.end_s)) > best:
            best, words = seconds, event.text
        if stored.time > span.time + LATE_S and event.start_s >= span.end_s:
            break  # those that come share nothing with it
    return words
