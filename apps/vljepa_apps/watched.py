"""A source that shows its frames to somebody on their way, and may end early."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import TracebackType

from vljepa_runtime.errors import SourceError
from vljepa_runtime.sources import Frame, Hints, Source, SourceStatus

__all__ = ["Watched"]


class Watched:
    """Wraps a source; see `vljepa_runtime.sources.Source`.

    Args:
        source: The source underneath; closed with this one.
        on_frame: Called with every frame before it goes on. With it, hints to leave frames out are not passed
            down, because whoever watches wants them all.
        max_seconds: End after so much of the source's own time, or of the clock when it is live, whether it gives
            anything or not.

    Raises:
        SourceError: while iterating, there was no frame in `max_seconds`.
    """

    def __init__(
        self,
        source: Source,
        *,
        on_frame: Callable[[Frame], None] | None = None,
        max_seconds: float | None = None,
    ) -> None:
        self.name = source.name
        self.live = source.live
        self.hints = source.hints
        self._source = source
        self._on_frame = on_frame
        self._max_seconds = float("inf") if max_seconds is None else max_seconds

    def __iter__(self) -> Iterator[Frame | SourceStatus]:
        every = Hints(wake_s=self.hints.wake_s)
        self._source.hints = self.hints if self._on_frame is None else every
        begun = time.monotonic()
        seen = False
        last: Frame | None = None  # waits for the next one, because those in between may have been left out
        for item in self._source:
            late = self.live and time.monotonic() - begun >= self._max_seconds
            over = late or (isinstance(item, Frame) and item.time_s >= self._max_seconds)
            if last is not None:
                left_s = self._max_seconds - last.time_s
                yield self._shown(replace(last, duration_s=left_s) if over else last)
            if over and not seen:
                raise SourceError(f"{self.name} gave no frame in {self._max_seconds:g} s: is it sending?")
            if over:
                return
            last, seen = None, seen or isinstance(item, Frame)
            if not isinstance(item, Frame):
                yield item
            elif self._is_near_the_end(item):
                last = item
            else:
                yield self._shown(item)
        if last is not None and last.duration_s is not None:
            left_s = self._max_seconds - last.time_s
            yield self._shown(replace(last, duration_s=min(last.duration_s, left_s)))

    def _is_near_the_end(self, frame: Frame) -> bool:
        """Whether a frame of a file may be the last one before the time is up."""
        ends_s = frame.time_s + max(frame.duration_s or 0.0, 2 * (self.hints.min_interval_s or 0.0))
        return frame.duration_s is not None and ends_s >= self._max_seconds

    def _shown(self, frame: Frame) -> Frame:
        if self._on_frame is not None:
            self._on_frame(frame)
        return frame

    def close(self) -> None:
        """Close the source underneath."""
        self._source.close()

    def __enter__(self) -> Watched:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
