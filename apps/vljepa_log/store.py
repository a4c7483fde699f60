"""What every store of a log offers. A store keeps windows and finds the nearest; it knows no model and no clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vljepa_log.moments import Moment
from vljepa_log.rows import Batch, StoredEvent, Thumbnail

__all__ = ["EVERYTHING", "Contents", "Held", "Position", "Store", "Where"]

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Which rows are meant.

    Attributes:
        streams: Names; empty for all.
        queries: Texts; empty for all.
        since: Wall clock, in seconds since 1970, from which on they end; None from the first.
        until: Wall clock before which they end; None to the last.
    """

    streams: tuple[str, ...] = ()
    queries: tuple[str, ...] = ()
    since: float | None = None
    until: float | None = None


EVERYTHING = Where()


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """How far the windows of a stream are stored that were asked one query.

    Attributes:
        at_s: End in stream time of the last of them.
        complete: Whether the stream ended there.
        source: What was read, so that another content under the same name is noticed; empty for a live stream.
    """

    at_s: float
    complete: bool = False
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What is stored in one step, all of it or nothing.

    Attributes:
        batches: Windows; their keys are given by the store.
        events: In the order in which they were told; their numbers are given by the store.
        thumbnails: Small pictures.
        positions: Per stream and query, how far it is stored with this step: where a reader of files goes on.
    """

    batches: Sequence[Batch] = ()
    events: Sequence[StoredEvent] = ()
    thumbnails: Sequence[Thumbnail] = ()
    positions: Mapping[tuple[str, str], Position] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.batches or self.events or self.thumbnails or self.positions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """How much is stored of one stream and query.

    Attributes:
        stream: Name of the stream.
        query: What its embeddings answer.
        windows: How many.
        first: Wall clock of the oldest, in seconds since 1970.
        last: Wall clock of the newest.
    """

    stream: str
    query: str
    windows: int
    first: float
    last: float


class Store(Protocol):
    """What a log is kept in. One process writes; any number may read at the same time, and see whole steps only.

    Reading goes on while rows are removed. Methods may be called from several threads.
    """

    def append(self, contents: Contents) -> None:
        """Store all of it in one step, which a killed process leaves done or undone.

        Raises:
            LogError: the disk is full; what was stored before stays, and the same may be tried again.
        """

    def held(self, where: Where = EVERYTHING) -> list[Held]:
        """How much there is of each stream and query; of times, `where` is held to roughly."""

    def windows(self, where: Where = EVERYTHING) -> Iterator[Batch]:
        """Windows in pieces of one stream and query, of each the oldest first; arrays must not be written."""

    def nearest(self, embedding: Float32, *, k: int, where: Where = EVERYTHING) -> list[Moment]:
        """The k windows that are nearest to an embedding (S,), best first, each as a moment without words."""

    def around(self, window: Moment, *, count: int) -> Batch | None:
        """A window with up to so many of its stream and query on either side; None when it is no more."""

    def events(self, where: Where = EVERYTHING) -> Iterator[StoredEvent]:
        """Events, oldest first."""

    def thumbnail(self, stream: str, at_s: float, *, time: float | None = None) -> Thumbnail | None:
        """The picture of a stream nearest to a moment, in stream time or, where given, by the wall clock."""

    def thumbnails(self, where: Where = EVERYTHING) -> Iterator[Thumbnail]:
        """Pictures of streams, in the order in which they came; queries have none of their own."""

    def positions(self, *, stream: str | None = None) -> Mapping[tuple[str, str], Position]:
        """Per stream and query how far it is stored; of one stream, or of all."""

    def thin(self, *, until: float, within: float) -> int:
        """Thin windows that ended before this, once each; see `thin`. Gives how many went."""

    def forget(self, before: float) -> int:
        """Remove windows, events and thumbnails older than this by the wall clock. Gives how many windows went.

        Where removing a few would mean to write many anew, they stay until more are as old.
        """

    def tidy(self) -> None:
        """Join what lies in small pieces, free the disk of what was removed, index what is not: for idle times."""

    def update(self, *, lasting: bool = False, ended: Callable[[], bool] = lambda: False) -> None:
        """Index what is not indexed yet, `lasting` only what is then there for all processes, until `ended`."""

    def behind(self) -> bool:
        """Whether `update` is worth its time: searching would be slow for want of it."""

    def bytes(self) -> int:
        """What it takes."""

    def close(self) -> None:
        """Let go of everything."""
