"""Events as JSON lines, written through at once, so that a reader can follow and a crash loses nothing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TextIO

from vljepa_runtime.events import Event
from vljepa_runtime.files.atomic import OutputFile
from vljepa_runtime.printable import ascii_json, fits
from vljepa_runtime.sinks.protocol import Sink

__all__ = ["JsonlSink"]


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
        if isinstance(target, str | Path):
            self._target = OutputFile(target, overwrite=overwrite, append=append)
            if not ends_a_line(self._target):
                self._target.write(b"\n")
        else:
            self._target = target

    def write(self, event: Event) -> None:
        """Append one event.

        Raises:
            OutputError: the disk is full, or the reader of a pipe is gone.
        """
        line = event.to_json()
        if isinstance(self._target, OutputFile):
            self._target.publish()
            self._target.write(f"{line}\n".encode())
        else:
            self._target.write((line if fits(line, self._target) else ascii_json(line)) + "\n")
            self._target.flush()

    def close(self) -> None:
        """Close a file that this sink opened."""
        if isinstance(self._target, OutputFile):
            self._target.close()

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
