"""A log that is read: what streams it holds, and which moments of them are nearest to words, a picture or a moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from heapq import nlargest
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vljepa_log.background import Background
from vljepa_log.errors import LogError
from vljepa_log.moments import APART_S, GAP_S, MARGIN, Moment, distinct, join, merge
from vljepa_log.products import Cosines
from vljepa_log.rows import Batch, StoredEvent, Thumbnail, unknown_of
from vljepa_log.store import EVERYTHING, Held, Store, Where
from vljepa_log.stores import open_store
from vljepa_log.words import words_of
from vljepa_runtime import InputError
from vljepa_runtime.bundle import identity_of
from vljepa_runtime.closing import Closing

if TYPE_CHECKING:
    from vljepa_runtime import Manifest
    from vljepa_runtime.selection import Boundaries

__all__ = ["LogReader", "StreamSummary"]

Float32 = npt.NDArray[np.float32]
FIRST, MOST = 4, 64
"""How many windows are looked for, for each moment that is wanted, at first and where they make too few moments."""
REACH = 8, 8192
"""How far a moment is followed to either side of its best window, in windows, at first and at most."""
AT_ONCE = 8192
"""Windows that are scored at a time: 50 MB of the paper's embeddings."""
UPDATE_S = 5.0  # between looks for what is to be indexed


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSummary:
    """What a log holds of one stream.

    Attributes:
        name: The stream's.
        windows: How many, over all queries.
        queries: What its embeddings answer.
        first: Wall clock of its oldest window, in seconds since 1970.
        last: Wall clock of its newest window.
    """

    name: str
    windows: int
    queries: tuple[str, ...]
    first: float
    last: float


