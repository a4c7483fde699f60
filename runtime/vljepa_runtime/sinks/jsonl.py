"""Events as JSON lines, written through at once, so that a reader can follow and a crash loses nothing."""

from __future__ import annotations

import errno
import os
from collections import deque
from pathlib import Path
from typing import TextIO

from vljepa_runtime.errors import OutputError, OutputPausedError
from vljepa_runtime.events import Event
from vljepa_runtime.files.atomic import OutputFile
from vljepa_runtime.printable import ascii_json, fits
from vljepa_runtime.sinks.protocol import Sink

__all__ = ["JsonlSink"]

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
MOST_WAITING = 4096  # events; some 2 MB


class JsonlSink(Sink):
    """One JSON object per line; see `Sink`.

    Args:
        target: A file name, or an open text stream such as `sys.stdout`, which stays open.
        overwrite: Replace an existing file.
        append: Go on at the end of an existing file; half a line that a killed writer left stays a line of its own.

    Raises:
        InputError: the file exists, or its place cannot be written.
    """

    def __init__(self, target: str | Path | TextIO, *, overwrite: bool = False, append: bool = False) -> None:
        self._target: OutputFile | TextIO
        self._waiting: deque[bytes] = deque(maxlen=MOST_WAITING)
        if isinstance(target, str | Path):
            self._target = OutputFile(target, overwrite=overwrite, append=append)
            if not ends_a_line(self._target):
                self._target.write(b"\n")
        else:
            self._target = target

    def write(self, event: Event) -> None:
        """Append one event.

        Raises:
            OutputPausedError: the disk is full; the newest events are kept, and written before the next ones.
            OutputError: the reader of a pipe is gone, say.
        """
        line = event.to_json()
        if isinstance(self._target, OutputFile):
            self._waiting.append(f"{line}\n".encode())
            self._write_waiting(self._target)
        else:
            self._target.write((line if fits(line, self._target) else ascii_json(line)) + "\n")
            self._target.flush()

    def close(self) -> None:
        """Close a file that this sink opened."""
        if isinstance(self._target, OutputFile):
            try:
                if self._waiting:
                    self._write_waiting(self._target)
            except OutputPausedError as error:
                raise OutputError(str(error)) from error
            finally:
                self._waiting.clear()
                self._target.close()

    def _write_waiting(self, file: OutputFile) -> None:
        file.publish()
        while self._waiting:
            try:
                file.write(self._waiting[0])
            except OutputError as error:
                cause = error.__cause__
                if file.in_place or not (isinstance(cause, OSError) and cause.errno in NO_ROOM):
                    self._waiting.clear()
                    raise
                raise OutputPausedError(str(error)) from cause
            self._waiting.popleft()

    def abandon(self) -> None:
        """Close; what was there stays where there was no event."""
        if isinstance(self._target, OutputFile) and not self._target.published:
            self._target.discard()
        self.close()


def ends_a_line(file: OutputFile) -> bool:
    """Whether what is written next begins a line."""
    if file.in_place:
        return True
    size = os.fstat(file.fileno()).st_size
    return size == 0 or os.pread(file.fileno(), 1, size - 1) == b"\n"
