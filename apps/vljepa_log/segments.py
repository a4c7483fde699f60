"""What changed in a log: its windows cut into segments by the shipped selection, long after they were seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vljepa_log.errors import LogError
from vljepa_log.rows import unknown_of
from vljepa_log.store import EVERYTHING, Where
from vljepa_runtime import OnlineSelection
from vljepa_runtime.novelty import JudgedWindows, shown_text
from vljepa_runtime.selection import Decision, Observation

if TYPE_CHECKING:
    from vljepa_log.reader import LogReader
    from vljepa_log.rows import Batch

__all__ = ["Segment", "Span", "segments_of", "windows_at"]

Float32 = npt.NDArray[np.float32]
GAP_S = 5.0
"""Windows that lie further apart have nothing to do with each other: the stream was off."""
NEAR_S = 60.0
"""How far from a time its window may lie."""
WHOLE = 1.5
"""A window that is so many times as long as the shortest was thinned: it stands for all that it covers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch of time, in stream time or by the wall clock.

    Attributes:
        since: Begin.
        until: End; not before the begin.
        wall: Whether both are seconds since 1970, and not of the stream.

    Examples:
        >>> from vljepa_log import Span
        >>> Span(since=3.0, until=12.0)
        Span(since=3.0, until=12.0, wall=False)
    """

    since: float
    until: float
    wall: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Segment:
    """A part of a stream in which its meaning stays the same.

    Attributes:
        stream: Name of the stream.
        query: What its embedding answers.
        start_s: Begin, in stream time.
        end_s: End, in stream time.
        time: Its end by the wall clock, in seconds since 1970.
        change: Cosine distance to the segment before; 1 for the first.
        embedding: (S,) float32, L2-normalised.
        text: Its words; empty until they are known.
        unknown: Whether it showed nothing that the model knew, by most of its windows; None where nobody could tell.
    """

    stream: str
    query: str
    start_s: float
    end_s: float
    time: float
    change: float
    embedding: Float32
    text: str = ""
    unknown: bool | None = None

    @property
    def shown(self) -> str:
        """What people read of it."""
        return shown_text(self.text, unknown=self.unknown)

    @property
    def began(self) -> float:
        """Its begin by the wall clock, in seconds since 1970."""
        return self.time - (self.end_s - self.start_s)


def segments_of(
    log: LogReader, where: Where = EVERYTHING, *, between: Span | None = None
) -> Iterator[Segment]:
    """Segments of each stream and query, in the order of time; nothing is decoded.

    Args:
        log: Read window by window.
        where: Which windows.
        between: Only windows that have a part of this span.

    Examples:
        >>> import vljepa_runtime as vj
        >>> from vljepa_log import LogReader, LogWriter, index_source, segments_of
        >>> model = vj.load("tiny")
        >>> with LogWriter("SEGMENTS", model.bundle.manifest) as log:
        ...     done = index_source(model, "clip.mp4", log)
        >>> with LogReader("SEGMENTS") as log:
        ...     for segment in segments_of(log):
        ...         print(segment.start_s, segment.end_s, model.decode(segment.embedding))
        0.0 3.0 a white box bounces
        3.0 6.0 a purple ball jumps
    """
    for stream, query in _sources(log, where):
        one = replace(where, streams=(stream,), queries=(query,))
        cutter = _Cutter(stream, query, OnlineSelection().knowing(log.boundaries, query))
        for batch in log.windows(one):
            yield from cutter.push(batch if between is None else batch.take(_shared(batch, between)))
        yield from cutter.finish()


def windows_at(log: LogReader, at: float, *, wall: bool, where: Where = EVERYTHING) -> list[Segment]:
    """The window of each stream and query whose middle is nearest to a time, as a segment of its own.

    Args:
        log: Where it is looked for.
        at: Stream time in seconds, or with `wall` seconds since 1970.
        wall: Whether it is a time by the wall clock.
        where: Which streams and queries.

    Raises:
        LogError: no window of them lies within a minute of that time.

    Examples:
        >>> import numpy as np
        >>> from vljepa_log import LogReader, LogWriter, windows_at
        >>> from vljepa_runtime import Bundle
        >>> with LogWriter("AT", Bundle.open("tiny").manifest) as log:
        ...     log.add_window("door", "What?", start_s=4, end_s=6, embedding=np.eye(256)[0], at=1006.0)
        >>> with LogReader("AT") as log:
        ...     for at, wall in ((5.2, False), (1005.0, True)):
        ...         print(windows_at(log, at, wall=wall)[0].start_s)
        4.0
        4.0
    """
    found: dict[tuple[str, str], tuple[float, Segment]] = {}
    for batch in log.windows(_around(at, where) if wall else where):
        rows = batch.windows
        ends = rows["time"] if wall else rows["end_s"]
        away = np.abs(ends - (rows["end_s"] - rows["start_s"]) / 2 - at)
        row, key = int(away.argmin()), (batch.stream, batch.query)
        if away[row] <= NEAR_S and (key not in found or away[row] < found[key][0]):
            found[key] = float(away[row]), _segment_of(batch, row)
    if not found:
        known = ", ".join(each.name for each in log.streams()) or "none"
        raise LogError(f"the log holds no window within a minute of that time; its streams: {known}")
    return [segment for _, segment in found.values()]


class _Cutter:
    """Windows of one stream and query on their way into segments."""

    def __init__(self, stream: str, query: str, policy: OnlineSelection) -> None:
        self._stream, self._query, self._policy = stream, query, policy
        self._state = policy.start()
        self._judged = JudgedWindows()
        self._open: Segment | None = None
        self._end_s = self._clock = 0.0  # of the last window; wall clock less stream time
        self._shortest = float("inf")
        self._index = 0

    def push(self, batch: Batch) -> Iterator[Segment]:
        """Take in the next windows."""
        if not len(batch):
            return
        rows = batch.windows
        lengths = rows["end_s"] - rows["start_s"]
        self._shortest = min(self._shortest, float(lengths.min()))
        thinned = lengths > WHOLE * self._shortest
        for row, embedding, long in zip(rows, batch.embeddings, thinned):
            start_s, end_s = float(row["start_s"]), float(row["end_s"])
            if self._index and not -GAP_S <= start_s - self._end_s <= GAP_S:
                yield from self.finish()
            self._end_s, self._clock = end_s, float(row["time"]) - end_s
            weight = max(1, round((end_s - start_s) / self._shortest)) if self._shortest else 1
            self._judged.add((start_s + end_s) / 2, unknown_of(int(row["unknown"])), weight=weight)
            seen = Observation(
                index=self._index,
                start_s=start_s,
                end_s=end_s,
                embedding=embedding.astype(np.float32),
                held=int(long),
            )
            self._index += 1
            yield from self._follow(self._state.push(seen))

    def finish(self) -> Iterator[Segment]:
        """The stream ended, or was off from here on."""
        yield from self._follow(self._state.finish())
        if self._open is not None:
            yield self._until(self._open, max(self._end_s, self._open.start_s))
        self._open, self._state, self._index = None, self._policy.start(), 0
        self._judged = JudgedWindows()

    def _follow(self, decisions: list[Decision]) -> Iterator[Segment]:
        """A segment lasts until the next one begins, which is known only then."""
        for decision in decisions:
            if self._open is not None:
                yield self._until(self._open, max(decision.start_s, self._open.start_s))
            self._open = Segment(
                stream=self._stream,
                query=self._query,
                start_s=decision.start_s,
                end_s=decision.end_s,
                time=self._clock + decision.end_s,
                change=1.0 if decision.change is None else decision.change,
                embedding=decision.embedding,
            )

    def _until(self, segment: Segment, end_s: float) -> Segment:
        return replace(
            segment,
            end_s=end_s,
            time=segment.time + end_s - segment.end_s,
            unknown=self._judged.unknown(segment.start_s, end_s),
        )


def _sources(log: LogReader, where: Where) -> list[tuple[str, str]]:
    return [
        (each.name, query)
        for each in log.streams()
        if not where.streams or each.name in where.streams
        for query in each.queries
        if not where.queries or query in where.queries
    ]


def _shared(batch: Batch, span: Span) -> npt.NDArray[np.bool_]:
    """(N,) which windows have a part of a span."""
    rows = batch.windows
    ends = rows["time"] if span.wall else rows["end_s"]
    found: npt.NDArray[np.bool_] = (ends > span.since) & (ends - rows["end_s"] + rows["start_s"] < span.until)
    return found


def _around(at: float, where: Where) -> Where:
    """What may hold the windows near a time: a thinned one may have ended long after it began."""
    return replace(where, since=at - NEAR_S)


def _segment_of(batch: Batch, row: int) -> Segment:
    window = batch.windows[row]
    return Segment(
        stream=batch.stream,
        query=batch.query,
        start_s=float(window["start_s"]),
        end_s=float(window["end_s"]),
        time=float(window["time"]),
        change=float(window["score"]),
        embedding=batch.embeddings[row].astype(np.float32),
        unknown=unknown_of(int(window["unknown"])),
    )