class LogReader(Closing):
    """A log, opened to be read while another process may write it.

    Args:
        place: Folder of the log.
        manifest: Of the bundle whose embeddings are searched for; a log of another model is refused. None where
            nothing is compared with embeddings of a model.
        boundaries: Networks of the bundle that see where events end (`Model.boundaries`); None goes by distance.

    Raises:
        LogError: there is no log, or it is another model's.

    Examples:
        >>> import numpy as np
        >>> from vljepa_log import LogReader, LogWriter, Where
        >>> from vljepa_runtime import load
        >>> model = load("tiny")
        >>> with LogWriter("LOG", model.bundle.manifest) as log:
        ...     embedding = model.embed_text(["a ball falls"])[0]
        ...     log.add_window("door", "What happens?", start_s=0, end_s=2, embedding=embedding, at=100.0)
        >>> with LogReader("LOG", model.bundle.manifest) as log:
        ...     for moment in log.search(model.embed_text(["a ball drops"])[0], k=3, where=Where(since=99)):
        ...         print(moment.stream, moment.start_s, moment.end_s, round(moment.score, 1))
        door 0.0 2.0 0...
    """

    def __init__(
        self,
        place: str | Path,
        manifest: Manifest | None = None,
        *,
        boundaries: Boundaries | None = None,
    ) -> None:
        self.boundaries = boundaries
        identity = None if manifest is None else identity_of(manifest)
        self._store: Store = open_store(place, identity=identity, writable=False)
        self._width: int | None = None if manifest is None else manifest.embedding_dim
        self._upkeep = Background(self._update, every_s=UPDATE_S)

    @property
    def store(self) -> Store:
        """Where it is kept."""
        return self._store

    def streams(self) -> list[StreamSummary]:
        """What it holds, by the name of the stream."""
        found: dict[str, list[Held]] = {}
        for held in self._store.held():
            found.setdefault(held.stream, []).append(held)
        return [
            StreamSummary(
                name=name,
                windows=sum(held.windows for held in several),
                queries=tuple(held.query for held in several),
                first=min(held.first for held in several),
                last=max(held.last for held in several),
            )
            for name, several in sorted(found.items())
        ]

    def search(
        self, embedding: Float32, *, k: int = 10, where: Where = EVERYTHING, each_query: bool = True
    ) -> list[Moment]:
        """The k moments nearest to an embedding (S,), best first. Nothing is decoded.

        A moment is what lies around a window that is nearer than all between it and a nearer one, by 0.1 of cosine.
        What makes large logs quick to search is made meanwhile, in a thread of low priority.

        Args:
            embedding: What is looked for.
            k: How many moments.
            where: Which windows are looked at.
            each_query: Where a stream was asked several queries, find a time once for each of them; else once.

        Raises:
            InputError: the embedding has another length than those of the log, or k is below 1.
            LogError: the log cannot be read.
        """
        if k < 1:
            raise InputError(f"expected k of at least 1, got {k}")
        if self._width is not None and np.shape(embedding) != (self._width,):
            raise InputError(
                f"expected an embedding ({self._width},), got one of shape {np.shape(embedding)}"
            )
        moments = self._moments(embedding, k, where, each_query=each_query)
        if self._store.behind():
            self._upkeep.wake()
        return [self._with_words(moment) for moment in moments]

    def search_by(
        self, score: Callable[[Float32], Float32], *, k: int = 10, where: Where = EVERYTHING
    ) -> list[Moment]:
        """The k moments with the best scores of one's own. Every window is looked at, oldest first.

        Args:
            score: Of embeddings (N, S) float32, some thousands at a time: (N,), above 0 for those that are meant.
            k: How many moments.
            where: Which windows are looked at.

        Raises:
            InputError: k is below 1.
            LogError: the log cannot be read.

        Examples:
            >>> import numpy as np
            >>> from vljepa_log import LogReader, LogWriter
            >>> from vljepa_runtime import Bundle
            >>> with LogWriter("GATE", Bundle.open("tiny").manifest) as log:
            ...     for second in range(4):
            ...         row = np.eye(256)[second // 2]
            ...         log.add_window("gate", "What happens?", start_s=second, end_s=second + 1, embedding=row)
            >>> with LogReader("GATE") as log:
            ...     [(moment.start_s, moment.end_s) for moment in log.search_by(lambda rows: rows[:, 1])]
            [(2.0, 4.0)]
        """
        if k < 1:
            raise InputError(f"expected k of at least 1, got {k}")
        best: list[Moment] = []
        last: dict[tuple[str, str], Moment] = {}
        for batch in self._store.windows(where):
            pieces = [batch.embeddings[at : at + AT_ONCE] for at in range(0, len(batch), AT_ONCE)]
            scores = np.concatenate([score(np.asarray(each, np.float32)) for each in pieces])
            for run in _runs(batch, scores):
                source = (run.stream, run.query)
                before = last.get(source)
                if before is not None and _goes_on(before, run):
                    run = before.joined(run) if before.score >= run.score else run.joined(before)
                elif before is not None:
                    best.append(before)
                last[source] = run
            best = nlargest(k, best, key=lambda each: each.score)
        best = nlargest(k, [*best, *last.values()], key=lambda each: each.score)
        return [self._with_words(moment) for moment in best]

    def _moments(self, embedding: Float32, k: int, where: Where, *, each_query: bool) -> list[Moment]:
        """Windows that were found, each followed to both sides; more are looked for while they make too few."""
        wanted, cosines, needed = FIRST * k, Cosines(embedding), k
        followed: list[Moment] = []
        while True:
            windows = self._store.nearest(embedding, k=wanted, where=where)
            for moment in merge(windows):
                if not any(each.holds(moment) for each in followed):
                    join(followed, self._followed(moment, cosines, where))
                if len(followed) >= needed:
                    found = distinct(followed, limit=k, each_query=each_query)
                    if len(found) == k:
                        return found
                    needed = len(followed) + k - len(found)
            if len(windows) < wanted or wanted >= MOST * k:
                return distinct(followed, limit=k, each_query=each_query)
            wanted *= 4

    def _followed(self, moment: Moment, cosines: Cosines, where: Where) -> Moment:
        """A moment with the windows beside its best one that say the same, also those that were not found."""
        (reach, most), before = REACH, 0
        while True:
            batch = self._store.around(moment, count=reach)
            if batch is None:
                return moment
            first, last = _run(batch, moment, cosines, where)
            inside = first > 0 and last < len(batch) - 1
            if inside or reach >= most or len(batch) == before:
                break
            reach, before = 4 * reach, len(batch)
        times = batch.windows[[first, last]]
        return replace(
            moment,
            start_s=min(moment.start_s, float(times["start_s"][0])),
            end_s=max(moment.end_s, float(times["end_s"][1])),
            time=max(moment.time, float(times["time"][1])),
        )

    def _update(self) -> None:
        self._store.update(ended=lambda: self._upkeep.ended)

    def embedding_at(self, stream: str, at_s: float, query: str | None = None) -> Float32:
        """The embedding (S,) float32 of the window of a stream whose middle is nearest to a time, for more like it.

        Raises:
            LogError: the log holds nothing of that stream, or nothing of it for that query.
        """
        where = Where(streams=(stream,), queries=(query,) if query else ())
        best: tuple[float, Float32] | None = None
        for batch in self.windows(where):
            away = np.abs((batch.windows["start_s"] + batch.windows["end_s"]) / 2 - at_s)
            row = int(away.argmin())
            if best is None or away[row] <= best[0]:  # of several runs of a camera the last one
                best = float(away[row]), batch.embeddings[row].astype(np.float32)
        if best is None:
            known = ", ".join(each.name for each in self.streams()) or "none"
            raise LogError(f"the log holds no windows of {stream}; its streams: {known}")
        return best[1]

    def windows(self, where: Where = EVERYTHING) -> Iterator[Batch]:
        """Windows in pieces of one stream and query, of each the oldest first."""
        return self._store.windows(where)

    def events(self, where: Where = EVERYTHING) -> Iterator[StoredEvent]:
        """What was told of the streams, oldest first."""
        return self._store.events(where)

    def thumbnail(self, stream: str, at_s: float, *, time: float | None = None) -> Thumbnail | None:
        """The picture nearest to a moment of a stream, in stream time.

        Args:
            stream: Name of the stream.
            at_s: In stream time; of a camera that was started several times, each run begins at 0.
            time: Wall clock of the moment, in seconds since 1970: where given, this is what counts.
        """
        return self._store.thumbnail(stream, at_s, time=time)

    def picture(self, moment: Moment) -> Thumbnail | None:
        """The picture nearest to the middle of a moment."""
        half = (moment.end_s - moment.start_s) / 2
        return self._store.thumbnail(moment.stream, moment.start_s + half, time=moment.time - half)

    def close(self) -> None:
        """Let the log go."""
        self._upkeep.close()
        self._store.close()

    def _with_words(self, moment: Moment) -> Moment:
        return replace(moment, text=words_of(self._store, moment))


