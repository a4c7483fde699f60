"""A source read up to a time, with each frame shown to somebody on its way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from vljepa_runtime.errors import SourceError
from vljepa_runtime.sources.protocol import Frame, Hints, Item, Source

__all__ = ["limited_frames"]


def limited_frames(
    source: Source,
    hints: Hints,
    *,
    max_seconds: float | None = None,
    on_frame: Callable[[Frame], object] | None = None,
    frame_side: int | None = None,
) -> Iterator[Item]:
    """What `source.frames(hints)` gives until the time is up.

    Args:
        source: Read from; the caller closes it.
        hints: What the consumer needs.
        max_seconds: End after so much of the source's own time, or of the clock when it is live, whether it gives
            anything or not.
        on_frame: Called with every frame before it goes on. With it, hints to leave frames out are not passed
            down, because whoever watches wants them all.
        frame_side: Whoever watches is content with frames of this shorter side, at the rate that the hints ask for.

    Raises:
        SourceError: there was no frame in `max_seconds`.
    """
    near_s = 2 * (hints.min_interval_s or 0.0)
    if on_frame is not None and frame_side is None:
        hints = Hints(wake_s=hints.wake_s)
    elif on_frame is not None:
        hints = replace(hints, short_side=max(frame_side or 0, hints.short_side or 0))
    for item in _up_to(source, hints, float("inf") if max_seconds is None else max_seconds, near_s):
        if on_frame is not None and isinstance(item, Frame):
            on_frame(item)
        yield item


def _up_to(source: Source, hints: Hints, limit_s: float, near_s: float) -> Iterator[Item]:
    begun, seen = time.monotonic(), False
    last: Frame | None = None  # waits for the next one, because those in between may have been left out
    for item in source.frames(hints):
        late = source.live and time.monotonic() - begun >= limit_s
        over = late or (isinstance(item, Frame) and item.time_s >= limit_s)
        if last is not None:
            yield replace(last, duration_s=limit_s - last.time_s) if over else last
        if over and not seen:
            raise SourceError(f"{source.name} gave no frame in {limit_s:g} s: is it sending?")
        if over:
            return
        last, seen = None, seen or isinstance(item, Frame)
        if isinstance(item, Frame) and _ends_s(item, near_s) >= limit_s:
            last = item
        else:
            yield item
    if last is not None and last.duration_s is not None:
        yield replace(last, duration_s=min(last.duration_s, limit_s - last.time_s))


def _ends_s(frame: Frame, near_s: float) -> float:
    """When a frame of a file leaves the screen at the latest, with those after it that may have been left out."""
    return float("-inf") if frame.duration_s is None else frame.time_s + max(frame.duration_s, near_s)
