"""The store on a disk: SQLite says what counts, flat files beside it hold the arrays. Standard library and NumPy.

    LOG/log.sqlite     identity, parts and how many of their rows count, events, thumbnails, positions
    LOG/N.windows      rows of part N, each a `WINDOW`
    LOG/N.embeddings   its embeddings, float16, row by row
    LOG/index/         what makes it quick to search; may be removed

A step writes arrays first and their counts afterwards, in one transaction with everything else of the step. Rows beyond
the count are what a killed process left; the next step overwrites them. So nothing is torn and nothing is there twice.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from vljepa_log.errors import LogError
from vljepa_log.rows import WINDOW, Batch, StoredEvent, Thumbnail
from vljepa_log.store import EVERYTHING, Contents, Part, Position, Where
from vljepa_runtime import Event
from vljepa_runtime.files import claimed

__all__ = ["FILE", "FolderStore"]

FILE = "log.sqlite"
LAYOUT = 1
ROWS = 1 << 17
"""Of a part, a day and a half at a window a second: what is opened, mapped, replaced and removed as one."""
KEY_BITS = 20
"""A key is the part's number and then, in so many bits, the row."""
BUSY_S = 30.0
EMBEDDING = np.dtype("<f2")

_TABLES = """
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS parts (
    number INTEGER PRIMARY KEY AUTOINCREMENT, stream TEXT NOT NULL, query TEXT NOT NULL,
    rows INTEGER NOT NULL, first REAL NOT NULL, last REAL NOT NULL,
    sealed INTEGER NOT NULL DEFAULT 0, thinned INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY AUTOINCREMENT, stream TEXT NOT NULL, time REAL NOT NULL, event TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS events_by_time ON events (time);
CREATE TABLE IF NOT EXISTS thumbnails (
    stream TEXT NOT NULL, at_s REAL NOT NULL, time REAL NOT NULL, jpeg BLOB NOT NULL, PRIMARY KEY (stream, at_s));
CREATE TABLE IF NOT EXISTS positions (
    stream TEXT PRIMARY KEY, at_s REAL NOT NULL, complete INTEGER NOT NULL, source TEXT NOT NULL) WITHOUT ROWID;
"""


