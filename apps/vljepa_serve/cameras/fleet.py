"""All cameras in one group: begun, ended and begun anew as the configuration says, while the others go on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vljepa_runtime import Model, SessionGroup, SourceError, StreamStats, VljepaError
from vljepa_runtime.closing import Closing
from vljepa_runtime.redaction import redact
from vljepa_runtime.sources import resolve
from vljepa_serve.cameras.camera import Camera
from vljepa_serve.cameras.distribution import Distributor
from vljepa_serve.cameras.standing import Standing
from vljepa_serve.config import CameraConfig, Config
from vljepa_serve.errors import ServeError

if TYPE_CHECKING:
    from vljepa_log import LogSink
    from vljepa_serve.hub import Hub
    from vljepa_serve.sinks import Sinks
    from vljepa_serve.video import VideoRecorder

__all__ = ["Fleet"]

SHOWN_SIDE = 720  # shorter side of what pages are shown
ANEW_S = 5.0, 300.0  # after a failure that is not the camera's, doubling
REFUSED_S = 600.0  # after a camera refused: somebody may have put it right


class Fleet(Closing):
    """Runs the cameras of a configuration on a thread of its own.

    Args:
        model: Shared by all.
        hub: Is told what happens.
        log: Keeps it; None keeps nothing.
        video: Keeps what cameras send; None keeps nothing.
        sinks: Get every event.
        folder: Beside which files of taught states lie.
        problem: Is told what went wrong with what is kept, and an empty sentence when it is well again.

    Attributes:
        cameras: By their ids, those that are off included.
        outputs: Gets what they give.
    """

    def __init__(
        self,
        model: Model,
        hub: Hub,
        *,
        log: LogSink | None,
        video: VideoRecorder | None = None,
        sinks: Sinks | None = None,
        folder: Path = Path(),
        problem: Callable[[str, str], object] = lambda about, sentence: None,
    ) -> None:
        self.cameras: dict[str, Camera] = {}
        self.outputs = Distributor(hub=hub, log=log, video=video, sinks=sinks, problem=problem)
        self._model, self._hub, self._problem = model, hub, problem
        self._video, self._folder = video, folder
        self._lock = threading.RLock()
        self._group = SessionGroup()
        self._thread = threading.Thread(target=self._run, name="cameras", daemon=True)
        self._config = Config()

    def start(self, config: Config) -> None:
        """Begin."""
        self._thread.start()
        self.apply(config)

    def close(self) -> None:
        """End all, giving what is pending."""
        self._group.stop()
        if self._thread.is_alive():
            self._thread.join(10.0)
        self._group.close()

    def apply(self, config: Config) -> None:
        """Take over a configuration: only cameras that it changes are ended or begun."""
        with self._lock:
            before, self._config = self._config, config
            self._problem("select", self._boundary_problem())
            wanted = {each.id: each for each in config.camera}
            for id in [*self.cameras]:
                if id not in wanted:
                    self._end(self.cameras[id])
                    del self.cameras[id]
                    self.outputs.forget(id)
            for each in wanted.values():
                self._apply_one(each, anew=_asks(before) != _asks(config))

    def _boundary_problem(self) -> str:
        """Why the probability of the configuration counts nowhere; empty where it does, or there is none."""
        asks, known, stride_s = self._config.model, self._model.boundaries, self._config.model.stride_s
        queries = asks.queries or (self._model.prompts.get("caption", ""),)
        nets = [net for query in queries for net in (known.nets_of(query) if known is not None else ())]
        if self._config.select.boundary is None or any(net.fits(stride_s) for net in nets):
            return ""
        return (
            f"boundary of [select] counts nowhere: {self._model.bundle.name} has no network for windows "
            f"{stride_s:g} s apart that are asked {' or '.join(map(repr, queries))}. Selection goes by distances; "
            "take boundary out, or the stride and query it was tuned for."
        )

    def _apply_one(self, config: CameraConfig, *, anew: bool) -> None:
        camera = self.cameras.get(config.id)
        if camera is None:
            standing = Standing(config.id, self._model, self._folder, self._problem)
            camera = self.cameras[config.id] = Camera(config, standing)
            self._begin(camera)
            return
        before, camera.config = camera.config, config
        if anew or _reads(before) != _reads(config):
            self._end(camera)
            self._begin(camera)
            return
        self._stand(camera)
        if before != config:
            self._hub.send("camera", {"camera": self.view(camera)}, about=config.id)

    def retry(self, id: str) -> None:
        """Try a camera now, whatever it waits for."""
        with self._lock:
            camera = self.camera(id)
            self._end(camera)
            camera.attempt, camera.retry_at = 0, None
            self._begin(camera)

    def camera(self, id: str) -> Camera:
        """One of them.

        Raises:
            ServeError: there is none with this id.
        """
        found = self.cameras.get(id)
        if found is None:
            known = ", ".join(sorted(self.cameras)) or "none"
            raise ServeError(404, f"There is no camera {id[:40]!r}; known: {known}.", field="id")
        return found

    def active(self, alert: str) -> dict[str, bool]:
        """On which cameras an alert is watched, and whether it is on there now."""
        found = {id: camera.standing.active.get(alert) for id, camera in [*self.cameras.items()]}
        return {id: is_on for id, is_on in found.items() if is_on is not None}

    def stats(self, id: str) -> StreamStats | None:
        """How a camera's stream fares; None where none runs."""
        return self._group.stats.get(id)

    def view(self, camera: Camera) -> dict[str, Any]:
        """A camera as pages have it."""
        return camera.view(self.stats(camera.config.id))

    def no_picture(self, camera: Camera) -> ServeError:
        """What answers who wants a picture where there is none: that none will come as things are, or that one may."""
        view = self.view(camera)
        status = 409 if view["state"] in ("off", "stopped") else 503
        return ServeError(
            status, f"There is no picture of {camera.config.name} now. {view['sentence']}".strip()
        )

    def slow(self, every: int, why: str) -> None:
        """Look at every so many-th window of each camera only; each tells why."""
        self._group.slow(every, why=why)

    def tick(self) -> None:
        """Look at all, once a second: what changed is told, what is due is tried again."""
        stats = self._group.stats
        for id, camera in [*self.cameras.items()]:
            found = stats.get(id)
            camera.count(found)
            self._look(camera, found)
            if found is not None and found.state in ("failed", "ended", "stopped"):
                self._note_end(camera, found)
            if camera.retry_at is not None and camera.stopped and time.time() >= camera.retry_at:
                with self._lock:
                    self._end(camera)
                    self._begin(camera)

    def _look(self, camera: Camera, stats: StreamStats | None = None) -> None:
        """Tell how a camera fares, where that is something else than before."""
        found = stats or self.stats(camera.config.id)
        if camera.look(found):
            self._hub.send("camera", {"camera": camera.view(found)}, about=camera.config.id)

    def _note_end(self, camera: Camera, stats: StreamStats) -> None:
        """A stream ended although nobody ended it: say why, and when it is tried again."""
        if camera.stopped or not camera.config.on:
            return
        error = self._group.failures.get(camera.config.id)
        if error is None:
            camera.stopped, camera.retry_at = "The recording has ended. Play it again, or let it loop.", None
        elif isinstance(error, SourceError):
            camera.stopped = f"Stopped. {redact(str(error))}"
            camera.retry_at = time.time() + REFUSED_S
        else:
            camera.attempt += 1
            first_s, most_s = ANEW_S
            camera.retry_at = time.time() + min(most_s, first_s * 2 ** min(camera.attempt - 1, 10))
            camera.stopped = f"Stopped by {type(error).__name__}: {redact(str(error))}"
        camera.look(stats)
        self._hub.send("camera", {"camera": camera.view(stats)}, about=camera.config.id)

    def _begin(self, camera: Camera) -> None:
        config = camera.config
        camera.stopped = ""
        if config.on:
            try:
                self._add(camera)
            except VljepaError as error:
                camera.stopped = f"Stopped. {redact(str(error))}"
                camera.retry_at = time.time() + REFUSED_S
        camera.look(self.stats(config.id))
        self._hub.send("camera", {"camera": self.view(camera)}, about=config.id)

    def _add(self, camera: Camera) -> None:
        config = camera.config
        resolve(config.source)  # what has no name at all is said at once
        session = self._model.session(
            query=self._config.model.queries or None,
            select=self._config.select.policy(),
            stride_s=self._config.model.stride_s,
            tokens=self._config.model.tokens,
            carry_s=self._config.model.carry_s,
            embeddings=True,
        )
        camera.session, camera.first_query = session, session.queries[0]
        camera.base_queries = session.queries
        self._stand(camera)
        self._group.add(
            config.source,
            session,
            name=config.id,
            loop=config.loop,
            fps=config.fps,
            realtime=True,
            hwaccel=config.hwaccel,
            patient=True,
            on_open=partial(self.outputs.opened, camera),
            on_frame=camera.take_frame,
            frame_side=SHOWN_SIDE,
            on_window=partial(self.outputs.window, camera),
        )

    def _stand(self, camera: Camera) -> None:
        """Look for what the configuration wants, and ask what that needs; the connection goes on."""
        if (session := camera.session) is None:
            return
        camera.standing.apply(self._config, query=camera.first_query)
        asked = [*dict.fromkeys([*camera.base_queries, *camera.config.queries])]
        silent = [query for query in dict.fromkeys(camera.standing.queries) if query not in asked]
        if session.queries != (*asked, *silent):
            session.ask(asked, silent=silent)

    def _end(self, camera: Camera) -> None:
        if camera.config.id in self._group.stats:
            self._group.remove(camera.config.id)
        if self._video is not None:
            self._video.end(camera.config.id)
        camera.session = camera.keeper = None
        camera.picture.clear()

    def _run(self) -> None:
        """Body of the thread."""
        for event in self._group.run(until_stopped=True):
            try:
                if (camera := self.cameras.get(event.stream)) is not None:
                    self.outputs.tell(camera, event)
                    if event.kind in ("status", "error"):
                        self._look(camera)
            except Exception as error:  # the others go on, whatever one of them brought
                self._problem("cameras", f"Something went wrong inside: {type(error).__name__}: {error}")


def _reads(config: CameraConfig) -> tuple[object, ...]:
    """What of a camera's configuration its connection depends on."""
    return config.source, config.on, config.loop, config.fps, config.hwaccel


def _asks(config: Config) -> tuple[object, ...]:
    """What of a configuration the sessions of all cameras depend on."""
    model = config.model
    return model.queries, config.select, model.stride_s, model.tokens, model.carry_s
