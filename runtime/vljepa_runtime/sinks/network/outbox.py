"""Events on their way to a receiver: kept on disk until it has them, in order, each with an id to tell repeats by.

Knows no network and no thread; whoever adds an event waits for no disk.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from vljepa_runtime.closing import Closing
from vljepa_runtime.errors import InputError
from vljepa_runtime.events import Event
from vljepa_runtime.printable import plain_reason
from vljepa_runtime.sinks.network.event_ids import RisingIds
from vljepa_runtime.sinks.network.outbox_file import OutboxFile, is_damage
from vljepa_runtime.sinks.network.outbox_memory import DROP_SHARE, OutboxMemory
from vljepa_runtime.sinks.network.outbox_rows import OutboxEntry, Row, note_of

__all__ = ["Outbox"]

LIMIT_BYTES = 64 << 20  # some 100,000 events
RETRY_S = 1.0  # between attempts to write to a disk that took nothing
MOST = 1 << 40  # rows: all
NOTE_BYTES = 1024  # more than a note of what was dropped takes


class Outbox(Closing):
    """Events that wait for a receiver, in a folder; with a full disk in memory, until that is full.

    Beyond the bound the oldest go, and a status event that says how many takes their place. A damaged file is set
    aside. Several processes may use one folder; what a killed one left, the next one that begins delivers.

    Args:
        folder: It is made.
        limit_bytes: Of events on disk.

    Attributes:
        ids: Where ids come from.

    Raises:
        InputError: there cannot be such a folder.

    Examples:
        >>> from vljepa_runtime import Event
        >>> from vljepa_runtime.sinks import Outbox
        >>> with Outbox("outbox") as outbox:
        ...     number = outbox.put(Event(stream="door", kind="segment", text="a ball falls"))
        >>> with Outbox("outbox") as outbox:  # the next process
        ...     [(entry.id == number, entry.event.text) for entry in outbox.first(10)]
        ...     outbox.remove(upto=number)
        ...     outbox.waiting
        [(True, 'a ball falls')]
        0
    """

    def __init__(self, folder: str | Path, *, limit_bytes: int = LIMIT_BYTES) -> None:
        self.folder = Path(folder)
        self._limit = limit_bytes
        self._lock = threading.RLock()
        self._memory = OutboxMemory()
        self._size = 0  # bytes of events on disk
        self._removed = 0  # what was delivered is forgotten up to this id
        self._delivered = 0  # the receiver has all up to this id
        self._in_work = 0  # it may have all up to this one: they are not dropped any more
        self._dropped = self._rejected = self._left = 0
        self._trouble = self._damage = ""
        self._next_try_s = 0.0
        self._closed = False
        self.ids = RisingIds()
        _make(self.folder)
        self._file: OutboxFile | None = None
        self._open()

    @property
    def waiting(self) -> int:
        """How many events are not delivered."""
        with self._lock:
            if self._closed:
                return self._left
            on_disk = 0
            if self._file is not None:
                with suppress(sqlite3.Error):
                    on_disk = self._file.count(after=self._delivered)
            return on_disk + len(self._memory)

    @property
    def dropped(self) -> int:
        """How many were dropped because there was no room, in this process or untold from one before."""
        return self._dropped

    @property
    def rejected(self) -> int:
        """How many the receiver refused, in this process."""
        return self._rejected

    @property
    def trouble(self) -> str:
        """What is wrong with the disk, in a sentence; empty where nothing is."""
        return self._trouble or self._damage

    @property
    def instance(self) -> str:
        """The same for each process that goes on with this one's file, another one for those beside it."""
        return str((self._file.path if self._file is not None else self.folder).absolute())

    def put(self, event: Event) -> int:
        """Keep an event until it is delivered; its id."""
        with self._lock:
            row = Row(self.ids.next(), event.to_json().encode())
            if not self._closed:
                self._memory.add(row)
                self._store()
            return row.id

    def first(self, count: int, *, upto: int | None = None) -> list[OutboxEntry]:
        """The oldest events that are not delivered.

        Args:
            count: How many at most.
            upto: Only those up to this id, for another attempt at the same ones.
        """
        with self._lock:
            rows: list[Row] = []
            if self._file is not None:
                with suppress(sqlite3.Error):
                    rows = self._file.first(count, after=self._delivered, upto=upto)
            rows += self._memory.rows(upto=upto)[: count - len(rows)]
            self._in_work = rows[-1].id if rows else self._in_work
        return [entry for row in rows if (entry := self._entry(row)) is not None]

    def _entry(self, row: Row) -> OutboxEntry | None:
        """A row that can be read; another one is set aside."""
        try:
            line = row.event.decode()
            return OutboxEntry(row.id, Event.from_json(line), line)
        except (InputError, UnicodeDecodeError) as error:
            self._set_aside(row, str(error))
            return None

    def remove(self, *, upto: int) -> None:
        """Forget what was delivered: all up to this id."""
        with self._lock:
            self._delivered = max(self._delivered, upto)
            self._memory.remove(upto=upto)
            self._store()

    def reject(self, entry: OutboxEntry, reason: str) -> None:
        """Set an event aside that the receiver will never take."""
        self._set_aside(Row(entry.id, entry.line.encode()), reason)
        self.remove(upto=entry.id)

    def _set_aside(self, row: Row, reason: str) -> None:
        with self._lock:
            if self._try(lambda file: file.reject(row, reason)):
                self._size -= len(row.event)
            self._rejected += 1

    def tidy(self) -> None:
        """Write through to the disk, which may take long; for the thread that delivers, between two deliveries."""
        if self._file is not None and not self._closed:
            with suppress(sqlite3.Error):
                self._file.tidy()
        with self._lock:
            if self._closed:
                return
            if self._file is not None and not self._file.path.exists():
                self._restore(self._file)
            if self._file is None and time.monotonic() >= self._next_try_s:
                self._open()
            self._store()

    def _restore(self, file: OutboxFile) -> None:
        """Keep what waits in another file: somebody removed this one, of which only what is open is left."""
        rows = [*file.first(MOST, after=self._delivered), *self._memory.rows()]
        file.close()
        self._file = None
        self._memory.clear()
        for row in rows:
            self._memory.add(row)
        with suppress(InputError):  # there is no place for a folder now
            _make(self.folder)

    def close(self) -> None:
        """Let the folder go; what is only in memory gets its last chance."""
        with self._lock:
            if self._closed:
                return
            self._next_try_s = 0.0
            self._store()
            self._dropped += len(self._memory)
            self._memory.clear()
            self._left, self._closed = self.waiting, True
            if self._file is not None:
                self._file.close()

    def _open(self) -> None:
        """Try to have a file, nothing of which is delivered yet; without one, memory does."""
        try:
            file = OutboxFile(self.folder)
            self._size, self._dropped = file.size(), self._dropped + file.dropped()
        except (sqlite3.Error, OSError) as error:
            self._fail(error)
            return
        self._file, self._delivered, self._removed, self._in_work = file, 0, 0, 0
        self._trouble = ""
        self.ids.follow(file.last_id)
        self._tell_damage(file)

    def _tell_damage(self, file: OutboxFile) -> None:
        if file.set_aside is not None:
            self._damage = (
                f"the outbox was damaged and lies in {file.set_aside} now: what waited in it is not delivered"
            )

    def _fail(self, error: sqlite3.Error | OSError) -> None:
        self._trouble = f"{self.folder} cannot be written ({plain_reason(error)}): events wait in memory"
        self._next_try_s = time.monotonic() + RETRY_S

    def _store(self) -> None:
        """Bring the disk up to date; where that fails, memory keeps what it has room for."""
        may_try = time.monotonic() >= self._next_try_s
        if self._delivered > self._removed and may_try:
            self._try(self._forget)
        if self._memory and may_try:
            rows = self._memory.rows()
            if self._try(lambda file: file.add(rows)):
                self._size += self._memory.size
                self._memory.clear()
        if self._size > self._limit:
            self._try(self._drop)
        self._dropped += self._memory.bound()

    def _try(self, act: Callable[[OutboxFile], object]) -> bool:
        """Do something with the file, where there is one that works."""
        if self._file is None or self._closed:
            return False
        try:
            try:
                act(self._file)
            except sqlite3.Error as error:
                if not is_damage(error):
                    raise
                self._file.begin_anew()
                self._size = 0
                self._tell_damage(self._file)
                act(self._file)
        except (sqlite3.Error, OSError) as error:
            self._fail(error)
            return False
        self._trouble = ""
        return True

    def _forget(self, file: OutboxFile) -> None:
        self._size -= file.remove(upto=self._delivered)
        self._removed = self._delivered

    def _drop(self, file: OutboxFile) -> None:
        """Let the oldest go, some more than needed, and leave a note in their place."""
        spare, gone = self._size - self._limit + self._limit // DROP_SHARE + NOTE_BYTES, list[Row]()
        after = max(self._delivered, self._in_work)
        while spare > 0 and (rows := file.first(1, after=after)):
            gone += rows
            after, spare = rows[0].id, spare - len(rows[0].event)
        if gone:
            note = note_of(gone)
            file.replace(gone, note)
            self._dropped += sum(not row.dropped for row in gone)
            self._size += len(note.event) - sum(len(row.event) for row in gone)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(13, os.strerror(13))
    except OSError as error:
        raise InputError(
            f"cannot keep events in {folder}: {error.strerror or error}: choose another folder for the outbox"
        ) from error