class FolderStore:
    """See `Store`.

    Args:
        folder: Of the log; made by its first writer.
        identity: Of what its embeddings mean, by name; a log that says otherwise is refused. None reads any log.
        writable: Be its one writer.

    Raises:
        LogError: it is no log, of another model, or being written already.
        InputError: the folder cannot be written.
    """

    def __init__(self, folder: str | Path, *, identity: Mapping[str, str] | None, writable: bool) -> None:
        self.folder = Path(folder)
        self.cache: Path | None = self.folder / "index"
        self._writable = writable
        self._held = ExitStack()
        with ExitStack() as opening:
            if writable:
                opening.enter_context(claimed(self.folder / FILE))
            elif not (self.folder / FILE).is_file():
                raise LogError(f"{self.folder} holds no log: write one with vljepa index or vljepa run --log")
            self._database = opening.enter_context(closing(self._connect()))
            with self._trouble("open"):
                self._prepare(identity)
            self._width = int(self.identity["embedding_dim"])
            if writable:
                self._sweep()
            self._held = opening.pop_all()

    def _connect(self) -> sqlite3.Connection:
        mode = "rwc" if self._writable else "rw"  # who reads a log in WAL writes its index of pages
        address = f"{(self.folder / FILE).absolute().as_uri()}?mode={mode}"
        return sqlite3.connect(
            address, uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False
        )

    def _prepare(self, identity: Mapping[str, str] | None) -> None:
        run = self._database.execute
        if self._writable:
            run("PRAGMA auto_vacuum = INCREMENTAL")
            run("PRAGMA journal_mode = WAL")
            run("PRAGMA synchronous = NORMAL")
            self._database.executescript(_TABLES)
        if self._writable and not self._about():
            with self._step():
                self._database.executemany(
                    "INSERT INTO about VALUES (?, ?)",
                    [("layout", str(LAYOUT)), ("identity", json.dumps(dict(identity or {}), sort_keys=True))],
                )
        _check(self.folder, self._about(), identity)

    def _about(self) -> dict[str, str]:
        return dict(self._database.execute("SELECT name, value FROM about"))

    @property
    def identity(self) -> dict[str, str]:
        """Of what its embeddings mean."""
        found: dict[str, str] = json.loads(self._about()["identity"])
        return found

    def append(self, contents: Contents) -> None:
        """See `Store`."""
        with self._trouble("write"), self._step():
            for batch in contents.batches:
                self._append_windows(batch)
            run = self._database.executemany
            run(
                "INSERT INTO events (stream, time, event) VALUES (?, ?, ?)",
                [(each.event.stream, each.time, each.event.to_json()) for each in contents.events],
            )
            run(
                "INSERT OR REPLACE INTO thumbnails VALUES (?, ?, ?, ?)",
                [(each.stream, each.at_s, each.time, each.jpeg) for each in contents.thumbnails],
            )
            run(
                "INSERT OR REPLACE INTO positions VALUES (?, ?, ?, ?)",
                [(name, each.at_s, each.complete, each.source) for name, each in contents.positions.items()],
            )

    def _append_windows(self, batch: Batch) -> None:
        """Rows go to the end of the open part, and on into new ones."""
        while len(batch):
            part = self._open_part(batch)
            room = ROWS - part.rows
            self._write(part, batch.take(slice(room)))
            batch = batch.take(slice(room, None))

    def _open_part(self, batch: Batch) -> Part:
        found = self._parts("stream = ? AND query = ? AND NOT sealed", (batch.stream, batch.query))
        return found[0] if found else self._new_part(batch)

    def _new_part(self, batch: Batch) -> Part:
        time = float(batch.windows["time"][0])
        number = self._database.execute(
            "INSERT INTO parts (stream, query, rows, first, last) VALUES (?, ?, 0, ?, ?)",
            (batch.stream, batch.query, time, time),
        ).lastrowid
        (part,) = self._parts("number = ?", (number,))
        return part

    def _write(self, part: Part, batch: Batch) -> None:
        """Arrays first: their count makes them true."""
        if not len(batch):
            return
        windows = batch.windows.copy()
        windows["key"] = (part.number << KEY_BITS) + part.rows + np.arange(len(batch))
        rows = part.rows + len(batch)
        for path, array in zip(self._files(part.number), (windows, batch.embeddings.astype(EMBEDDING))):
            _write_at(path, part.rows * array[:1].nbytes, array.tobytes())
        self._database.execute(
            "UPDATE parts SET rows = ?, first = min(first, ?), last = max(last, ?), sealed = ? WHERE number = ?",
            (rows, float(windows["time"].min()), float(windows["time"].max()), rows >= ROWS, part.number),
        )

    def parts(self, where: Where = EVERYTHING) -> list[Part]:
        """See `Store`."""
        conditions, values = _conditions(where, since="last >= ?", until="first < ?")
        if where.queries:
            conditions.append(f"query IN ({', '.join('?' * len(where.queries))})")
            values += where.queries
        with self._trouble("read"):
            return self._parts(" AND ".join(conditions or ["TRUE"]), values)

    def _parts(self, condition: str, values: Sequence[object]) -> list[Part]:
        found = self._database.execute(
            "SELECT number, stream, query, rows, first, last, sealed, thinned FROM parts "
            f"WHERE {condition} ORDER BY first, number",
            values,
        )
        names = ("number", "stream", "query", "rows", "first", "last")
        return [Part(**dict(zip(names, row)), sealed=bool(row[-2]), thinned=bool(row[-1])) for row in found]

    def read(self, part: Part) -> Batch:
        """See `Store`; the arrays are maps of the files, which a removed part keeps alive."""
        paths = self._files(part.number)
        with self._trouble("read"):
            if not part.rows:
                return _batch(part, np.zeros(0, WINDOW), np.zeros((0, self._width), EMBEDDING))
            windows = np.memmap(paths[0], WINDOW, "r", shape=(part.rows,))
            embeddings = np.memmap(paths[1], EMBEDDING, "r", shape=(part.rows, self._width))
        return _batch(part, windows, embeddings)

    def events(self, where: Where = EVERYTHING) -> Iterator[StoredEvent]:
        """See `Store`."""
        conditions, values = _conditions(where, since="time >= ?", until="time < ?")
        after = -1
        while True:  # in pages, so that a writer is not kept from tidying its journal
            with self._trouble("read"):
                rows = self._database.execute(
                    "SELECT number, time, event FROM events "
                    f"WHERE {' AND '.join([*conditions, 'number > ?'])} ORDER BY number LIMIT 1000",
                    [*values, after],
                ).fetchall()
            for number, time, line in rows:
                event = Event.from_json(line)
                if not where.queries or event.query in where.queries:
                    yield StoredEvent(number=number, time=time, event=event)
            if not rows:
                return
            after = rows[-1][0]

    def thumbnail(self, stream: str, at_s: float) -> Thumbnail | None:
        """See `Store`."""
        with self._trouble("read"):
            row = self._database.execute(
                "SELECT stream, at_s, time, jpeg FROM thumbnails WHERE stream = ? ORDER BY abs(at_s - ?) LIMIT 1",
                (stream, at_s),
            ).fetchone()
        return Thumbnail(**dict(zip(("stream", "at_s", "time", "jpeg"), row))) if row else None

    def positions(self) -> dict[str, Position]:
        """See `Store`."""
        with self._trouble("read"):
            rows = self._database.execute("SELECT stream, at_s, complete, source FROM positions").fetchall()
        return {
            name: Position(at_s=at_s, complete=bool(complete), source=source)
            for name, at_s, complete, source in rows
        }

    def replace(self, parts: Sequence[Part], windows: Batch | None) -> None:
        """See `Store`."""
        with self._trouble("write"):
            with self._step():
                while windows is not None and len(windows):
                    new = self._new_part(windows)
                    self._write(new, windows.take(slice(ROWS)))
                    self._database.execute(
                        "UPDATE parts SET sealed = 1, thinned = 1 WHERE number = ?", (new.number,)
                    )
                    windows = windows.take(slice(ROWS, None))
                self._database.executemany(
                    "DELETE FROM parts WHERE number = ?", [(part.number,) for part in parts]
                )
            self._sweep()

    def forget(self, before: float) -> None:
        """See `Store`."""
        with self._trouble("write"):
            with self._step():
                for table in ("events", "thumbnails"):
                    self._database.execute(f"DELETE FROM {table} WHERE time < ?", (before,))
                self._database.execute("DELETE FROM positions WHERE stream NOT IN (SELECT stream FROM parts)")
            self._database.execute("PRAGMA incremental_vacuum").fetchall()
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def bytes(self) -> int:
        """See `Store`."""
        total = 0
        for path in self.folder.rglob("*"):
            with suppress(FileNotFoundError):  # removed by the writer meanwhile
                total += path.stat().st_size
        return total

    def close(self) -> None:
        """See `Store`."""
        self._held.close()

    def _files(self, number: int) -> tuple[Path, Path]:
        return self.folder / f"{number}.windows", self.folder / f"{number}.embeddings"

    def _sweep(self) -> None:
        """Remove the files of parts that are no more; whoever maps them may go on."""
        alive = {number for (number,) in self._database.execute("SELECT number FROM parts")}
        for path in self.folder.iterdir():
            if (
                path.suffix in (".windows", ".embeddings")
                and path.stem.isdecimal()
                and int(path.stem) not in alive
            ):
                path.unlink(missing_ok=True)

    @contextmanager
    def _step(self) -> Iterator[None]:
        """All that is written inside, or nothing."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    @contextmanager
    def _trouble(self, what: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            reason = getattr(error, "strerror", None) or error
            raise LogError(f"cannot {what} the log {self.folder}: {reason}") from error


def _batch(part: Part, windows: Any, embeddings: Any) -> Batch:
    return Batch(stream=part.stream, query=part.query, windows=windows, embeddings=embeddings)


def _conditions(where: Where, *, since: str, until: str) -> tuple[list[str], list[object]]:
    conditions: list[str] = []
    values: list[object] = []
    if where.streams:
        conditions.append(f"stream IN ({', '.join('?' * len(where.streams))})")
        values += where.streams
    for condition, value in ((since, where.since), (until, where.until)):
        if value is not None:
            conditions.append(condition)
            values.append(value)
    return conditions, values


def _write_at(path: Path, start: int, content: bytes) -> None:
    """Write and reach the disk; what lies beyond is left from a step that never was."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
    try:
        os.ftruncate(descriptor, start)
        os.lseek(descriptor, start, os.SEEK_SET)
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check(folder: Path, about: Mapping[str, str], identity: Mapping[str, str] | None) -> None:
    """Refuse a log of another layout, or one whose embeddings mean something else."""
    if about.get("layout") != str(LAYOUT):
        raise LogError(
            f"{folder} is a log of layout {about.get('layout', 'unknown')}, this version reads {LAYOUT}: "
            "update vljepa-edge, or begin a new log"
        )
    written = json.loads(about["identity"])
    if identity is None or written == dict(identity):
        return
    other = sorted(name for name in {*written, *identity} if written.get(name) != identity.get(name))
    raise LogError(
        f"{folder} was written by another model ({', '.join(other)} differ): embeddings of both cannot be compared; "
        "name the bundle that wrote it, or another folder for a new log"
    )
