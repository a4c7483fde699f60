"""Segments of any span of a log at once: cut in cells of a quarter of an hour, those that are over but once."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vljepa_log.segments import GAP_S, Segment, segments_of
from vljepa_log.store import Where

if TYPE_CHECKING:
    from vljepa_log.reader import LogReader

__all__ = ["SegmentCache"]

CELL_S = 900.0
LEAD_S = 300.0
"""A cell is cut from so long before on, so that its first segment is known to have begun, or goes on from there."""
SAME_S = 1.0
"""How far apart the begins of one segment may lie in two cells."""
MAX_SEGMENTS = 20_000
"""That are kept: a week of a busy camera; 20 MB at 256 dimensions."""
Key = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class _Cell:
    """Segments that reach into a cell; whether the first one of them may have begun before what was looked at."""

    segments: tuple[Segment, ...]
    is_open: bool


class SegmentCache:
    """Segments of a log by the wall clock, without words; methods may be called from several threads.

    Args:
        log: Where they come from.
        clock: Wall clock, in seconds since 1970.

    Examples:
        >>> import vljepa_runtime as vj
        >>> from vljepa_log import LogReader, LogWriter, SegmentCache, index_source
        >>> model = vj.load("tiny")
        >>> with LogWriter("CELLS", model.bundle.manifest) as log:
        ...     done = index_source(model, "clip.mp4", log)
        >>> with LogReader("CELLS") as log:
        ...     (held,) = log.store.held()
        ...     cache = SegmentCache(log)
        ...     found = cache.between("clip.mp4", held.query, held.first - 2, held.last)
        >>> [(segment.start_s, segment.end_s) for segment in found]
        [(0.0, 3.0), (3.0, 6.0)]
    """

    def __init__(self, log: LogReader, *, clock: Callable[[], float] = time.time) -> None:
        self._log, self._clock = log, clock
        self._lock = threading.Lock()
        self._cells: OrderedDict[Key, _Cell] = OrderedDict()
        self._count = 0

    def between(self, stream: str, query: str, since: float, until: float) -> list[Segment]:
        """Segments of one stream and query that have a part of a span, in the order of time.

        One that goes on for long outside of the span is cut there, up to 20 minutes away.

        Args:
            stream: Name of the stream.
            query: What its embeddings answer.
            since: Begin, in seconds since 1970.
            until: End, in the same.

        Raises:
            LogError: the log cannot be read.
        """
        held = self._log.store.held(Where(streams=(stream,), queries=(query,)))
        if not held:
            return []
        first, last = min(each.first for each in held), max(each.last for each in held)
        begin, end = int(max(since, first - CELL_S) // CELL_S), int(min(until, last) // CELL_S)
        found: list[Segment] = []
        for number in range(begin, end + 1):
            cell = self._cell(stream, query, number, over=min(last, self._clock()))
            _join(found, cell)
        return [each for each in found if each.time > since and each.began < until]

    def _cell(self, stream: str, query: str, number: int, *, over: float) -> _Cell:
        key, begin, end = (stream, query, number), number * CELL_S, (number + 1) * CELL_S
        is_over = end + LEAD_S <= over  # a clock that was put back fills it again: then it is not
        with self._lock:
            cell = self._cells.get(key)
            if cell is not None and is_over:
                self._cells.move_to_end(key)
                return cell
        since = begin - LEAD_S
        where = Where(streams=(stream,), queries=(query,), since=since, until=end)
        cut = list(segments_of(self._log, where))
        inside = tuple(each for each in cut if each.time > begin)
        is_open = bool(inside) and inside[0] is cut[0] and inside[0].began - since <= GAP_S
        cell = _Cell(inside, is_open)
        self._keep(key, cell if is_over else None)
        return cell

    def _keep(self, key: Key, cell: _Cell | None) -> None:
        with self._lock:
            if (before := self._cells.pop(key, None)) is not None:
                self._count -= len(before.segments)
            if cell is None:
                return
            self._cells[key] = cell
            self._count += len(cell.segments)
            while self._count > MAX_SEGMENTS and len(self._cells) > 1:
                self._count -= len(self._cells.popitem(last=False)[1].segments)


def _join(found: list[Segment], cell: _Cell) -> None:
    """Add a cell's segments behind those of the cells before it, which may have cut its first one short."""
    if not cell.segments:
        return
    first, *others = cell.segments
    while found and found[-1].began > first.began + SAME_S:
        found.pop()
    last = found[-1] if found else None
    if last is None or first.began - last.time > GAP_S:
        found.append(first)
    elif first.began - last.began <= SAME_S or cell.is_open:
        longer = max(first.time, last.time) - last.time
        found[-1] = replace(last, end_s=last.end_s + longer, time=last.time + longer)
    else:
        longer = first.began - last.time  # until the next one begins, whichever cell has its last window
        found[-1] = replace(last, end_s=last.end_s + longer, time=last.time + longer)
        found.append(first)
    found += others
