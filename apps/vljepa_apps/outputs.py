"""What a command writes: tried before any work, and written on when one output fails."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vljepa_apps import console
from vljepa_apps.signals import deferred
from vljepa_runtime.closing import Closing
from vljepa_runtime.errors import InputError, OutputError, VljepaError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from vljepa_runtime import Window
    from vljepa_runtime.events import Event
    from vljepa_runtime.sinks import Sink
    from vljepa_runtime.sources import Frame

__all__ = ["Outputs", "refuse_existing"]


def refuse_existing(
    paths: Iterable[str | Path | None],
    *,
    force: bool,
    kept: Iterable[Path] = (),
    inputs: Iterable[str | Path | None] = (),
) -> None:
    """Stop before any work when an output cannot be written; each is tried.

    Args:
        paths: The outputs; those that are None are not wanted.
        force: Replace those that exist, but never one of the inputs.
        kept: Those that may exist because they are appended to.
        inputs: What is read; may be no path at all.

    Raises:
        InputError: a path exists and `force` is off, its place cannot be written, or two of them are one file.
    """
    from vljepa_runtime.files import check_output, is_in_place

    outputs, appended = [Path(path) for path in paths if path], set(kept)
    for path in outputs:
        if os.fspath(path) == "-":
            raise InputError("expected a file to write, got -: standard output is /dev/stdout")
        check_output(path, overwrite=force or path in appended)
    files = [path for path in outputs if not is_in_place(path, overwrite=True)]
    if len({path.resolve() for path in files}) < len(files):
        raise InputError(f"expected a file for each output, got one twice: {', '.join(map(str, files))}")
    for source in inputs:
        if source and (same := next((path for path in files if _is_one_file(path, source)), None)):
            raise InputError(f"{same} is what is to be read: choose another name for the output")


def _is_one_file(output: Path, source: str | Path) -> bool:
    from vljepa_runtime.sources import resolve

    try:
        found = resolve(source)
        return isinstance(found, Path) and output.samefile(found)
    except (OSError, ValueError, VljepaError):  # one of them is not there
        return False


class Outputs(Closing):
    """Events on stdout and in files; when one of these fails, the others go on and are told.

    Args:
        files: Paths by the option of their sink, as in `vljepa_runtime.sinks.SINKS`.
        overwrite: Replace files that exist.
        append: Go on at the end of those that can be continued.

    Attributes:
        files: The sinks of the files.
        failed: One could not be written to its end.

    Raises:
        InputError: a file exists and `overwrite` is off, or its place cannot be written.
    """

    def __init__(self, files: Mapping[str, Path], *, overwrite: bool, append: bool = False) -> None:
        from vljepa_runtime.sinks import SINKS, SinkGroup

        self.files = SinkGroup(self._tell)
        self.failed = False
        self._prints = not files or console.has_stdout()  # a service must not go on when its one file is lost
        self._stream = "vljepa"
        try:
            for sink in SINKS:
                if sink.option in files:
                    self.files.add(sink.open(files[sink.option], overwrite=overwrite, append=append))
        except InputError:
            self.files.close()
            raise

    def print(self, event: Event) -> None:
        """Write an event to stdout, as long as there is one.

        Raises:
            OutputError: stdout failed and there is no other output.
        """
        self._stream = event.stream
        try:
            if self._prints:
                console.json_line(event.to_json())
            elif not self.files:
                raise OutputError("stdout and every file failed: there is nowhere left to write to")
        except OutputError as error:
            self._prints = False
            if not self.files:
                raise
            self._tell(error)

    def add(self, sink: Sink) -> None:
        """Have one more, which no option of `SINKS` opens."""
        self.files.add(sink)
        self._prints = console.has_stdout()

    def write_window(
        self, stream: str, window: Window, query: str, embedding: npt.NDArray[np.float32]
    ) -> None:
        """Give a window to the files, whole even when a signal comes."""
        with deferred() as ending:
            self.files.write_window(stream, window, query, embedding)
        ending.raise_if_came()

    def write_frame(self, frame: Frame) -> None:
        """Give a frame to the files, whole even when a signal comes."""
        with deferred() as ending:
            self.files.write_frame(frame)
        ending.raise_if_came()

    def _tell(self, error: OutputError) -> None:
        from vljepa_runtime.events import Event

        self.failed = True
        console.note(f"vljepa: {error}: this output ends here, the others go on")
        event = Event(stream=self._stream, kind="status", text=f"warning: {error}")
        self.print(event)
        self.files.write(event)

    def close(self) -> None:
        """Finish the files."""
        self.files.close()

    def abandon(self) -> None:
        """Finish the files of a run that failed."""
        self.files.abandon()
