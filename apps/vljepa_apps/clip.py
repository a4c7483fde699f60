"""A source read as one clip: evenly spaced frames of the part that was asked for, in bounded memory."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from vljepa_runtime.errors import SourceError
from vljepa_runtime.patches import Clip, FittedFrame, fit_frame, pick_numbers

if TYPE_CHECKING:
    from vljepa_runtime.patches import Preprocess

__all__ = ["read_clip"]

KEEP = 512  # frames held at most; past it, every second one goes


def read_clip(spec: str, pre: Preprocess, *, start_s: float = 0.0, seconds: float | None = None) -> Clip:
    """Read a source as one clip.

    Args:
        spec: What `open_source` takes.
        pre: The model's geometry; frames are fitted to it as they are read.
        start_s: Seconds left out at the beginning.
        seconds: Length of the clip; by default a whole file, and one window of a live source.

    Returns:
        The clip.

    Raises:
        SourceError: the source cannot be read, or has no frame in that part.
    """
    from vljepa_runtime.sampling import hints_for
    from vljepa_runtime.sources import Frame, open_source

    kept: list[FittedFrame] = []
    step, seen = 1, 0
    with open_source(spec) as source:
        if seconds is None and source.live:
            seconds = pre.seconds
        stop = float("inf") if seconds is None else start_s + seconds
        source.hints = hints_for(pre)  # what a window of the session would see
        begun = time.monotonic()
        for item in source:
            if source.live and time.monotonic() - begun > stop + 30:
                raise SourceError(f"{source.name} gave no frame in the part asked for: is it sending?")
            if not isinstance(item, Frame) or item.time_s < start_s:
                continue
            if item.time_s >= stop:
                break
            if seen % step == 0:
                kept.append(fit_frame(item.image, pre))
                if len(kept) > KEEP:
                    kept, step = kept[::2], step * 2
            seen += 1
        name = source.name
    if not kept:
        part = f" from {start_s:g} s on" if start_s else ""
        raise SourceError(f"{name} has no frame{part}: choose another --start or --seconds")
    return Clip.of([kept[i] for i in pick_numbers(len(kept), pre)], pre)
