"""Several sinks as one: a full disk or a reader that goes away ends one of them and not the run."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from vljepa_runtime.errors import OutputError, OutputPausedError
from vljepa_runtime.events import Event
from vljepa_runtime.sinks.protocol import Sink
from vljepa_runtime.sources.protocol import Frame

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from vljepa_runtime.preprocessing import Window

__all__ = ["SinkGroup"]


class SinkGroup(Sink):
    """Gives each event, frame and window to all its sinks; one that cannot be written is closed and the others go on.

    Args:
        on_failure: Called once for each sink that failed, with what happened.
        on_pause: Called with what happened when a sink cannot be written for now, and with None when it is again.
    """

    def __init__(
        self,
        on_failure: Callable[[OutputError], object] = lambda error: None,
        on_pause: Callable[[OutputPausedError | None], object] = lambda error: None,
    ) -> None:
        self.failures: list[OutputError] = []
        self._on_failure, self._on_pause = on_failure, on_pause
        self._paused: list[Sink] = []
        self._sinks: list[Sink] = []

    def __len__(self) -> int:
        return len(self._sinks)

    @property
    def takes_frames(self) -> bool:
        """Whether one of the sinks wants every frame."""
        return any(sink.takes_frames for sink in self._sinks)

    @property
    def takes_windows(self) -> bool:
        """Whether one of the sinks wants every window."""
        return any(sink.takes_windows for sink in self._sinks)

    def add(self, sink: Sink) -> None:
        """Have this sink too; it is closed with the group."""
        self._sinks.append(sink)

    def write(self, event: Event) -> None:
        """Give an event to all."""
        for sink in tuple(self._sinks):
            self._try(sink, partial(sink.write, event))

    def write_frame(self, frame: Frame) -> None:
        """Give a frame to those that take frames."""
        for sink in tuple(self._sinks):
            if sink.takes_frames:
                self._try(sink, partial(sink.write_frame, frame))

    def write_window(
        self, stream: str, window: Window, query: str, embedding: npt.NDArray[np.float32]
    ) -> None:
        """Give a window to those that take windows."""
        for sink in tuple(self._sinks):
            if sink.takes_windows:
                self._try(sink, partial(sink.write_window, stream, window, query, embedding))

    def close(self) -> None:
        """Finish all files; one that cannot be finished does not keep the others open."""
        self._finish(lambda sink: sink.close())

    def abandon(self) -> None:
        """Abandon all."""
        self._finish(lambda sink: sink.abandon())

    def _finish(self, act: Callable[[Sink], None]) -> None:
        while self._sinks:
            sink = self._sinks[-1]
            self._try(sink, partial(act, sink))
            if sink in self._sinks:
                self._sinks.remove(sink)

    def _try(self, sink: Sink, act: Callable[[], None]) -> None:
        try:
            act()
        except OutputPausedError as error:
            if sink not in self._paused:
                self._paused.append(sink)
                self._on_pause(error)
        except OutputError as error:
            if sink not in self._sinks:  # closing it failed as well
                return
            self._sinks.remove(sink)
            self._paused = [each for each in self._paused if each is not sink]
            self._try(sink, sink.close)
            self.failures.append(error)
            self._on_failure(error)
        else:
            if sink in self._paused:
                self._paused.remove(sink)
                self._on_pause(None)
