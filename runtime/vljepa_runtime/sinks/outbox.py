"""Events on their way to a receiver: kept on disk until it has them, in order, each with an id to tell repeats by.

Knows no network and no thread; whoever adds an event waits for no disk.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from vljepa_runtime.closing import Closing
from vljepa_runtime.errors import InputError
from vljepa_runtime.events import Event, wall_clock
from vljepa_runtime.printable import plain_reason
from vljepa_runtime.sinks.outbox_file import OutboxFile, Row, is_damage

__all__ = ["Outbox", "OutboxEntry", "RisingIds"]

LIMIT_BYTES = 64 << 20  # some 100,000 events
MEMORY_BYTES = 4 << 20  # while the disk takes nothing
DROP_SHARE = 16  # of the bound is let go at once
RETRY_S = 1.0  # between attempts to write to a disk that took nothing
NOTE_BYTES = 1024  # more than a note of what was dropped takes


class RisingIds:
    """Numbers that rise, also over restarts: microseconds since 1970, or one more than the last where that is more.

    So they need no file, but for a clock that is set back. JSON readers that hold numbers as doubles have them exactly.

    Args:
        last: The highest that is known to have been given.

    Examples:
        >>> from vljepa_runtime.sinks import RisingIds
        >>> ids = RisingIds(last=1 << 52)
        >>> ids.next() - (1 << 52), ids.next() - (1 << 52)
        (1, 2)
    """

    def __init__(self, last: int = 0) -> None:
        self._last = last
        self._lock = threading.Lock()

    def next(self) -> int:
        """The next one; may be called on any thread."""
        with self._lock:
            self._last = max(self._last + 1, time.time_ns() // 1000)
            return self._last

    def follow(self, last: int) -> None:
        """Give none from now on that is not higher than this."""
        with self._lock:
            self._last = max(self._last, last)


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """An event with its id, to be delivered.

    Attributes:
        id: The same at each attempt, higher than that of the event before.
        event: What happened.
    """

    id: int
    event: Event

    def to_json(self) -> str:
        """The event's JSON with `id` as its first field."""
        return f'{{"id": {self.id}, {self.event.to_json()[1:]}'


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
        self._memory: deque[Row] = deque()
        self._memory_bytes = self._size = 0
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
        return str(self._file.path) if self._file is not None else str(self.folder)

    def put(self, event: Event) -> int:
        """Keep an event until it is delivered; its id."""
        with self._lock:
            row = Row(self.ids.next(), event.to_json().encode())
            if not self._closed:
                self._memory.append(row)
                self._memory_bytes += len(row.event)
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
            fresh = [row for row in self._memory if upto is None or row.id <= upto]
            rows += fresh[: count - len(rows)]
            self._in_work = rows[-1].id if rows else self._in_work
            return [entry for row in rows if (entry := self._entry(row)) is not None]

    def _entry(self, row: Row) -> OutboxEntry | None:
        """A row that can be read; another one is set aside."""
        try:
            return OutboxEntry(row.id, Event.from_json(row.event.decode()))
        except (InputError, UnicodeDecodeError) as error:
            self._set_aside(row, str(error))
            return None

    def remove(self, *, upto: int) -> None:
        """Forget what was delivered: all up to this id."""
        with self._lock:
            self._delivered = max(self._delivered, upto)
            while self._memory and self._memory[0].id <= upto:
                self._memory_bytes -= len(self._memory.popleft().event)
            self._store()

    def reject(self, entry: OutboxEntry, reason: str) -> None:
        """Set an event aside that the receiver will never take."""
        self._set_aside(Row(entry.id, entry.event.to_json().encode()), reason)
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
            if self._file is None and time.monotonic() >= self._next_try_s:
                self._open()
            self._store()

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
            rows = tuple(self._memory)
            if self._try(lambda file: file.add(rows)):
                self._size += self._memory_bytes
                self._memory.clear()
                self._memory_bytes = 0
                self._trouble = ""
        if self._size > self._limit:
            self._try(self._drop)
        if self._memory_bytes > MEMORY_BYTES:
            self._drop_from_memory()

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
            note = _note(gone)
            file.replace(gone, note)
            self._dropped += sum(not row.dropped for row in gone)
            self._size += len(note.event) - sum(len(row.event) for row in gone)

    def _drop_from_memory(self) -> None:
        gone = []
        while self._memory and self._memory_bytes > MEMORY_BYTES - MEMORY_BYTES // DROP_SHARE:
            gone.append(self._memory.popleft())
            self._memory_bytes -= len(gone[-1].event)
        note = _note(gone)
        self._memory.appendleft(note)
        self._memory_bytes += len(note.event)
        self._dropped += sum(not row.dropped for row in gone)


def _note(gone: Sequence[Row]) -> Row:
    """What tells the receiver that there is a gap: it stands where the last of them was."""
    count = sum(row.dropped or 1 for row in gone)
    last = json.loads(gone[-1].event)
    note = Event(
        stream=last["stream"],
        kind="status",
        start_s=last["end_s"],
        end_s=last["end_s"],
        time=wall_clock(),
        text=f"warning: {count} events before this one were dropped: the outbox had no room for more",
    )
    return Row(gone[-1].id, note.to_json().encode(), dropped=count)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(13, os.strerror(13))
    except OSError as error:
        raise InputError(
            f"cannot keep events in {folder}: {error.strerror or error}: choose another folder for the outbox"
        ) from error