def _run(batch: Batch, moment: Moment, cosines: Cosines, where: Where) -> tuple[int, int]:
    """First and last row of the windows around a moment's best one that belong to it: most often a few."""
    since, until = where.since, where.until
    starts, ends, times = (batch.windows[name].tolist() for name in ("start_s", "end_s", "time"))
    near = (cosines(batch.embeddings) >= moment.score - MARGIN).tolist()

    def belongs(row: int) -> bool:
        return near[row] and (since is None or times[row] >= since) and (until is None or times[row] < until)

    def goes_on(one: int, after: int) -> bool:
        """Not over a pause, or into a run of a stream that began anew."""
        late_s = (times[after] - times[one]) - (ends[after] - ends[one])
        return bool(starts[one] <= starts[after] <= ends[one] + GAP_S and abs(late_s) <= APART_S)

    first = last = int((batch.windows["key"] == moment.key).argmax())
    while first > 0 and belongs(first - 1) and goes_on(first - 1, first):
        first -= 1
    while last < len(near) - 1 and belongs(last + 1) and goes_on(last, last + 1):
        last += 1
    return first, last


def _runs(batch: Batch, scores: Float32) -> Iterator[Moment]:
    """Windows in a row with a score above 0, each row as one moment; where the stream has a gap, a row ends."""
    windows, meant = batch.windows, scores > 0
    starts, ends = windows["start_s"], windows["end_s"]
    goes_on = meant[1:] & meant[:-1] & (starts[1:] >= starts[:-1]) & (starts[1:] <= ends[:-1] + GAP_S)
    firsts = np.flatnonzero(meant & ~np.concatenate([[False], goes_on]))
    lasts = np.flatnonzero(meant & ~np.concatenate([goes_on, [False]]))
    for first, after in zip(firsts.tolist(), (lasts + 1).tolist()):
        best = first + int(scores[first:after].argmax())
        yield Moment(
            stream=batch.stream,
            query=batch.query,
            start_s=float(windows["start_s"][first:after].min()),
            end_s=float(windows["end_s"][first:after].max()),
            time=float(windows["time"][first:after].max()),
            score=float(scores[best]),
            key=int(windows["key"][best]),
            unknown=unknown_of(int(windows["unknown"][best])),
        )


def _goes_on(before: Moment, run: Moment) -> bool:
    """Whether a later run of windows belongs to a moment, by both clocks: a camera that began anew is another one."""
    apart_s = run.start_s - before.end_s
    return (
        run.end_s >= before.end_s
        and apart_s <= GAP_S
        and run.time - before.time <= run.end_s - before.end_s + GAP_S
    )
