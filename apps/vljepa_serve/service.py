"""What runs behind the page: one model, the cameras, the log, the configuration. Knows no web.

ticker, once a second: did somebody change the file? what is there to tell? what is due to be tried again?
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import vljepa_runtime as vj
from vljepa_log import LogReader, LogSink, Retention, Segment, Where, words_event
from vljepa_runtime.bundle import identity_of
from vljepa_runtime.closing import Closing
from vljepa_runtime.files import plain
from vljepa_serve.archive import Archive, ReadingProcess, Workers
from vljepa_serve.cameras import Fleet, stats_json
from vljepa_serve.config import Config, ConfigFile, LogConfig
from vljepa_serve.device import Device
from vljepa_serve.hub import Hub
from vljepa_serve.places import Places
from vljepa_serve.sinks import Sinks
from vljepa_serve.thermal import SYSTEM, Heat, Throttle, read_heat
from vljepa_serve.video import KeptVideo, VideoRecorder

__all__ = ["Service"]

TICK_S = 1.0
SYSTEM_EVERY = HEAT_EVERY = 5  # ticks
MOST_PAGES, MOST_READERS = 32, 32
DAY_S = 86_400.0
READING, DECODING = (2, 64), (1, 16)  # threads of what looks at the past, and requests that may wait


class Service(Closing):
    """Everything that `vljepa serve` runs; `start` it once, `close` it at the end.

    The past is read by another process, which imports the program that was started: a script of your own needs
    `if __name__ == "__main__":` around what it does.

    Args:
        file: The configuration; changed by the page and by hand.
        folder: Where what is kept lies: log, video, clips, taught states.
        model: Loaded already; None loads what the configuration names.
        demo: Source of a drawn stream that shows what to expect, where there is one.
        system: Where the sensors of the device are told.

    Attributes:
        file: The configuration's file.
        heat: What the sensors said last.
        throttle: How many windows are left out for it.
        folder: See `folder`.
        demo: See `demo`.
        model: What predicts.
        hub: What open pages are told.
        fleet: The cameras.
        started: Wall clock of its start.
        reading: Threads for what looks at the past, and wait for the process that does.
        process: Reads the past.
        decoding: The one thread that puts the past into words, after all else.
        pages: Places of those that listen.
        readers: Places of those that read MJPEG.
        trials: Places of sources that are opened to see what they are.
    """

    def __init__(
        self,
        file: ConfigFile,
        *,
        folder: str | Path,
        model: vj.Model | None = None,
        demo: str | None = None,
        system: str | Path = SYSTEM,
    ) -> None:
        self.file, self.folder, self.demo = file, Path(folder), demo
        self.started = time.time()
        config = file.config
        self.model = model or vj.load(
            config.model.bundle, engine=config.model.engine, threads=config.model.threads
        )
        self.hub = Hub()
        self._problems: dict[str, str] = {}
        self._applied = config
        self._stop = threading.Event()
        self._reader_lock = threading.Lock()
        self._reader: LogReader | None = None
        self._archive: Archive | None = None
        self.reading = Workers(READING[0], waiting=READING[1], name="reading")
        self.decoding = Workers(DECODING[0], waiting=DECODING[1], name="decoding")
        self.log_place = config.log.folder or self.folder
        manifest, boundaries = self.model.bundle.manifest, self.model.boundaries
        self._log = LogSink(self.log_place, manifest, retention=_retention(config.log), boundaries=boundaries)
        self.process = ReadingProcess(self.log_place, manifest, boundaries=boundaries)
        self.device = Device(self.folder)
        self.throttle, self.heat, self._system = Throttle(), Heat(), Path(system)
        self.recorder = VideoRecorder(self.folder, config.log, self.set_problem)
        self.sinks = Sinks(self.folder / "outbox", self.set_problem)
        self.fleet = Fleet(
            self.model,
            self.hub,
            log=self._log,
            video=self.recorder,
            sinks=self.sinks,
            folder=self.folder,
            problem=self.set_problem,
        )
        self.pages = Places(MOST_PAGES, "open pages")
        self.readers = Places(MOST_READERS, "readers of moving pictures")
        self.trials = Places(2, "sources that are being tried")
        self._ticker = threading.Thread(target=self._tick_on, name="ticker", daemon=True)

    @property
    def config(self) -> Config:
        """What is in force."""
        return self.file.config

    @property
    def problems(self) -> list[str]:
        """What is wrong now, in sentences."""
        found = [*self._problems.values()]
        return [self.file.problem, *found] if self.file.problem else found

    def set_problem(self, about: str, sentence: str) -> None:
        """Note what is wrong with something; an empty sentence says that it is well again."""
        if sentence:
            self._problems[about] = sentence
        else:
            self._problems.pop(about, None)

    @property
    def video(self) -> KeptVideo:
        """What cameras sent, as far back as it is kept."""
        return self.recorder.kept

    @property
    def log(self) -> LogReader:
        """What was kept, to be read."""
        with self._reader_lock:
            if self._reader is None:
                self._reader = LogReader(
                    self.log_place, self.model.bundle.manifest, boundaries=self.model.boundaries
                )
            return self._reader

    @property
    def archive(self) -> Archive:
        """What was kept, as the page asks for it."""
        log = self.log
        with self._reader_lock:
            if self._archive is None:
                self._archive = Archive(
                    log, self.model, keep=self._keep_words, video=self.video, process=self.process
                )
            return self._archive

    def _keep_words(self, segments: Sequence[Segment]) -> None:
        for each in segments:
            self._log.add_event(words_event(each), at=each.time)

    def start(self) -> None:
        """Begin to watch."""
        self._restore()
        self.sinks.apply(self.config)
        self.fleet.start(self.config)
        self._ticker.start()

    def close(self) -> None:
        """End everything; what is pending is stored."""
        self._stop.set()
        if self._ticker.is_alive():
            self._ticker.join(5.0)
        self.fleet.close()
        self.reading.close()
        self.decoding.close()
        self.process.close()
        if self._archive is not None:
            self._archive.close()
        self.recorder.close()
        self.sinks.close()
        if self._reader is not None:
            self._reader.close()
        self._log.close()

    def change(self, edit: Callable[[ConfigFile], Config]) -> Config:
        """Change the configuration and take it over.

        Raises:
            ConfigError: the result is not what a configuration has to be.
        """
        config = edit(self.file)
        self._take_over()
        return config

    def _take_over(self) -> None:
        config = self.config
        if config is self._applied:
            return
        self._applied = config
        self.recorder.apply(config.log)
        self.sinks.apply(config)
        self.fleet.apply(config)
        self._log.set_retention(_retention(config.log))
        self.hub.send("config", {})

    def state(self) -> dict[str, Any]:
        """What a page needs at first."""
        model = self.model
        return {
            "now": time.time(),
            "version": vj.__version__,
            "bundle": {
                "name": model.bundle.name,
                "precision": model.bundle.manifest.precision_text,
                "engine": model.engine_name,
                "has_decoder": model.has_decoder,
                "knows_only": model.bundle.manifest.knows_only,
                "identity": identity_of(model.bundle.manifest),
            },
            "started": self.started,
            "demo": self.demo,
            "select": plain(self.config.select),
            "cameras": [self.fleet.view(camera) for camera in [*self.fleet.cameras.values()]],
            "events": [told.to_dict() for told in self.hub.newest(50)],
            "last_id": self.hub.last_id,
            "alerts": [
                {**plain(alert), "active": self.fleet.active(alert.id)} for alert in self.config.alert
            ],
            "problems": self.problems,
            "thermal": {"every": self.throttle.every, **plain(self.heat)},
        }

    def _restore(self) -> None:
        """Put back what was told lately before a restart."""
        since = time.time() - DAY_S
        stored = [*self.log.events(Where(since=since))][-200:]
        self.hub.restore((each.event, each.time, "") for each in stored)

    def _tick_on(self) -> None:
        """Body of the thread."""
        count = 0
        while not self._stop.wait(TICK_S):
            count += 1
            try:
                self._tick(count)
            except Exception as error:  # whatever it is, cameras go on, and people are told
                self.set_problem("ticker", f"Something went wrong inside: {type(error).__name__}: {error}")

    def _tick(self, count: int) -> None:
        if self.file.changed():
            self._take_over()
        if count % HEAT_EVERY == 0:
            self._look_at_heat()
        self.fleet.tick()
        for id, windows in self.fleet.outputs.take_windows().items():
            self.hub.send("windows", {"camera": id, "windows": windows}, about=id)
        self.hub.send("stats", {"cameras": self.stats()})
        if count % SYSTEM_EVERY == 0 and self.hub.pages:
            self.hub.send("system", {"system": self.device.view(self)})

    def _look_at_heat(self) -> None:
        """Do less where the device is hot, more where it is cool again."""
        config = self.config.thermal
        self.heat = read_heat(config.limit_c, system=self._system)
        if told := self.throttle.step(self.heat, config):
            self.fleet.slow(self.throttle.every, told)
            self.set_problem("thermal", f"{told}." if self.throttle.every > 1 else "")

    def stats(self) -> dict[str, Any]:
        """Counters of all cameras."""
        return {
            id: stats_json(self.fleet.stats(id), rate=camera.rate)
            for id, camera in [*self.fleet.cameras.items()]
        }


def _retention(config: LogConfig) -> Retention | None:
    days = partial(_times, DAY_S)
    found = Retention(
        max_age_s=days(config.keep_days),
        max_bytes=None if config.keep_gb is None else int(config.keep_gb * 1e9),
        thin_after_s=days(config.thin_days),
    )
    return None if found == Retention() else found


def _times(factor: float, value: float | None) -> float | None:
    return None if value is None else factor * value
