"""The file of an outbox: SQLite with a write-ahead log, so that a kill costs no event that was added.

Errors are SQLite's own; who calls gives them words.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from vljepa_runtime.closing import Closing
from vljepa_runtime.files.claim import NOFOLLOW, lock_file
from vljepa_runtime.sinks.network.outbox_rows import Row

__all__ = ["OutboxFile", "is_damage"]

BUSY_S = 0.1  # for somebody who looks into the file; what is to be written waits in memory then
KEPT_REJECTED = 1000
MAX_PAGES = 4000  # of 4 kB, of a journal that `tidy` did not come to
JOURNAL_BYTES = 4 << 20  # that stay of it afterwards
MAX_FILES = 1000  # outboxes of one folder
_TABLES = """
CREATE TABLE IF NOT EXISTS waiting (
    id INTEGER PRIMARY KEY AUTOINCREMENT, event BLOB NOT NULL, dropped INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS rejected (id INTEGER PRIMARY KEY, reason TEXT NOT NULL, event BLOB NOT NULL);
"""


class OutboxFile(Closing):
    """One of the databases of a folder, which no other process uses meanwhile.

    Calls are made by one thread at a time, but for `tidy`, which waits for the disk and has a connection of its own.

    Args:
        folder: It is there.

    Attributes:
        path: The file.
        set_aside: Where a damaged one went that had this name; None where there was none.

    Raises:
        sqlite3.Error, OSError: it cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self.path, self._lock = _claim(folder)
        self.set_aside: Path | None = None
        try:
            try:
                self._open()
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
                self.begin_anew()
            self._adopt(folder)
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        self._rows = self._connect()
        self._disk = self._connect()
        # Waiting for the disk is left to `tidy`: whoever adds an event waits for none, unless thousands come at once.
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL"):
            self._rows.execute(f"PRAGMA {pragma}")
        self._rows.execute(f"PRAGMA wal_autocheckpoint = {MAX_PAGES}")
        self._rows.execute(f"PRAGMA journal_size_limit = {JOURNAL_BYTES}")
        ((found,),) = self._rows.execute("PRAGMA quick_check(1)").fetchall()
        if found != "ok":
            raise sqlite3.DatabaseError(found)
        self._rows.executescript(_TABLES)

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)

    def begin_anew(self) -> None:
        """Set a damaged file aside and begin another one of its name."""
        self._disconnect()
        self.set_aside = self.path.with_suffix(".damaged")
        os.replace(self.path, self.set_aside)
        for suffix in ("-wal", "-shm"):
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)
        self._open()

    def _adopt(self, folder: Path) -> None:
        """Take over what waits in files that ended processes left; ids and order stay."""
        for other in sorted(folder.glob("*.db")):
            if other == self.path or (lock := _try_lock(other)) is None:
                continue
            try:
                with suppress(sqlite3.Error):  # it stays for the next time
                    self._take_from(other)
            finally:
                os.close(lock)

    def _take_from(self, other: Path) -> None:
        found = sqlite3.connect(other, timeout=BUSY_S)
        try:
            rows = [
                Row(*each) for each in found.execute("SELECT id, event, dropped FROM waiting ORDER BY id")
            ]
        finally:
            found.close()
        self.add(rows)
        for suffix in ("", "-wal", "-shm"):
            Path(f"{other}{suffix}").unlink(missing_ok=True)

    @property
    def last_id(self) -> int:
        """The highest that was ever given, also when nothing waits."""
        found = self._rows.execute("SELECT seq FROM sqlite_sequence WHERE name = 'waiting'").fetchone()
        return int(found[0]) if found else 0

    def size(self) -> int:
        """Bytes of all events that wait."""
        return int(self._rows.execute("SELECT coalesce(sum(length(event)), 0) FROM waiting").fetchone()[0])

    def count(self, *, after: int) -> int:
        """How many wait after an id."""
        return int(self._rows.execute("SELECT count(*) FROM waiting WHERE id > ?", (after,)).fetchone()[0])

    def dropped(self) -> int:
        """How many dropped events are still to be told of."""
        return int(self._rows.execute("SELECT coalesce(sum(dropped), 0) FROM waiting").fetchone()[0])

    def add(self, rows: Iterable[Row]) -> None:
        """Add all of these rows or none; one that is there already stays one."""
        with self._step():
            for row in rows:
                number = row.id
                while (there := self._event(number)) not in (None, row.event):
                    number += 1  # of another process that took the same microsecond
                if there is None:
                    self._rows.execute(
                        "INSERT INTO waiting VALUES (?, ?, ?)", (number, row.event, row.dropped)
                    )

    @contextmanager
    def _step(self) -> Iterator[None]:
        """All that is written inside, or nothing."""
        self._rows.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._rows.execute("COMMIT")
        except BaseException:
            if self._rows.in_transaction:  # a full disk may have ended it
                self._rows.execute("ROLLBACK")
            raise

    def _event(self, number: int) -> bytes | None:
        found = self._rows.execute("SELECT event FROM waiting WHERE id = ?", (number,)).fetchone()
        return bytes(found[0]) if found else None

    def first(self, count: int, *, after: int, upto: int | None = None) -> list[Row]:
        """The oldest that wait after an id."""
        found = self._rows.execute(
            "SELECT id, event, dropped FROM waiting WHERE id > ? AND id <= ? ORDER BY id LIMIT ?",
            (after, (1 << 63) - 1 if upto is None else upto, count),
        )
        return [Row(number, bytes(event), dropped) for number, event, dropped in found]

    def remove(self, *, upto: int) -> int:
        """Forget what was delivered; how many bytes that frees."""
        with self._step():
            freed = self._rows.execute("SELECT sum(length(event)) FROM waiting WHERE id <= ?", (upto,))
            size = int(freed.fetchone()[0] or 0)
            self._rows.execute("DELETE FROM waiting WHERE id <= ?", (upto,))
        return size

    def replace(self, gone: Sequence[Row], note: Row) -> None:
        """Put a note in the place of rows."""
        with self._step():
            self._rows.executemany("DELETE FROM waiting WHERE id = ?", [(row.id,) for row in gone])
            self._rows.execute("INSERT INTO waiting VALUES (?, ?, ?)", (note.id, note.event, note.dropped))

    def reject(self, row: Row, reason: str) -> None:
        """Set an event aside that the receiver refuses; the last thousand are kept."""
        with self._step():
            self._rows.execute("DELETE FROM waiting WHERE id = ?", (row.id,))
            self._rows.execute(
                "INSERT OR REPLACE INTO rejected VALUES (?, ?, ?)", (row.id, reason, row.event)
            )
            self._rows.execute(
                "DELETE FROM rejected WHERE id NOT IN (SELECT id FROM rejected ORDER BY id DESC LIMIT ?)",
                (KEPT_REJECTED,),
            )

    def tidy(self) -> None:
        """Write through to the disk, and let the journal be used from its beginning again."""
        self._disk.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def close(self) -> None:
        """Let the file go."""
        self._disconnect()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _disconnect(self) -> None:
        for name in ("_disk", "_rows"):
            if (connection := getattr(self, name, None)) is not None:
                with suppress(sqlite3.Error):
                    connection.close()


def is_damage(error: sqlite3.Error) -> bool:
    """Whether a file is damaged, or none of SQLite's; not whether it cannot be written now."""
    return isinstance(error, sqlite3.DatabaseError) and not isinstance(
        error, sqlite3.OperationalError | sqlite3.ProgrammingError | sqlite3.InterfaceError
    )


def _claim(folder: Path) -> tuple[Path, int]:
    """The first file of a folder that no other process uses, and what keeps it for this one."""
    for number in range(1, MAX_FILES):
        path = folder / f"{number}.db"
        if (lock := _try_lock(path)) is not None:
            return path, lock
    raise OSError(f"{MAX_FILES} processes use {folder}")


def _try_lock(path: Path) -> int | None:
    """Beside the database: to close any descriptor of that would let go of SQLite's own locks."""
    descriptor = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | NOFOLLOW, 0o600)
    if lock_file(descriptor, wait=False) is False:
        os.close(descriptor)
        return None
    return descriptor
