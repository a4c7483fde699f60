"""One stream on its way into a log: every window, what was told of it, and a small picture where the meaning changes.

Whoever reads the stream gives the windows: `index_source`, or a session by way of `LogSink`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vljepa_log.pictures import Pictures
from vljepa_log.store import Position, Store, Where
from vljepa_runtime import OnlineSelection
from vljepa_runtime.selection import Observation
from vljepa_runtime.sources import resolve

if TYPE_CHECKING:
    from vljepa_log.writer import LogWriter
    from vljepa_runtime import Event, Source, Window
    from vljepa_runtime.selection import Decision, State

__all__ = ["StreamRecorder", "origin_of", "stride_of"]

Float32 = npt.NDArray[np.float32]
TOLD = ("segment", "answer", "alert")
"""Kinds of events that a log keeps."""


class StreamRecorder:
    """Takes what comes of one stream.

    A file is stored once for each query: what the log holds of that already is left out. A live stream that comes again
    goes on behind what is stored, after the time that went by meanwhile, so that one time means one moment of it.

    Args:
        log: Takes it in.
        source: As the user named it: file, folder, address or camera.
        opened: The same, open.
        name: Of the stream in the log; None takes the source's own.
        began: When it began by the wall clock; None takes a file's own time. What is live goes by the clock.

    Attributes:
        stream: Its name in the log.
        live: Whether it goes by the clock.
        count: Windows that were stored, of all queries.

    Examples:
        >>> import vljepa_runtime as vj
        >>> from vljepa_log import LogWriter, StreamRecorder
        >>> model = vj.load("tiny")
        >>> sampler = vj.WindowSampler(model.preprocess, 1.0)
        >>> with LogWriter("RECORDED", model.bundle.manifest) as log, vj.open_source("clip.mp4") as source:
        ...     recorder = StreamRecorder(log, "clip.mp4", source)
        ...     for frame in source:
        ...         for window in sampler.push(frame):
        ...             recorder.add(window, "What happens?", model.embed(window.clip, "What happens?"))
        ...     recorder.finish()
        >>> recorder.stream, recorder.count
        ('clip.mp4', 5)
    """

    def __init__(
        self,
        log: LogWriter,
        source: str | Path | int,
        opened: Source,
        *,
        name: str | None = None,
        began: datetime | None = None,
    ) -> None:
        origin, self.stream, self.live = origin_of(source), name or opened.name, opened.live
        before = {query: at for query, at in log.positions(self.stream).items() if at.source == origin}
        self._log, self._count, self._shift_s = log, 0, 0.0
        self._before: dict[str, Position] = {} if self.live else before  # of other recordings none
        self._ends: dict[str, float] = {}
        self._told: set[tuple[object, ...]] = set()
        if self.live:
            self._shift_s = _shift(log, self.stream, before)
        elif before:
            known = Where(streams=(self.stream,), queries=tuple(before))
            self._told = {_key(each.event) for each in log.store.events(known)}
        self._began_s = time.time() if self.live else began.timestamp() if began else file_time(source)
        self._pictures = Pictures()
        self._changes: dict[str, State] = {}
        log.begin(self.stream, source=origin)

    @property
    def count(self) -> int:
        """Windows that were stored, of all queries."""
        return self._count

    def end_s(self, query: str) -> float:
        """How far the stream is stored for a query, in stream time."""
        known = self._before.get(query)
        return self._ends.get(query, known.at_s if known else 0.0)

    def holds(self, window: Window, query: str) -> bool:
        """Whether the log has this window already, for a query."""
        known = self._before.get(query)
        return known is not None and window.end_s <= known.at_s

    def add(self, window: Window, query: str, embedding: Float32) -> None:
        """Store a window, unless it is there.

        Args:
            window: Its times and pictures.
            query: What it was asked.
            embedding: (S,) float32, L2-normalised.

        Raises:
            LogError: the log cannot be written.
        """
        self._ends.setdefault(query, self.end_s(query))
        if self.holds(window, query):
            return
        if self.live:
            self._began_s = time.time() - window.end_s
        end_s = self._ends[query] = window.end_s + self._shift_s
        self._count += 1
        self._log.add_window(
            self.stream, query, start_s=window.start_s + self._shift_s, end_s=end_s, embedding=embedding,
            unknown=window.unknown, at=self._clock(window.end_s),
        )  # fmt: skip
        self._pictures.add(window)
        seen = Observation(
            index=window.index,
            start_s=window.start_s,
            end_s=window.end_s,
            embedding=embedding,
            held=window.held,
        )
        if query not in self._changes:
            self._changes[query] = OnlineSelection().knowing(self._log.boundaries, query).start()
        self._picture(self._changes[query].push(seen))

    def tell(self, event: Event) -> None:
        """Store a segment, an answer or an alert, unless it is there; other kinds are not kept.

        Raises:
            LogError: the log cannot be written.
        """
        if event.kind not in TOLD or (self._told and _key(event) in self._told):
            return
        shifted = replace(
            event,
            start_s=event.start_s + self._shift_s,
            end_s=event.end_s + self._shift_s,
            embedding=None,  # the windows have it
        )
        self._log.add_event(shifted, at=self._clock(event.end_s))

    def finish(self, *, ended: bool = False) -> None:
        """Give the last segments their pictures.

        Args:
            ended: The stream was read to its end: for what it was asked it need not be read again.

        Raises:
            LogError: the log cannot be written.
        """
        changes, self._changes = self._changes, {}
        for state in changes.values():
            self._picture(state.finish())
        for query in self._ends if ended else ():
            self._log.complete(self.stream, query, end_s=self._ends[query])

    def _picture(self, decisions: list[Decision]) -> None:
        for decision in decisions:
            if found := self._pictures.of(decision.start_s, decision.end_s):
                at_s, jpeg = found
                self._log.add_thumbnail(
                    self.stream, at_s=at_s + self._shift_s, jpeg=jpeg, at=self._clock(at_s)
                )

    def _clock(self, at_s: float) -> float:
        return self._began_s + at_s


def _shift(log: LogWriter, stream: str, before: Mapping[str, Position]) -> float:
    """What the times of a live stream are moved by, so that they go on where the last of its queries ended."""
    held = [each.last for each in log.store.held(Where(streams=(stream,)))]
    if not before or not held:
        return 0.0
    return max(each.at_s for each in before.values()) + max(0.0, time.time() - max(held))


def _key(event: Event) -> tuple[object, ...]:
    """What tells two events of a stream apart, as precise as they are stored; an alert is told at both its ends."""
    begun = event.kind, event.query, round(event.start_s, 3)
    return (*begun, event.text, round(event.end_s, 3)) if event.kind == "alert" else begun


def stride_of(store: Store, stream: str, query: str) -> float | None:
    """Seconds between the windows that are stored of a stream for a query; None of fewer than two."""
    for batch in store.windows(Where(streams=(stream,), queries=(query,))):
        apart = np.diff(batch.windows["start_s"])
        if (apart > 0).any():
            return float(apart[apart > 0].min())  # those that were thinned are further apart
    return None


def origin_of(source: str | Path | int) -> str:
    """What tells this content of a file or folder from another under its name; empty where there is none."""
    found = resolve(source)
    if not isinstance(found, Path) or not found.exists():
        return ""
    if found.is_dir():
        changed = [path.stat().st_mtime_ns for path in found.iterdir() if path.is_file()]
        return f"{len(changed)} files up to {max(changed, default=0)}"
    status = found.stat()
    return f"{status.st_size} bytes of {status.st_mtime_ns}"


def file_time(source: str | Path | int) -> float:
    """When a recording began, as its container says; else its length before the file was changed last."""
    import av

    found = resolve(source)
    if not isinstance(found, Path):
        return time.time()
    changed = found.stat().st_mtime
    if not found.is_file():
        return changed
    with suppress(av.FFmpegError, ValueError), av.open(os.fspath(found)) as container:
        if said := container.metadata.get("creation_time"):
            return datetime.fromisoformat(said.replace("Z", "+00:00")).timestamp()
        return changed - (container.duration or 0) / av.time_base
    return changed
