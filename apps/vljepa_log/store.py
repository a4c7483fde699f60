"""What a store of a log offers, and which there are. A store keeps rows; it knows no model, no search and no clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from vljepa_log.rows import Batch, StoredEvent, Thumbnail

__all__ = ["EVERYTHING", "Contents", "Part", "Position", "Store", "Where"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Which rows are meant.

    Attributes:
        streams: Names; empty for all.
        queries: Texts; empty for all.
        since: Wall clock, in seconds since 1970, from which on they end; None from the first.
        until: Before which they end; None to the last.
    """

    streams: tuple[str, ...] = ()
    queries: tuple[str, ...] = ()
    since: float | None = None
    until: float | None = None


EVERYTHING = Where()


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """How far a stream is stored.

    Attributes:
        at_s: End in stream time of its last window.
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
        positions: Per stream, how far it is stored with this step: where a reader of files goes on.
    """

    batches: Sequence[Batch] = ()
    events: Sequence[StoredEvent] = ()
    thumbnails: Sequence[Thumbnail] = ()
    positions: Mapping[str, Position] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.batches or self.events or self.thumbnails or self.positions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Windows of one stream and query that lie together, oldest first; it only grows until another one begins.

    Attributes:
        number: Of no other part, also of none that was removed.
        stream: Name of the stream.
        query: What its embeddings answer.
        rows: How many windows it holds.
        first: Wall clock of its oldest window.
        last: Wall clock of its newest window.
        sealed: Whether it will not grow any more.
        thinned: Whether it stands for parts that it replaced.
    """

    number: int
    stream: str
    query: str
    rows: int
    first: float
    last: float
    sealed: bool
    thinned: bool


class Store(Protocol):
    """Rows of a log. One process writes; any number may read at the same time, and see whole steps only.

    Attributes:
        cache: A folder for what can be made again; None where there is none.
    """

    cache: Path | None

    def append(self, contents: Contents) -> None:
        """Store all of it in one step, which a killed process leaves done or undone.

        Raises:
            LogError: the disk is full; what was stored before stays, and the same may be tried again.
        """

    def parts(self, where: Where = EVERYTHING) -> list[Part]:
        """What may hold rows of these, oldest first."""

    def read(self, part: Part) -> Batch:
        """The windows of a part, as many as it said; arrays may be views of a file and must not be written."""

    def events(self, where: Where = EVERYTHING) -> Iterator[StoredEvent]:
        """Events, oldest first."""

    def thumbnail(self, stream: str, at_s: float) -> Thumbnail | None:
        """The picture of a stream nearest to a moment, in stream time."""

    def positions(self) -> Mapping[str, Position]:
        """Per stream, how far it is stored."""

    def replace(self, parts: Sequence[Part], windows: Batch | None) -> None:
        """Put other windows, which count as thinned, in the place of parts of one stream and query; None for none."""

    def forget(self, before: float) -> None:
        """Remove events and thumbnails older than this by the wall clock, and positions of streams without rows."""

    def bytes(self) -> int:
        """What it takes on disk."""

    def close(self) -> None:
        """Let go of everything."""
