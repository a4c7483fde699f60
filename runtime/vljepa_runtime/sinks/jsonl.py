"""Events as JSON lines, written through at once, so that a reader can follow and a crash loses nothing."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TextIO

from vljepa_runtime.events import Event
from vljepa_runtime.sinks.protocol import PendingFile

__all__ = ["JsonlSink"]


class JsonlSink:
    """One JSON object per line; see `Sink`. Without a temporary file: it grows while others read it.

    Args:
        target: A file name, or an open text stream such as `sys.stdout`, which stays open.
        overwrite: Replace an existing file.

    Raises:
        InputError: the file exists or its folder is missing.
    """

    def __init__(self, target: str | Path | TextIO, *, overwrite: bool = False) -> None:
        self._owned = isinstance(target, str | Path)
        if isinstance(target, str | Path):
            path = PendingFile(target, overwrite=overwrite).path
            self._file: TextIO = path.open("w", encoding="utf-8", errors="backslashreplace", newline="\n")
        else:
            self._file = target

    def write(self, event: Event) -> None:
        """Append one event."""
        self._file.write(event.to_json() + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close a file that this sink opened."""
        if self._owned and not self._file.closed:
            self._file.close()

    def __enter__(self) -> JsonlSink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
