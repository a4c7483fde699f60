"""What a sink is, and how it writes its file: under a temporary name that becomes the real one at the end."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Protocol, runtime_checkable

from vljepa_runtime.errors import InputError
from vljepa_runtime.events import Event

__all__ = ["PendingFile", "Sink"]


@runtime_checkable
class Sink(Protocol):
    """Takes events until it is closed; used in a `with` block."""

    def write(self, event: Event) -> None: ...

    def close(self) -> None: ...

    def __enter__(self) -> Sink: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class PendingFile:
    """A file that appears under its name only when it is complete.

    Args:
        path: The final name.
        overwrite: Replace a file of that name.

    Raises:
        InputError: the file exists, is a folder, or its folder is missing.
    """

    def __init__(self, path: str | Path, *, overwrite: bool = False) -> None:
        self.path = Path(path)
        if self.path.is_dir():
            raise InputError(f"{self.path} is a folder: give a file name")
        if not self.path.parent.is_dir():
            raise InputError(f"the folder {self.path.parent} does not exist: make it first")
        if self.path.exists() and not overwrite:
            raise InputError(f"{self.path} exists already: choose another name or allow it (--force)")
        self.temporary = self.path.with_name(f".{self.path.stem}.{os.getpid()}.partial{self.path.suffix}")

    def commit(self) -> None:
        """Give the temporary file its name."""
        self.temporary.replace(self.path)

    def discard(self) -> None:
        """Remove the temporary file, if there is one."""
        self.temporary.unlink(missing_ok=True)
