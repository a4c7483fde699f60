"""A log as one of the outputs of a run: on a full disk it waits for room, and the run goes on. Knows no session."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vljepa_log.errors import LogError
from vljepa_log.recording import StreamRecorder
from vljepa_log.writer import LogWriter, Steps
from vljepa_runtime.errors import OutputError, OutputPausedError
from vljepa_runtime.sinks import Sink

if TYPE_CHECKING:
    from vljepa_log.retention import Retention
    from vljepa_runtime import Event, Manifest, Source, Window
    from vljepa_runtime.selection import Boundaries

__all__ = ["LogSink"]


@dataclass(slots=True)
class _Stream:
    recorder: StreamRecorder
    to_its_end: bool


class LogSink(Sink):
    """Stores windows, small pictures, segments, answers and alerts of one or several streams.

    Args:
        place: Folder of the log; it is made, or goes on.
        manifest: Of the bundle whose embeddings are logged.
        steps: When what was gathered is stored; None takes what `Steps` says.
        retention: How long what is kept; None keeps everything.
        boundaries: See `LogWriter`.

    Raises:
        LogError: the log is another model's, or has its writer.

    Examples:
        >>> from functools import partial
        >>> import vljepa_runtime as vj
        >>> from vljepa_log import LogReader, LogSink
        >>> model = vj.load("tiny")
        >>> log = LogSink("run.log", model.bundle.manifest, boundaries=model.boundaries)
        >>> with log, model.session() as session:
        ...     source = vj.open_source("clip.mp4")
        ...     log.add_stream("clip.mp4", source)
        ...     for event in session.run(source, on_window=partial(log.write_window, source.name)):
        ...         log.write(event)
        >>> with LogReader("run.log") as log:
        ...     [(each.event.start_s, each.event.text) for each in log.events()]
        [(0.0, 'a white box bounces'), (3.0, 'a purple ball stays still')]
    """

    def __init__(
        self,
        place: str | Path,
        manifest: Manifest,
        *,
        steps: Steps | None = None,
        retention: Retention | None = None,
        boundaries: Boundaries | None = None,
    ) -> None:
        self._log: LogWriter | None = LogWriter(
            place, manifest, steps=steps or Steps(), retention=retention, boundaries=boundaries
        )
        self._streams: dict[str, _Stream] = {}
        self._failed = False

    @property
    def takes_windows(self) -> bool:
        """Every window is to be given to `write_window`."""
        return True

    def set_retention(self, retention: Retention | None) -> None:
        """See `LogWriter.set_retention`."""
        if self._log is not None:
            self._log.set_retention(retention)

    def add_stream(
        self,
        source: str | Path | int,
        opened: Source,
        *,
        name: str | None = None,
        to_its_end: bool = True,
    ) -> None:
        """Expect a stream; events and windows of others are not kept.

        Args:
            source: As the user named it.
            opened: The same, open.
            name: Of the stream; None takes the source's own.
            to_its_end: Whether it is read to its end, so that it need not be read again.
        """
        if self._log is not None:
            recorder = StreamRecorder(self._log, source, opened, name=name)
            self._streams[recorder.stream] = _Stream(recorder, to_its_end and not opened.live)

    def write_window(
        self, stream: str, window: Window, query: str, embedding: npt.NDArray[np.float32]
    ) -> None:
        """See `Sink.write_window`."""
        with self._pausing():
            if found := self._streams.get(stream):
                found.recorder.add(window, query, embedding)

    def write(self, event: Event) -> None:
        """See `Sink.write`."""
        with self._pausing():
            if found := self._streams.get(event.stream):
                found.to_its_end = found.to_its_end and event.kind != "error"
                found.recorder.tell(event)

    def add_event(self, event: Event, *, at: float) -> None:
        """Store at once what was found out later about a stream, such as its words.

        Args:
            event: With the times that the log has of the stream.
            at: Wall clock of its end, in seconds since 1970.
        """
        if self._log is not None:
            with self._pausing():
                self._log.add_event(event, at=at)
                self._log.flush()

    def close(self) -> None:
        """Store everything; what was read to its end is noted as done."""
        self._close(ended=not self._failed)

    def abandon(self) -> None:
        """Store everything; nothing was read to its end."""
        self._close(ended=False)

    def _close(self, *, ended: bool) -> None:
        log, streams = self._log, self._streams
        self._log, self._streams = None, {}
        if log is None:
            return
        try:
            with log:
                log.flush()  # perhaps there is room again
                for each in streams.values():
                    each.recorder.finish(ended=ended and each.to_its_end)
        except LogError as error:
            raise OutputError(str(error)) from error

    @contextmanager
    def _pausing(self) -> Iterator[None]:
        """What cannot be stored now waits in the log, and every call says so until it is stored."""
        try:
            yield
            trouble = None if self._log is None else self._log.trouble
        except LogError as error:
            trouble = error
        if trouble is not None:
            self._failed = True
            raise OutputPausedError(str(trouble)) from trouble
