"""What streams give, to all who want it: windows and events to log, kept video, receivers and pages. Ends no camera."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vljepa_runtime import Event, Source, VljepaError, Window
from vljepa_serve.cameras.camera import Camera
from vljepa_serve.cameras.trace import Trace
from vljepa_serve.config import AlertConfig

if TYPE_CHECKING:
    from vljepa_log import LogSink
    from vljepa_runtime.alerts import AlertChange
    from vljepa_serve.hub import Hub
    from vljepa_serve.sinks import Sinks
    from vljepa_serve.video import VideoRecorder

__all__ = ["Distributor", "Problem"]

Float32 = npt.NDArray[np.float32]
Problem = Callable[[str, str], object]


@dataclass(eq=False, kw_only=True)
class Distributor:
    """Takes what cameras give, on the thread that runs them.

    Attributes:
        hub: Is told what happens.
        log: Keeps it; None keeps nothing.
        video: Keeps what cameras send; None keeps nothing.
        sinks: Get every event.
        problem: Is told what went wrong with what is kept, and an empty sentence when it is well again.
    """

    hub: Hub
    log: LogSink | None
    video: VideoRecorder | None
    sinks: Sinks | None
    problem: Problem
    _traces: dict[str, Trace] = field(default_factory=lambda: defaultdict(Trace))

    def opened(self, camera: Camera, source: Source) -> None:
        """A connection of a camera begins."""
        if self.log is not None:
            self.log.add_stream(camera.config.source, source, name=camera.config.id)
        if self.video is not None:
            camera.keeper = self.video.begin(camera.config.id)
            source.keep_packets(camera.keeper.ring)

    def window(self, camera: Camera, window: Window, query: str, embedding: Float32) -> None:
        """The next window of a camera."""
        is_first = query == camera.first_query
        if is_first:
            camera.began = time.time() - window.end_s
        if self.log is not None:
            self._keep(partial(self.log.write_window, camera.config.id, window, query, embedding))
        if is_first and camera.keeper is not None:
            camera.keeper.advance(window.end_s, began=camera.began)
        if is_first:
            camera.newest, camera.unknown = window, window.unknown
            trace = self._traces[camera.config.id]
            trace.add(at=camera.began + window.end_s, embedding=embedding, unknown=camera.unknown)

        for found in camera.standing.push(window, query, embedding, partial(self._clip_of, camera)):
            self.tell(camera, found.event, about=found.about, send_to=found.send_to)

    def _clip_of(self, camera: Camera, alert: AlertConfig, change: AlertChange) -> str | None:
        """The name that the clip of an alert will have."""
        if self.video is None:
            return None
        start, end = camera.began + change.start_s - alert.look_back_s, camera.began + change.end_s
        return self.video.want_clip(camera.config.id, alert.id, start=start, end=end)

    def tell(
        self, camera: Camera, event: Event, *, about: str = "", send_to: tuple[str, ...] | None = None
    ) -> None:
        """Something is told of a camera.

        Args:
            camera: Which.
            event: What.
            about: Id of the alert or the states that it is of.
            send_to: Kinds of receivers that are told; None for all.
        """
        if self.log is not None:
            self._keep(partial(self.log.write, event))
        plain = replace(event, embedding=None)
        if self.sinks is not None:
            self.sinks.write(plain, only=send_to)
        told = self.hub.tell(plain, at_end=(camera.began or time.time()) + event.end_s, about=about)
        if event.kind == "segment" and event.query == camera.first_query:
            camera.now = told
            self._traces[event.stream].decide(event)

    def _keep(self, write: Callable[[], object]) -> None:
        """Write to the log; a full disk ends what is kept, and no camera."""
        try:
            write()
        except VljepaError as error:
            self.problem("log", f"The log cannot be written: {error}")
        else:
            self.problem("log", "")

    def take_windows(self) -> dict[str, list[dict[str, Any]]]:
        """What windows came of each camera since the last time."""
        taken = {id: trace.take() for id, trace in [*self._traces.items()]}
        return {id: windows for id, windows in taken.items() if windows}

    def forget(self, id: str) -> None:
        """A camera is watched no more."""
        self._traces.pop(id, None)
