"""Events as JSON lines, written through at once, so that a reader can follow and a crash loses nothing."""

from __future__ import annotations

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

    Raises:
        InputError: the file exists, or its place cannot be written.
    """

    def __init__(self, target: str | Path | TextIO, *, overwrite: bool = False) -> None:
        self._target = OutputFile(target, overwrite=overwrite) if isinstance(target, str | Path) else target

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
