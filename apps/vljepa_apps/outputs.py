"""What a command writes: tried before any work, and written on when one output fails."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from vljepa_apps import console
from vljepa_apps.signals import deferred
from vljepa_runtime.closing import Closing
from vljepa_runtime.errors import InputError, OutputError, OutputPausedError, VljepaError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from vljepa_runtime import Window
    from vljepa_runtime.events import Event
    from vljepa_runtime.session import OnWindow
    from vljepa_runtime.sinks import Sink, SinkForm, SinkGroup
    from vljepa_runtime.sources import Frame

__all__ = ["Outputs", "own_files", "refuse_existing"]

STEM_BYTES = 150  # file systems take 255, of which a temporary name needs some


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


@dataclass(slots=True)
class _Own:
    """The files of one of several streams, whose frames come on another thread than its events."""

    sinks: SinkGroup
    lock: threading.Lock = field(default_factory=threading.Lock)

    def write(self, event: Event) -> None:
        """Give an event to all."""
        with self.lock:
            self.sinks.write(event)

    def write_frame(self, frame: Frame) -> None:
        """Give a frame to those that take frames."""
        with self.lock:
            self.sinks.write_frame(frame)


class Outputs(Closing):
    """Events on stdout and in files; when one of these fails, the others go on and are told.

    Args:
        files: Paths by the option of their sink, as in `vljepa_runtime.sinks.SINKS`.
        own: The same for files that one of several streams has for itself, by its name.
        overwrite: Replace files that exist.
        append: Go on at the end of those that can be continued.

    Attributes:
        files: The sinks of the files.
        failed: One could not be written to its end.

    Raises:
        InputError: a file exists and `overwrite` is off, or its place cannot be written.
    """

    def __init__(
        self,
        files: Mapping[str, Path],
        *,
        own: Mapping[str, Mapping[str, Path]] | None = None,
        overwrite: bool,
        append: bool = False,
    ) -> None:
        from vljepa_runtime.sinks import SinkGroup

        self.files = SinkGroup(self._tell, self._tell_of_a_pause)
        self.failed = False
        self._own = {stream: _Own(SinkGroup(self._tell, self._tell_of_a_pause)) for stream in own or {}}
        self._lock = threading.RLock()  # of stdout and `files`; whoever has it takes no other
        self._stream = "vljepa"
        try:
            _open(self.files, files, overwrite=overwrite, append=append)
            for stream, paths in (own or {}).items():
                _open(self._own[stream].sinks, paths, overwrite=overwrite, append=append)
        except InputError:
            self.close()
            raise
        # A service must not go on when its one file is lost.
        self._prints = not self._has_files or console.has_stdout()

    @property
    def _has_files(self) -> bool:
        return bool(self.files) or any(each.sinks for each in self._own.values())

    def print(self, event: Event) -> None:
        """Write an event to stdout, as long as there is one.

        Raises:
            OutputError: stdout failed and there is no other output.
        """
        with self._lock:
            self._stream = event.stream
            try:
                if self._prints:
                    console.json_line(event.to_json())
                elif not self._has_files:
                    raise OutputError("stdout and every file failed: there is nowhere left to write to")
            except OutputError as error:
                self._prints = False
                if not self._has_files:
                    raise
                self._tell(error)

    def write(self, event: Event) -> None:
        """Write an event to the files: those of all, and those of its stream."""
        with self._lock:
            self.files.write(event)
        if (own := self._own.get(event.stream)) is not None:
            own.write(event)

    def frames_of(self, stream: str) -> Callable[[Frame], None] | None:
        """What takes the frames of a stream, for `Session.run`; None where nothing does.

        Of several streams each has its own, which is called on the thread that reads it.
        """
        own = self._own.get(stream)
        if own is None:
            return self._write_frame if self.files.takes_frames else None
        return own.write_frame if own.sinks.takes_frames else None

    def _write_frame(self, frame: Frame) -> None:
        """Give a frame to the files, whole even when a signal comes."""
        with deferred() as ending:
            self.files.write_frame(frame)
        ending.raise_if_came()

    def add(self, sink: Sink) -> None:
        """Have one more, which no option of `SINKS` opens."""
        self.files.add(sink)
        self._prints = console.has_stdout()

    def windows_of(self, stream: str) -> OnWindow | None:
        """What takes the windows of a stream, for `Session.run`; None where nothing does."""
        return partial(self._write_window, stream) if self.files.takes_windows else None

    def _write_window(
        self, stream: str, window: Window, query: str, embedding: npt.NDArray[np.float32]
    ) -> None:
        """Give a window to the files, whole even when a signal comes."""
        with deferred() as ending, self._lock:
            self.files.write_window(stream, window, query, embedding)
        ending.raise_if_came()

    def _tell(self, error: OutputError) -> None:
        self.failed = True
        self._say(f"{error}: this output ends here, the others go on", f"warning: {error}")

    def _tell_of_a_pause(self, error: OutputPausedError | None) -> None:
        if error is None:
            self._say("what waited for the disk is written", "restored: what waited for the disk is written")
        else:
            self._say(
                f"{error}: what comes is kept for a while and written once it can be", f"warning: {error}"
            )

    def _say(self, note: str, text: str) -> None:
        from vljepa_runtime.events import Event, wall_clock

        console.note(f"vljepa: {note}")
        with self._lock:
            event = Event(stream=self._stream, kind="status", text=text, time=wall_clock())
            self.print(event)
            self.files.write(event)

    def close(self) -> None:
        """Finish the files."""
        self.files.close()
        for own in self._own.values():
            own.sinks.close()

    def abandon(self) -> None:
        """Finish the files of a run that failed."""
        self.files.abandon()
        for own in self._own.values():
            own.sinks.abandon()


def _open(sinks: SinkGroup, files: Mapping[str, Path], *, overwrite: bool, append: bool) -> None:
    from vljepa_runtime.sinks import SINKS

    for form in SINKS:
        if form.option in files:
            sinks.add(form.open(files[form.option], overwrite=overwrite, append=append))


def own_files(sink: SinkForm, folder: Path, sources: Sequence[str]) -> tuple[Path, ...]:
    """A file for each of several sources, in a folder that is made.

    Raises:
        InputError: it is no folder, or is named like a file.
    """
    from vljepa_runtime.sources import resolve

    if folder.suffix == sink.suffix or (folder.exists() and not folder.is_dir()):
        raise InputError(
            f"expected a folder for --{sink.option}, in which each of the {len(sources)} streams has a file, "
            f"got {folder}"
        )
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {folder}: {error.strerror}") from error
    names: list[str] = []
    for source in sources:
        found, numbers = resolve(source), count(2)
        stem = name = _stem(found.stem if isinstance(found, Path) else str(found))
        while name.casefold() in map(str.casefold, names):
            name = f"{stem}-{next(numbers)}"
        names.append(name)
    return tuple(folder / f"{name}{sink.suffix}" for name in names)


def _stem(name: str) -> str:
    """What every file system takes as a part of a name."""
    plain = re.sub(r"[^\w.-]+", "-", name).strip("-.")
    return plain.encode()[:STEM_BYTES].decode("utf-8", "ignore") or "stream"
