"""Video of all cameras on a thread that may wait for a disk: pieces as they come, clips of alerts, what is too old."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from vljepa_log import RetentionClock
from vljepa_runtime import VljepaError
from vljepa_runtime.closing import Closing
from vljepa_runtime.files import replace_file
from vljepa_serve.config import LogConfig
from vljepa_serve.video.keeper import VideoKeeper
from vljepa_serve.video.kept import KeptVideo

__all__ = ["VideoRecorder", "clip_path"]

LOOK_S = 1.0
UPKEEP_S = 60.0
AHEAD_S = 5.0  # what a clip shows after its alert began
LATE_S = 2.0  # a window may be so late
LEAST_S = 180.0  # of video is kept for clips, also where none is wanted
CLIP = re.compile(r"alert-\d{8}T\d{6}\d{3}Z-[a-z0-9-]{3,80}\.(mp4|mkv)")
MAX_CLIPS = 500


def clip_path(folder: Path, name: str) -> Path | None:
    """Where a clip lies; None where the name is none of a clip, or there is no such clip."""
    path = folder / name
    return path if CLIP.fullmatch(name) and path.is_file() else None


@dataclass(frozen=True, slots=True)
class _Wanted:
    name: str
    camera: str
    start: float
    end: float


class VideoRecorder(Closing):
    """Keeps what cameras send.

    Args:
        folder: Gets `video/` and `clips/`.
        config: How long; see `apply`.
        problem: Is told what cannot be kept, and an empty sentence when it can again.

    Attributes:
        kept: What is there.
        clips: Folder of the clips of alerts.
    """

    def __init__(self, folder: Path, config: LogConfig, problem: Callable[[str, str], object]) -> None:
        self.kept, self.clips = KeptVideo(folder / "video"), folder / "clips"
        self._config, self._problem = config, problem
        self._lock = threading.Lock()
        self._keepers: dict[str, VideoKeeper] = {}
        self._wanted: list[_Wanted] = []
        self._named_ms = 0
        self._clock: RetentionClock | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="video", daemon=True)
        self._thread.start()

    def apply(self, config: LogConfig) -> None:
        """Keep so much from now on."""
        self._config = config

    def begin(self, camera: str) -> VideoKeeper:
        """A new connection of a camera; what the last one left is stored."""
        self.end(camera)
        with self._lock:
            keeper = self._keepers[camera] = VideoKeeper(camera, self.kept)
        return keeper

    def end(self, camera: str) -> None:
        """The connection of a camera is no more."""
        with self._lock:
            keeper = self._keepers.pop(camera, None)
        if keeper is not None:
            self._try(partial(keeper.store, everything=True))

    def want_clip(self, camera: str, alert: str, *, start: float, end: float) -> str | None:
        """Have a clip made of what an alert of a camera shows, by the wall clock.

        Returns:
            The name that it will have; None where the camera sends no encoded video.
        """
        keeper = self._keepers.get(camera)
        if keeper is None or keeper.ring.track is None:
            return None
        with self._lock:
            self._named_ms = now_ms = max(self._named_ms + 1, int(time.time() * 1000))  # no name comes twice
            stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now_ms // 1000)) + f"{now_ms % 1000:03}"
            name = f"alert-{stamp}Z-{camera}-{alert}{keeper.ring.track.suffix}"
            self._wanted.append(_Wanted(name, camera, start, end + AHEAD_S))
        return name

    def close(self) -> None:
        """Store everything, and end."""
        self._stop.set()
        self._thread.join(30.0)
        for camera in [*self._keepers]:
            self.end(camera)
        self.make_clips(now=float("inf"))

    def _run(self) -> None:
        """Body of the thread."""
        looked = 0.0
        while not self._stop.wait(LOOK_S):
            for keeper in [*self._keepers.values()]:
                self._try(keeper.store)
            self.make_clips(now=time.time())
            if time.monotonic() - looked > UPKEEP_S:
                looked = time.monotonic()
                self._try(self._forget)

    def _try(self, work: Callable[[], object], *, about: str = "video") -> None:
        try:
            work()
        except (VljepaError, OSError) as error:
            self._problem(about, f"{about.capitalize()} cannot be kept; cameras go on: {error}")
        else:
            self._problem(about, "")

    def make_clips(self, *, now: float) -> None:
        """Make those that are complete by now, by the wall clock; its own thread does so all the time."""
        with self._lock:
            due = [each for each in self._wanted if each.end + LATE_S <= now]
            self._wanted = [each for each in self._wanted if each.end + LATE_S > now]
        for each in due:
            self._try(partial(self._make_clip, each), about="clips")

    def _make_clip(self, wanted: _Wanted) -> None:
        keeper = self._keepers.get(wanted.camera)
        rest = None
        if keeper is not None:
            keeper.store()
            rest = keeper.rest()
        self.clips.mkdir(parents=True, exist_ok=True)
        replace_file(
            self.clips / wanted.name,
            lambda file: self.kept.write(wanted.camera, wanted.start, wanted.end, file, rest=rest),
        )

    def _forget(self) -> None:
        """Remove what is too old or too much."""
        keep_s = max(LEAST_S, 3600 * self._config.video_hours)
        if self._clock is None or self._clock.keep_s != keep_s:
            file = self.kept.folder / "retention.json"
            self._clock = RetentionClock(keep_s=keep_s, newest=self.kept.newest, file=file)
        now = self._clock.now()
        for camera in self.kept.cameras:
            self.kept.forget(camera, now - keep_s)
        self.kept.shrink(self._config.video_gb * 1e9)
        names = sorted(path.name for path in self.clips.glob("alert-*") if CLIP.fullmatch(path.name))
        for name in names[: max(0, len(names) - MAX_CLIPS)]:
            with suppress(OSError):
                (self.clips / name).unlink(missing_ok=True)
