"""One camera as the server knows it: what is configured, what it shows, how it fares, in which words that is said."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from vljepa_runtime import Frame, Session, StreamStats, Window
from vljepa_runtime.redaction import redact
from vljepa_serve.cameras.standing import Standing
from vljepa_serve.config import CameraConfig
from vljepa_serve.hub import Told
from vljepa_serve.pictures import NewestPicture
from vljepa_serve.video import VideoKeeper

__all__ = ["Camera", "CameraState", "stats_json"]

CameraState = Literal["starting", "live", "slowed", "frozen", "black", "reconnecting", "stopped", "off"]
RATE_S = 10.0  # over which the rate of windows is taken
SLOW = 0.2  # share of windows left out from which on a camera counts as slowed
FPS_FRAMES = 50


@dataclass(eq=False)
class Camera:
    """What the server keeps of a camera while it is configured.

    Attributes:
        config: What is in force.
        standing: What is looked for in it.
        first_query: What its sentences answer.
        base_queries: What it is asked beside its own.
        keeper: Keeps what it sends.
        newest: The newest window.
        picture: The newest.
        session: Of the connection that runs; None where none does.
        stopped: Why it does not run although it is on; empty while it runs.
        attempt: How often it was tried since it ran.
        retry_at: When it is tried again, in seconds since 1970.
        began: Wall clock of its stream's 0 s.
        now: The last segment.
        last_frame: Wall clock of the newest picture.
        since: Since when its state is what it is.
        unknown: Whether the newest window shows nothing that the model knows.
    """

    config: CameraConfig
    standing: Standing
    picture: NewestPicture = field(default_factory=NewestPicture)
    session: Session | None = None
    first_query: str = ""
    base_queries: tuple[str, ...] = ()
    keeper: VideoKeeper | None = None
    newest: Window | None = None
    stopped: str = ""
    attempt: int = 0
    retry_at: float | None = None
    began: float = 0.0
    now: Told | None = None
    last_frame: float | None = None
    since: float = field(default_factory=time.time)
    unknown: bool | None = None
    state: CameraState = "starting"
    _frames: deque[float] = field(default_factory=lambda: deque(maxlen=FPS_FRAMES))
    _counts: deque[tuple[float, int, int]] = field(default_factory=deque)

    def take_frame(self, frame: Frame) -> None:
        """A picture came; on the thread that reads the camera."""
        self.last_frame = time.time()
        self._frames.append(time.monotonic())
        self.picture.put(frame.image)

    @property
    def fps(self) -> float | None:
        """Pictures a second that came lately."""
        times = tuple(self._frames)
        if len(times) < 2 or times[-1] == times[0]:
            return None
        return round((len(times) - 1) / (times[-1] - times[0]), 1)

    def count(self, stats: StreamStats | None) -> None:
        """Note how many windows there were by now; called once a second."""
        if stats is None:
            self._counts.clear()
            return
        now = time.monotonic()
        if self._counts and stats.session.windows < self._counts[-1][1]:  # a new connection
            self._counts.clear()
        self._counts.append((now, stats.session.windows, stats.dropped + stats.left_out))
        while now - self._counts[0][0] > RATE_S:
            self._counts.popleft()

    @property
    def rate(self) -> float:
        """Windows a second over the last ten."""
        if len(self._counts) < 2:
            return 0.0
        first, last = self._counts[0], self._counts[-1]
        return (last[1] - first[1]) / (last[0] - first[0])

    @property
    def left_out(self) -> tuple[int, int]:
        """Of the windows of the last ten seconds: how many were left out, of how many."""
        if len(self._counts) < 2:
            return 0, 0
        first, last = self._counts[0], self._counts[-1]
        dropped = last[2] - first[2]
        return dropped, dropped + last[1] - first[1]

    def look(self, stats: StreamStats | None) -> bool:
        """Find out how it fares; whether that is something else than before."""
        before = self.state, self.attempt, self.retry_at
        if stats is not None and stats.attempt:
            self.attempt, self.retry_at = stats.attempt, stats.retry_at
        elif stats is not None and stats.state == "running":
            self.attempt, self.retry_at = 0, None
        state = self._state(stats)
        if state != self.state:
            self.state, self.since = state, time.time()
        return (self.state, self.attempt, self.retry_at) != before

    def _state(self, stats: StreamStats | None) -> CameraState:
        if not self.config.on:
            return "off"
        if self.stopped:
            return "stopped"
        if stats is None or stats.state == "opening":
            return "starting"
        if stats.state != "running":
            return "reconnecting" if stats.state == "reconnecting" else "stopped"
        if stats.picture.kind:
            return stats.picture.kind
        dropped, count = self.left_out
        return "slowed" if count and dropped / count > SLOW else "live"

    def sentence(self, stats: StreamStats | None) -> str:
        """What is, then what to do."""
        if self.state == "starting":
            return "Connecting. The first picture usually takes 2 to 5 s."
        if self.state == "stopped":
            return self.stopped or "Stopped."
        if self.state == "reconnecting":
            lost = stats.lost.rpartition("; trying again")[0] if stats is not None else ""
            return f"Connection lost. {_sentence(lost)}".strip()
        if self.state == "slowed":
            dropped, count = self.left_out
            left_out = f"{dropped} of {count} windows of the last 10 s were left out"
            return f"The device is too slow, or too hot, for all: {left_out}."
        if self.state == "frozen":
            for_s = 0 if stats is None else stats.picture.for_s
            return f"Same picture for {for_s:.0f} s. The camera sends frames, but nothing in them changes."
        if self.state == "black":
            return "Black picture. Check the lens cover or the light."
        return "Switched off." if self.state == "off" else ""

    def view(self, stats: StreamStats | None) -> dict[str, Any]:
        """As pages have it."""
        size = self.picture.size
        return {
            "id": self.config.id,
            "name": self.config.name,
            "source": redact(self.config.source),
            "on": self.config.on,
            "loop": self.config.loop,
            "queries": list(self.config.queries),
            "state": self.state,
            "sentence": self.sentence(stats),
            "attempt": self.attempt,
            "retry_at": self.retry_at,
            "last_frame": self.last_frame,
            "since": self.since,
            "unknown": self.unknown,
            "now": None if self.now is None else self.now.to_dict(),
            "width": None if size is None else size[0],
            "height": None if size is None else size[1],
            "fps": self.fps,
            "stats": stats_json(stats, rate=self.rate),
        }


def stats_json(stats: StreamStats | None, *, rate: float) -> dict[str, Any] | None:
    """Counters as pages have them; None where nothing runs."""
    if stats is None:
        return None
    values = asdict(stats.session)
    left_out = {"dropped": stats.dropped, "left_out": stats.left_out}
    return {**values, **left_out, "reconnects": stats.reconnects, "rate": round(rate, 2)}


def _sentence(text: str) -> str:
    """A reason as a sentence."""
    plain = text.strip().rstrip(".")
    return f"{plain[:1].upper()}{plain[1:]}." if plain else ""
