"""The store on a disk: SQLite says what counts, flat files beside it hold the arrays. Standard library and NumPy.

    LOG/log.sqlite     identity, parts and how many of their rows count, events, thumbnails, positions
    LOG/N.windows      rows of part N
    LOG/N.embeddings   its embeddings, float16, row by row
    LOG/index/         what makes it quick to search; may be removed

A step writes arrays first and their counts afterwards, in one transaction with everything else of the step. Rows beyond
the count are what a killed process left; the next step overwrites them. So nothing is torn and nothing is there twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vljepa_log.database import Database, trouble
from vljepa_log.errors import LogError
from vljepa_log.moments import Moment
from vljepa_log.neighbours import Neighbours
from vljepa_log.parts import EMBEDDING, ROW, SUFFIXES, Opened, Part, PartFiles, key_of, row_of, windows_of
from vljepa_log.products import Cosines
from vljepa_log.rows import TOLD, Batch, StoredEvent, Thumbnail, unknown_of
from vljepa_log.store import EVERYTHING, Contents, Held, Position, Where
from vljepa_log.thinning import thin
from vljepa_runtime import Event
from vljepa_runtime.files import claimed

__all__ = ["FolderStore"]

Array = npt.NDArray[Any]
Float32 = npt.NDArray[np.float32]
FILE = "log.sqlite"
OWN_FILES = (f"{FILE}*", *(f"*{suffix}" for suffix in SUFFIXES), "index/*.usearch")
PART_BYTES = 1 << 27
"""Embeddings of a part, which is opened, mapped and removed as one: 262,144 rows of 256 dimensions, three days of
one camera at a window a second. So much is searched without a graph in some 0.2 s; each graph takes its time."""
PIECE = 1 << 13
"""Rows read at once: 4 MB at 256 dimensions. A smaller part is written anew to remove any row, a larger one half."""
SMALL_PARTS = 8
"""So many sealed parts of less than half are joined."""
ATTEMPTS = 10


class FolderStore:
    """See `Store`.

    Args:
        folder: Of the log; made by its first writer.
        identity: Of what its embeddings mean, by name; a log that says otherwise is refused. None opens any log that
            is there.
        writable: Be its one writer.

    Raises:
        LogError: it is no log, of another model, or damaged.
        InputError: the folder cannot be written, or has its writer.
    """

    def __init__(self, folder: str | Path, *, identity: Mapping[str, str] | None, writable: bool) -> None:
        self.folder = Path(folder)
        self._writable = writable
        with ExitStack() as opening:
            if not (self.folder / FILE).is_file() and (identity is None or not writable):
                raise LogError(f"{self.folder} holds no log: write one with vljepa index or vljepa run --log")
            if writable:
                opening.enter_context(claimed(self.folder / FILE))
            self._database = opening.enter_context(
                closing(Database(self.folder / FILE, identity=identity, writable=writable))
            )
            width = int(self._database.identity["embedding_dim"])
            self._files = PartFiles(self.folder, width)
            self._most_rows = PART_BYTES // (EMBEDDING.itemsize * width)
            self._neighbours = Neighbours(self.folder / "index", width)
            if writable:
                with self._trouble("write"):
                    self._database.drop_unfinished()
                    self._sweep()
            self._held_open = opening.pop_all()

    @property
    def identity(self) -> dict[str, str]:
        """Of what its embeddings mean."""
        return self._database.identity

    def append(self, contents: Contents) -> None:
        """See `Store`."""
        with self._trouble("write"), self._database.step() as step:
            for batch in contents.batches:
                self._append(step.source(batch.stream, batch.query), batch)
            step.add(contents)

    def _append(self, source: int, batch: Batch) -> None:
        """Rows go to the end of the open part, and on into new ones."""
        rows = _stored(batch, source)
        embeddings = batch.embeddings
        while len(rows):
            part = self._database.open_part()
            room = self._most_rows - part.rows
            self._files.write(part.number, part.rows, rows[:room], embeddings[:room])
            self._database.count(part.number, rows[:room], sealed=len(rows) >= room)
            rows, embeddings = rows[room:], embeddings[room:]

    def held(self, where: Where = EVERYTHING) -> list[Held]:
        """See `Store`."""
        with self._trouble("read"):
            return self._database.held(where)

    def windows(self, where: Where = EVERYTHING) -> Iterator[Batch]:
        """See `Store`; embeddings of a part with one source are views of its file."""
        sources = self._database.sources(where)
        for opened in self._opened(where):
            for start in range(0, opened.part.rows, PIECE):
                rows = np.arange(start, min(start + PIECE, opened.part.rows))
                within = _within(opened.rows[start : rows[-1] + 1], where)
                for source, (stream, query) in sources.items():
                    chosen = rows[within & (opened.rows["source"][start : rows[-1] + 1] == source)]
                    if len(chosen):
                        yield _batch(opened, chosen, stream, query)

    def nearest(self, embedding: Float32, *, k: int, where: Where = EVERYTHING) -> list[Moment]:
        """See `Store`."""
        cosines = Cosines(embedding)
        sources = self._database.sources(where)
        best: list[tuple[float, Opened, int]] = []
        for opened in self._opened(where) if sources else []:
            within = self._mask(opened, where, sources)
            if within is None or within.any():
                rows, scores = self._neighbours.nearest(opened, within, cosines, k)
                best += [(score, opened, row) for score, row in zip(scores.tolist(), rows.tolist())]
        best.sort(key=lambda each: -each[0])
        return [_moment(opened, row, score, sources) for score, opened, row in best[:k]]

    def _mask(self, opened: Opened, where: Where, sources: Mapping[int, object]) -> Array | None:
        """(N,) which rows of a part are meant; None where all are, as its row in the database tells."""
        part = opened.part
        since = where.since is not None and part.first < where.since
        until = where.until is not None and part.last >= where.until
        some = bool(where.streams or where.queries) and not self._database.holds_only(part.number, sources)
        if not (since or until or some):
            return None
        within = _within(opened.rows, where)
        return within & np.isin(opened.rows["source"], list(sources)) if some else within

    def around(self, window: Moment, *, count: int) -> Batch | None:
        """See `Store`."""
        number, row = row_of(window.key)
        opened = self._files.opened(number) or self._one(number)  # a search has opened it a moment ago
        if opened is None or row >= opened.part.rows:
            return None
        reach = count * opened.part.sources
        rows = np.arange(max(0, row - reach), min(opened.part.rows, row + reach + 1))
        same = opened.rows["source"][rows[0] : rows[-1] + 1] == opened.rows["source"][row]
        return _batch(opened, rows[same], window.stream, window.query)

    def events(self, where: Where = EVERYTHING) -> Iterator[StoredEvent]:
        """See `Store`."""
        after = None
        while True:  # in pages, so that a writer is not kept from tidying its journal
            with self._trouble("read"):
                page, after = self._database.events(where, after=after)
            for number, at, line in page:  # read one by one: who looks for words needs a few
                yield StoredEvent(number=number, time=at, event=Event.from_json(line))
            if after is None:
                return

    def thumbnail(self, stream: str, at_s: float, *, time: float | None = None) -> Thumbnail | None:
        """See `Store`."""
        with self._trouble("read"):
            return self._database.thumbnail(stream, at_s, time)

    def thumbnails(self, where: Where = EVERYTHING) -> Iterator[Thumbnail]:
        """See `Store`."""
        after: int | None = 0
        while after is not None:
            with self._trouble("read"):
                page, after = self._database.thumbnails(where, after=after)
            yield from page

    def positions(self, *, stream: str | None = None) -> dict[tuple[str, str], Position]:
        """See `Store`."""
        with self._trouble("read"):
            return self._database.positions(stream)

    def thin(self, *, until: float, within: float) -> int:
        """See `Store`; a growing part is thinned when all of it is old."""
        parts = [part for part in self._parts(Where(until=until)) if part.last < until and not part.thinned]
        removed = 0
        for part in parts:
            opened = self._sealed(part)
            kept = np.concatenate(list(self._thinned(opened, within)))
            order = np.argsort(kept["rows"]["time"], kind="stable")
            self._replace(
                [opened.part], kept["rows"][order], opened.embeddings[kept["at"][order]], thinned=True
            )
            removed += opened.part.rows - len(kept)
        return removed

    def _thinned(self, opened: Opened, within: float) -> Iterator[Array]:
        """What is left of each source: its rows, and where their embeddings lie."""
        for source in np.unique(opened.rows["source"]):
            at = np.flatnonzero(opened.rows["source"] == source)
            batch = thin(_batch(opened, at, "", ""), within=within)
            kept = np.empty(len(batch), [("rows", ROW), ("at", np.int64)])
            kept["rows"] = _stored(batch, int(source))
            kept["at"] = [row_of(int(key))[1] for key in batch.windows["key"]]
            yield kept

    def forget(self, before: float) -> int:
        """See `Store`."""
        removed = 0
        for part in self._parts(Where(until=before)):
            if part.last < before:
                self._replace([part], np.zeros(0, ROW), np.zeros((0, 0)), thinned=False)
                removed += part.rows
                continue
            stay = np.flatnonzero(self._open(part).rows["time"] >= before)
            if len(stay) < part.rows and (2 * len(stay) <= part.rows or part.rows <= PIECE):
                opened = self._sealed(part)
                stay = np.flatnonzero(opened.rows["time"] >= before)
                self._replace([opened.part], opened.rows[stay], opened.embeddings[stay], thinned=part.thinned)
                removed += opened.part.rows - len(stay)
        with self._trouble("write"):
            self._database.forget(before)
        return removed

    def tidy(self) -> None:
        """See `Store`."""
        small = [part for part in self._parts() if part.sealed and part.rows < self._most_rows // 2]
        while len(small) >= SMALL_PARTS:
            some = [small.pop(0)]
            while small and sum(part.rows for part in some) + small[0].rows <= self._most_rows:
                some.append(small.pop(0))
            if len(some) > 1:
                opened = [self._open(part) for part in some]
                rows = np.concatenate([each.rows for each in opened])
                embeddings = np.concatenate([each.embeddings for each in opened])
                self._replace(some, rows, embeddings, thinned=all(part.thinned for part in some))
        with self._trouble("write"):
            self._database.shrink()

    def update(self, *, lasting: bool = False, ended: Callable[[], bool] = lambda: False) -> None:
        """See `Store`."""
        self._neighbours.update(self._opened(EVERYTHING), lasting=lasting, ended=ended)

    def behind(self) -> bool:
        """See `Store`."""
        return any(self._neighbours.behind(part) for part in self._parts())

    def bytes(self) -> int:
        """See `Store`; what others keep in its folder, clips or video, is not counted."""
        return sum(_size(path) for pattern in OWN_FILES for path in self.folder.glob(pattern))

    def close(self) -> None:
        """See `Store`."""
        self._held_open.close()

    def _parts(self, where: Where = EVERYTHING) -> list[Part]:
        with self._trouble("read"):
            return self._database.parts(where)

    def _open(self, part: Part) -> Opened:
        with self._trouble("read"):
            return self._files.open(part)

    def _one(self, number: int) -> Opened | None:
        with self._trouble("read"):
            part = self._database.part(number)
            try:
                return None if part is None else self._files.open(part)
            except FileNotFoundError:
                return None

    def _opened(self, where: Where) -> list[Opened]:
        """All parts that may hold what is meant, mapped at one moment; a part that is removed meanwhile is no error."""
        for attempt in range(ATTEMPTS):
            parts = self._parts(where)
            with self._trouble("read"):
                try:
                    opened = [self._files.open(part) for part in parts]
                except FileNotFoundError:
                    if attempt + 1 == ATTEMPTS:
                        raise
                    continue
                if where == EVERYTHING:
                    alive = {part.number for part in parts}
                    self._files.forget_but(alive)
                    self._neighbours.forget_but(alive)
                return opened
        return []

    def _sealed(self, part: Part) -> Opened:
        """A part that will not grow any more, so that it can be written anew beside what comes."""
        with self._trouble("write"):
            return self._files.open(self._database.seal(part.number))

    def _replace(self, parts: list[Part], rows: Array, embeddings: Array, *, thinned: bool) -> None:
        """Put other rows in the place of sealed parts; the files are written while they do not count yet."""
        with self._trouble("write"):
            number = self._database.begin_part(thinned=thinned) if len(rows) else None
            if number is not None:
                self._files.write(number, 0, rows, embeddings)
            with self._database.step():
                if number is not None:
                    self._database.count(number, rows, sealed=True)
                self._database.drop([part.number for part in parts])
            self._sweep()

    def _sweep(self) -> None:
        """Remove the files of parts that are no more; whoever maps them may go on."""
        alive = self._database.numbers()
        self._files.remove_but(alive)
        self._neighbours.remove_but(alive)

    @contextmanager
    def _trouble(self, what: str) -> Iterator[None]:
        with trouble(what, self.folder):
            yield


def _stored(batch: Batch, source: int) -> Array:
    rows = np.empty(len(batch), ROW)
    rows["source"] = source
    for name, _ in TOLD:
        rows[name] = batch.windows[name]
    return rows


def _batch(opened: Opened, rows: Array, stream: str, query: str) -> Batch:
    """Some rows of a part, in order; a view where they are neighbours."""
    neighbours = len(rows) and rows[-1] - rows[0] + 1 == len(rows)
    chosen = opened.embeddings[rows[0] : rows[-1] + 1] if neighbours else opened.embeddings[rows]
    return Batch(stream=stream, query=query, windows=windows_of(opened, rows), embeddings=chosen)


def _moment(opened: Opened, row: int, score: float, sources: Mapping[int, tuple[str, str]]) -> Moment:
    source, start_s, end_s, time, _, flag = opened.rows[row].item()
    stream, query = sources[source]
    return Moment(
        stream=stream, query=query, start_s=start_s, end_s=end_s, time=time, score=score,
        key=key_of(opened.part.number, row), unknown=unknown_of(flag),
    )  # fmt: skip


def _within(rows: Array, where: Where) -> Array:
    """(N,) which rows end in the time that is meant."""
    within = np.ones(len(rows), bool)
    if where.since is not None:
        within &= rows["time"] >= where.since
    if where.until is not None:
        within &= rows["time"] < where.until
    return within


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:  # removed by the writer meanwhile
        return 0
