"""A log that is read: what streams it holds, and which moments of them are nearest to words, a picture or a moment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vljepa_log.errors import LogError
from vljepa_log.moments import Moment, merge
from vljepa_log.neighbours import Hit, Neighbours
from vljepa_log.rows import Batch, StoredEvent, Thumbnail
from vljepa_log.store import EVERYTHING, Part, Store, Where
from vljepa_log.stores import open_store
from vljepa_runtime.bundle import identity_of
from vljepa_runtime.closing import Closing

if TYPE_CHECKING:
    from vljepa_runtime import Manifest

__all__ = ["LogReader", "StreamSummary"]

Float32 = npt.NDArray[np.float32]
WINDOWS_PER_MOMENT = 32
"""How many windows are looked for, for each moment that is wanted: an event of half a minute at one a second."""


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

    def __init__(self, place: str | Path, manifest: Manifest | None = None) -> None:
        identity = None if manifest is None else identity_of(manifest)
        self._store: Store = open_store(place, identity=identity, writable=False)
        self._neighbours = Neighbours(self._store, self._store.cache)

    @property
    def store(self) -> Store:
        """Where it is kept."""
        return self._store

    def streams(self) -> list[StreamSummary]:
        """What it holds, by the name of the stream."""
        found: dict[str, list[Part]] = {}
        for part in self._store.parts():
            found.setdefault(part.stream, []).append(part)
        return [
            StreamSummary(
                name=name,
                windows=sum(part.rows for part in parts),
                queries=tuple(dict.fromkeys(part.query for part in parts)),
                first=min(part.first for part in parts),
                last=max(part.last for part in parts),
            )
            for name, parts in sorted(found.items())
        ]

    def search(self, embedding: Float32, *, k: int = 10, where: Where = EVERYTHING) -> list[Moment]:
        """The k moments nearest to an embedding (S,), best first. Nothing is decoded."""
        hits = self._neighbours.nearest(embedding, k=k * WINDOWS_PER_MOMENT, where=where)
        return [self._with_words(moment) for moment in merge(map(self._moment, hits), limit=k)]

    def update(self) -> None:
        """Take what was logged since into the graphs that make large logs quick to search; see `Neighbours`."""
        self._neighbours.update()

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
            if best is None or away[row] < best[0]:
                best = float(away[row]), batch.embeddings[row].astype(np.float32)
        if best is None:
            known = ", ".join(each.name for each in self.streams()) or "none"
            raise LogError(f"the log holds no windows of {stream}; its streams: {known}")
        return best[1]

    def windows(self, where: Where = EVERYTHING) -> Iterator[Batch]:
        """Windows, part by part, oldest first."""
        for part in self._store.parts(where):
            batch = self._store.read(part)
            if len(batch):
                yield batch

    def events(self, where: Where = EVERYTHING) -> Iterator[StoredEvent]:
        """What was told of the streams, oldest first."""
        return self._store.events(where)

    def thumbnail(self, stream: str, at_s: float) -> Thumbnail | None:
        """The picture nearest to a moment of a stream."""
        return self._store.thumbnail(stream, at_s)

    def close(self) -> None:
        """Let the log go."""
        self._store.close()

    def _moment(self, hit: Hit) -> Moment:
        window = self._store.read(hit.part).windows[hit.row]
        return Moment(
            stream=hit.part.stream,
            query=hit.part.query,
            start_s=float(window["start_s"]),
            end_s=float(window["end_s"]),
            time=float(window["time"]),
            score=hit.score,
            key=int(window["key"]),
        )

    def _with_words(self, moment: Moment) -> Moment:
        """The words of the decoded segment that a moment shares most time with."""
        span = Where(streams=(moment.stream,), since=moment.time - (moment.end_s - moment.start_s) - 60)
        best, words = 0.0, ""
        for stored in self._store.events(replace(span, queries=(moment.query,))):
            event = stored.event
            shared = min(event.end_s, moment.end_s) - max(event.start_s, moment.start_s)
            if event.text and shared > best:
                best, words = shared, event.text
        return replace(moment, text=words)
