"""A source into a log: every window's embedding, and a small picture where the meaning changes. Nothing is decoded."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from vljepa_log.store import Position
from vljepa_log.writer import LogWriter
from vljepa_runtime import Frame, OnlineSelection, WindowSampler, hints_for, open_source
from vljepa_runtime.selection import Decision, Observation
from vljepa_runtime.sources import resolve, source_name

if TYPE_CHECKING:
    from vljepa_runtime import Model, Source, Window

__all__ = ["Indexed", "Pictures", "index_source"]

UInt8 = npt.NDArray[np.uint8]
QUALITY = 80  # of JPEG
WAITING = 64
"""Pictures that may become a segment's, one per window: a minute at a stride of a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexed:
    """What became of a source.

    Attributes:
        stream: Its name in the log.
        windows: How many were added.
        end_s: Where it ended, in stream time.
        skipped: Whether all of it was in the log already.
    """

    stream: str
    windows: int
    end_s: float
    skipped: bool = False


class Pictures:
    """The middle frames of the last windows of one stream, of which a segment gets the one nearest to its middle.

    Examples:
        >>> from vljepa_log import Pictures
        >>> from vljepa_runtime import WindowSampler, load, open_source
        >>> pictures, sampler = Pictures(), WindowSampler(load("tiny").preprocess, 1.0)
        >>> with open_source("clip.mp4") as source:
        ...     for frame in source:
        ...         for window in sampler.push(frame):
        ...             pictures.add(window)
        >>> at_s, jpeg = pictures.of(2.0, 4.0)
        >>> at_s
        3.0
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[float, UInt8]] = deque(maxlen=WAITING)

    def add(self, window: Window) -> None:
        """Remember a window's picture, as the model saw it."""
        frames = window.clip.frames
        self._waiting.append(((window.start_s + window.end_s) / 2, frames[len(frames) // 2]))

    def of(self, start_s: float, end_s: float) -> tuple[float, bytes] | None:
        """Time and JPEG of a segment's picture; None before the first window."""
        if not self._waiting:
            return None
        middle_s = (start_s + end_s) / 2
        at_s, picture = min(self._waiting, key=lambda each: abs(each[0] - middle_s))
        bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        _, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        return at_s, jpeg.tobytes()


def index_source(
    model: Model,
    source: str | Path | int,
    log: LogWriter,
    *,
    query: str | None = None,
    stride_s: float = 1.0,
    max_seconds: float | None = None,
    began: datetime | None = None,
    on_window: Callable[[float], object] = lambda end_s: None,
) -> Indexed:
    """Add a source to a log, from where the log ends.

    What the log holds of it is decoded again (a video cannot be entered anywhere) but neither encoded nor stored twice.
    A file whose size or time of change is another is another recording.

    Args:
        model: Whose embeddings are logged.
        source: File, folder, address or camera.
        log: Of the same model.
        query: What is asked of every window; None takes the bundle's caption prompt.
        stride_s: Seconds between starts of windows.
        max_seconds: End after so much of the source's own time.
        began: When it began by the wall clock; None takes a file's own time, and now for what is live.
        on_window: Told how far it is, in stream time.

    Raises:
        SourceError: the source cannot be opened, or broke off; what came before is in the log.
        LogError: the log cannot be written.

    Examples:
        >>> from vljepa_log import LogWriter, index_source
        >>> from vljepa_runtime import load
        >>> model = load("tiny")
        >>> with LogWriter("clips.log", model.bundle.manifest) as log:
        ...     index_source(model, "clip.mp4", log)
        Indexed(stream='clip.mp4', windows=5, end_s=..., skipped=False)
    """
    stream, origin = source_name(source), _origin(source)
    before = log.position(stream)
    if before is None or before.source != origin:
        before = Position(at_s=0.0)
    if before.complete:
        return Indexed(stream=stream, windows=0, end_s=before.at_s, skipped=True)
    log.begin(stream, source=origin)
    with open_source(source) as opened:
        taker = _Taker(
            model=model, log=log, stream=stream, query=query or model.prompts["caption"], before=before,
            began_s=None if opened.live else (began.timestamp() if began else _file_time(source)),
        )  # fmt: skip
        for window in _windows(model, opened, stride_s, max_seconds):
            taker.take(window)
            on_window(window.end_s)
        taker.finish()
        if not opened.live and max_seconds is None:
            log.complete(stream, end_s=taker.end_s)
    return Indexed(stream=stream, windows=taker.count, end_s=taker.end_s)


class _Taker:
    """Windows of one stream on their way into the log."""

    def __init__(
        self,
        *,
        model: Model,
        log: LogWriter,
        stream: str,
        query: str,
        before: Position,
        began_s: float | None,
    ) -> None:
        self.model, self.log, self.stream, self.query, self.began_s = model, log, stream, query, began_s
        self.after_s, self.end_s, self.count = before.at_s, before.at_s, 0
        self._pictures = Pictures()
        self._changes = OnlineSelection().start()

    def take(self, window: Window) -> None:
        """Embed a window that the log does not hold yet."""
        if window.end_s <= self.after_s:
            return
        embedding = self.model.embed(window.clip, self.query)
        self.log.add_window(
            self.stream, self.query, start_s=window.start_s, end_s=window.end_s, embedding=embedding,
            at=self._clock(window.end_s),
        )  # fmt: skip
        self.end_s, self.count = window.end_s, self.count + 1
        self._pictures.add(window)
        seen = Observation(
            index=window.index,
            start_s=window.start_s,
            end_s=window.end_s,
            embedding=embedding,
            held=window.held,
        )
        self._picture(self._changes.push(seen))

    def finish(self) -> None:
        """Give the last segment its picture."""
        self._picture(self._changes.finish())

    def _picture(self, decisions: list[Decision]) -> None:
        for decision in decisions:
            if found := self._pictures.of(decision.start_s, decision.end_s):
                at_s, jpeg = found
                self.log.add_thumbnail(self.stream, at_s=at_s, jpeg=jpeg, at=self._clock(at_s))

    def _clock(self, at_s: float) -> float | None:
        return None if self.began_s is None else self.began_s + at_s


def _windows(model: Model, source: Source, stride_s: float, max_seconds: float | None) -> Iterator[Window]:
    sampler = WindowSampler(model.preprocess, stride_s)
    for item in source.frames(hints_for(model.preprocess)):
        if not isinstance(item, Frame):
            continue
        if max_seconds is not None and item.time_s >= max_seconds:
            break
        yield from sampler.push(item)
    yield from sampler.flush()


def _origin(source: str | Path | int) -> str:
    """What tells this content of a file from another under its name; empty where there is none."""
    found = resolve(source)
    if not isinstance(found, Path) or not found.is_file():
        return ""
    status = found.stat()
    return f"{status.st_size} bytes of {status.st_mtime_ns}"


def _file_time(source: str | Path | int) -> float:
    """When a recording began, as its container says; else when the file was changed last."""
    import av

    found = resolve(source)
    if not isinstance(found, Path):
        return datetime.now().timestamp()
    if found.is_file():
        with av.open(os.fspath(found)) as container:
            said = container.metadata.get("creation_time")
        if said:
            return datetime.fromisoformat(said.replace("Z", "+00:00")).timestamp()
    return found.stat().st_mtime
