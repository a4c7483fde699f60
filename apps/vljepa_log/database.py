"""What SQLite keeps of a folder store: which parts there are and how many of their rows count, events, thumbnails."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vljepa_log.checking import check_identity, read_identity
from vljepa_log.errors import LogError
from vljepa_log.parts import Part
from vljepa_log.rows import Thumbnail
from vljepa_log.store import Contents, Held, Position, Where

__all__ = ["Database", "trouble"]

LAYOUT = 3
BUSY_S = 30.0
PAGE = 256
KEPT_PAGES = 2000  # of 4 kB: as large as the journal gets before it is moved into the database

_TABLES = """
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sources (
    number INTEGER PRIMARY KEY, stream TEXT NOT NULL, query TEXT NOT NULL, UNIQUE (stream, query));
CREATE TABLE IF NOT EXISTS parts (
    number INTEGER PRIMARY KEY AUTOINCREMENT, rows INTEGER NOT NULL DEFAULT 0,
    sealed INTEGER NOT NULL DEFAULT 0, thinned INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS holds (
    part INTEGER NOT NULL, source INTEGER NOT NULL, rows INTEGER NOT NULL, first REAL NOT NULL, last REAL NOT NULL,
    PRIMARY KEY (part, source)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY AUTOINCREMENT, stream TEXT NOT NULL, query TEXT, time REAL NOT NULL,
    event TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS events_by_time ON events (time, number);
CREATE INDEX IF NOT EXISTS events_by_stream ON events (stream, time, number);
CREATE TABLE IF NOT EXISTS thumbnails (
    number INTEGER PRIMARY KEY, stream TEXT NOT NULL, at_s REAL NOT NULL, time REAL NOT NULL, jpeg BLOB NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS thumbnails_by_stream ON thumbnails (stream, at_s, time);
CREATE INDEX IF NOT EXISTS thumbnails_by_time ON thumbnails (stream, time);
CREATE TABLE IF NOT EXISTS positions (
    stream TEXT NOT NULL, query TEXT NOT NULL, at_s REAL NOT NULL, complete INTEGER NOT NULL, source TEXT NOT NULL,
    PRIMARY KEY (stream, query)) WITHOUT ROWID;
"""
_PARTS = """
SELECT parts.number, parts.rows, min(first), max(last), sealed, thinned, count(*) FROM parts JOIN holds ON part = number
WHERE {} GROUP BY number ORDER BY min(first), number
"""


class Database:
    """Plain calls on the tables; the caller gives their errors a name with `trouble`.

    Args:
        file: Of the database.
        identity: That a new log gets, or that a log must have; None takes any.
        writable: Whether it may be written, and made.
    """

    def __init__(self, file: Path, *, identity: Mapping[str, str] | None, writable: bool) -> None:
        self._lock = threading.RLock()
        with trouble("open", file.parent):
            self._connection = _connect(file, writable=writable)
            try:
                if writable:
                    self._make(identity)
                self.identity = self._identity(file.parent)
                check_identity(self.identity, identity, place=file.parent)
            except BaseException:
                self._connection.close()
                raise

    def _make(self, identity: Mapping[str, str] | None) -> None:
        for pragma in ("auto_vacuum = INCREMENTAL", "journal_mode = WAL", "synchronous = NORMAL"):
            self._run(f"PRAGMA {pragma}")
        self._run(f"PRAGMA wal_autocheckpoint = {KEPT_PAGES}")
        self._connection.executescript(_TABLES)
        if identity is not None and not self._rows("SELECT * FROM about"):
            text = json.dumps(dict(identity), sort_keys=True)
            with self.step():
                self._connection.executemany(
                    "INSERT INTO about VALUES (?, ?)", [("layout", str(LAYOUT)), ("identity", text)]
                )

    def _identity(self, folder: Path) -> dict[str, str]:
        about = dict(self._rows("SELECT name, value FROM about"))
        if about.get("layout") != str(LAYOUT):
            raise LogError(
                f"{folder} is a log of layout {about.get('layout', 'unknown')}, this version reads {LAYOUT}: "
                "begin a new log, or take the version of vljepa-edge that wrote it"
            )
        return read_identity(str(about.get("identity")), place=folder)

    def close(self) -> None:
        """Let it go."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def step(self) -> Iterator[Database]:
        """All that is written inside, or nothing."""
        with self._lock:
            self._run("BEGIN IMMEDIATE")
            try:
                yield self
            except BaseException:
                self._run("ROLLBACK")
                raise
            self._run("COMMIT")

    def source(self, stream: str, query: str) -> int:
        """The number of a stream and query, given when they first come."""
        self._run("INSERT OR IGNORE INTO sources (stream, query) VALUES (?, ?)", (stream, query))
        ((number,),) = self._rows(
            "SELECT number FROM sources WHERE stream = ? AND query = ?", (stream, query)
        )
        return int(number)

    def sources(self, where: Where) -> dict[int, tuple[str, str]]:
        """Streams and queries that are meant, by their numbers."""
        conditions, values = _names(where)
        found = self._rows(f"SELECT number, stream, query FROM sources WHERE {_all(conditions)}", values)
        return {number: (stream, query) for number, stream, query in found}

    def open_part(self) -> Part:
        """The part that grows; a new one where there is none."""
        rows = self._rows("SELECT number, rows FROM parts WHERE NOT sealed")
        number, count = rows[0] if rows else (self._run("INSERT INTO parts DEFAULT VALUES").lastrowid, 0)
        return Part(
            number=int(number or 0), rows=count, first=0.0, last=0.0, sealed=False, thinned=False, sources=0
        )

    def begin_part(self, *, thinned: bool) -> int:
        """A part that counts no rows yet, for rows that are written outside of a step."""
        with self.step():
            values = (thinned,)
            return int(self._run("INSERT INTO parts (sealed, thinned) VALUES (1, ?)", values).lastrowid or 0)

    def seal(self, number: int) -> Part:
        """Let a part grow no more, and say how it is then."""
        with self.step():
            self._run("UPDATE parts SET sealed = 1 WHERE number = ?", (number,))
        part = self.part(number)
        if part is None:
            raise LogError(f"expected part {number} of the log, which is no more")
        return part

    def count(self, number: int, rows: npt.NDArray[Any], *, sealed: bool) -> None:
        """Let rows that were written to a part count."""
        self._run(
            "UPDATE parts SET rows = rows + ?, sealed = sealed OR ? WHERE number = ?",
            (len(rows), sealed, number),
        )
        for source in np.unique(rows["source"]):
            times = rows["time"][rows["source"] == source]
            self._run(
                "INSERT INTO holds VALUES (?, ?, ?, ?, ?) ON CONFLICT (part, source) DO UPDATE SET "
                "rows = rows + excluded.rows, first = min(first, excluded.first), last = max(last, excluded.last)",
                (number, int(source), len(times), float(times.min()), float(times.max())),
            )

    def drop(self, numbers: Iterable[int]) -> None:
        """Let parts be no more."""
        for number in numbers:
            self._run("DELETE FROM parts WHERE number = ?", (number,))
            self._run("DELETE FROM holds WHERE part = ?", (number,))

    def drop_unfinished(self) -> None:
        """Drop what a killed process had begun to write outside of a step."""
        with self.step():
            self._run("DELETE FROM parts WHERE sealed AND rows = 0")

    def numbers(self) -> set[int]:
        """Of all parts, also of those that are being written."""
        return {number for (number,) in self._rows("SELECT number FROM parts")}

    def part(self, number: int) -> Part | None:
        """One of them."""
        found = self._rows(_PARTS.format("number = ?"), (number,))
        return _part(found[0]) if found else None

    def parts(self, where: Where) -> list[Part]:
        """Those that may hold what is meant, the oldest first; their times are those of all that they hold."""
        conditions, values = _times(where, since="last >= ?", until="first < ?")
        named, names = _names(where)
        inner = (
            f"SELECT part FROM holds JOIN sources ON source = sources.number WHERE {_all(conditions + named)}"
        )
        return [_part(row) for row in self._rows(_PARTS.format(f"number IN ({inner})"), [*values, *names])]

    def holds_only(self, part: int, sources: Iterable[int]) -> bool:
        """Whether a part holds nothing of other sources than these."""
        held = {source for (source,) in self._rows("SELECT source FROM holds WHERE part = ?", (part,))}
        return held <= set(sources)

    def held(self, where: Where) -> list[Held]:
        """How much there is of each source."""
        conditions, values = _times(where, since="last >= ?", until="first < ?")
        named, names = _names(where)
        found = self._rows(
            "SELECT stream, query, sum(rows), min(first), max(last) FROM holds JOIN sources ON source = number "
            f"WHERE {_all(conditions + named)} GROUP BY source ORDER BY stream, min(first)",
            [*values, *names],
        )
        return [Held(**dict(zip(("stream", "query", "windows", "first", "last"), row))) for row in found]

    def add(self, contents: Contents) -> None:
        """Store what is no window."""
        many = self._connection.executemany
        many(
            "INSERT INTO events (stream, query, time, event) VALUES (?, ?, ?, ?)",
            [
                (each.event.stream, each.event.query, each.time, each.event.to_json())
                for each in contents.events
            ],
        )
        many(
            "INSERT OR IGNORE INTO thumbnails (stream, at_s, time, jpeg) VALUES (?, ?, ?, ?)",
            [(each.stream, each.at_s, each.time, each.jpeg) for each in contents.thumbnails],
        )
        many(
            "INSERT OR REPLACE INTO positions VALUES (?, ?, ?, ?, ?)",
            [(*of, each.at_s, each.complete, each.source) for of, each in contents.positions.items()],
        )

    def events(
        self, where: Where, *, after: tuple[float, int] | None
    ) -> tuple[list[tuple[int, float, str]], tuple[float, int] | None]:
        """A page of events, the oldest first: number, time and JSON; and after what the next comes, None at the end."""
        conditions, values = _times(where, since="time >= ?", until="time < ?")
        named, names = _names(where)
        later, place = (["(time, number) > (?, ?)"], [*after]) if after else ([], [])
        page = self._rows(
            f"SELECT number, time, event FROM events WHERE {_all(conditions + named + later)} "
            f"ORDER BY time, number LIMIT {PAGE}",
            [*values, *names, *place],
        )
        return page, (page[-1][1], page[-1][0]) if len(page) == PAGE else None

    def thumbnail(self, stream: str, at_s: float, time: float | None) -> Thumbnail | None:
        """The nearest one, of the two beside the moment."""
        column, value = ("at_s", at_s) if time is None else ("time", time)
        found = [
            row
            for side in (f"{column} <= ? ORDER BY {column} DESC", f"{column} > ? ORDER BY {column}")
            for row in self._rows(
                f"SELECT stream, at_s, time, jpeg FROM thumbnails WHERE stream = ? AND {side} LIMIT 1",
                (stream, value),
            )
        ]
        pictures = [Thumbnail(**dict(zip(("stream", "at_s", "time", "jpeg"), row))) for row in found]
        return min(pictures, key=lambda each: abs(getattr(each, column) - value), default=None)

    def thumbnails(self, where: Where, *, after: int) -> tuple[list[Thumbnail], int | None]:
        """A page of pictures in the order in which they came, and after what the next comes, None at the end."""
        conditions, values = _times(where, since="time >= ?", until="time < ?")
        named, names = _names(Where(streams=where.streams))
        page = self._rows(
            "SELECT number, stream, at_s, time, jpeg FROM thumbnails "
            f"WHERE {_all([*conditions, *named, 'number > ?'])} ORDER BY number LIMIT {PAGE}",
            [*values, *names, after],
        )
        found = [Thumbnail(stream=row[1], at_s=row[2], time=row[3], jpeg=row[4]) for row in page]
        return found, page[-1][0] if len(page) == PAGE else None

    def positions(self, stream: str | None) -> dict[tuple[str, str], Position]:
        """Per stream and query how far it is stored; of one stream, or of all."""
        conditions, values = _names(Where(streams=() if stream is None else (stream,)))
        return {
            (name, query): Position(at_s=at_s, complete=bool(complete), source=source)
            for name, query, at_s, complete, source in self._rows(
                f"SELECT * FROM positions WHERE {_all(conditions)}", values
            )
        }

    def forget(self, before: float) -> None:
        """Remove what is older than this and no window. Positions stay: what was read need not be read again."""
        with self.step():
            for table in ("events", "thumbnails"):
                self._run(f"DELETE FROM {table} WHERE time < ?", (before,))
            self._run("DELETE FROM sources WHERE number NOT IN (SELECT source FROM holds)")

    def shrink(self) -> None:
        """Give the disk what is no longer used."""
        with self._lock:
            self._connection.executescript("PRAGMA incremental_vacuum")  # execute() would free one page
            self._rows("PRAGMA wal_checkpoint(TRUNCATE)")

    def _run(self, command: str, values: Sequence[object] = ()) -> sqlite3.Cursor:
        with self._lock:
            return self._connection.execute(command, values)

    def _rows(self, command: str, values: Sequence[object] = ()) -> list[Any]:
        with self._lock:
            return self._connection.execute(command, values).fetchall()


@contextmanager
def trouble(what: str, folder: Path) -> Iterator[None]:
    """Say which log an error of SQLite or the system is about."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        raise LogError(f"cannot {what} the log {folder}: {reason}") from error


def _connect(file: Path, *, writable: bool) -> sqlite3.Connection:
    """Who reads writes the index of the journal too, unless the disk cannot be written by anybody."""
    fixed = not writable and not (os.access(file, os.W_OK) and os.access(file.parent, os.W_OK))
    mode = "rwc" if writable else "ro&immutable=1" if fixed else "rw"
    return sqlite3.connect(
        f"{file.absolute().as_uri()}?mode={mode}", uri=True, timeout=BUSY_S, isolation_level=None,
        check_same_thread=False,
    )  # fmt: skip


def _part(row: Sequence[Any]) -> Part:
    number, rows, first, last, sealed, thinned, sources = row
    return Part(
        number=number, rows=rows, first=first, last=last, sealed=bool(sealed), thinned=bool(thinned),
        sources=sources,
    )  # fmt: skip


def _all(conditions: Sequence[str]) -> str:
    return " AND ".join(conditions) or "TRUE"


def _names(where: Where) -> tuple[list[str], list[object]]:
    conditions: list[str] = []
    values: list[object] = []
    for column, names in (("stream", where.streams), ("query", where.queries)):
        if names:
            conditions.append(f"{column} IN ({', '.join('?' * len(names))})")
            values += names
    return conditions, values


def _times(where: Where, *, since: str, until: str) -> tuple[list[str], list[object]]:
    conditions: list[str] = []
    values: list[object] = []
    for condition, value in ((since, where.since), (until, where.until)):
        if value is not None:
            conditions.append(condition)
            values.append(value)
    return conditions, values
