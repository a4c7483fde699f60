"""A source read as one clip, of the pictures that a model's preprocessing chooses.

Knows numbers and times of pictures, no codec. At most `Preprocess.frames` fitted frames are held, however long the
source: a file is read once where its header tells the truth, else once more for the pictures that it should have been.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import overload

import numpy as np

from vljepa_runtime.arguments import number
from vljepa_runtime.errors import InputError, SourceError
from vljepa_runtime.preprocessing.patches import Clip, FittedFrame, fit_frame
from vljepa_runtime.preprocessing.preprocess import Preprocess
from vljepa_runtime.preprocessing.sampling import WindowSampler, hints_for
from vljepa_runtime.preprocessing.timeline import Numbers, Part, Timeline, choose_numbers
from vljepa_runtime.preprocessing.unread_clip import UnreadClip
from vljepa_runtime.sources import Source, open_source, source_name
from vljepa_runtime.sources.protocol import Frame, Hints, SourceStatus

__all__ = ["read_clip", "require_frame"]

SILENT_S = 30.0  # a live source that gives nothing for this long after the part asked for is given up
MOST_ANNOUNCED = 10_000_000  # pictures; a header that claims more is not believed


@overload
def read_clip(
    source: Source | str | Path | int,
    pre: None = None,
    *,
    start_s: float = 0.0,
    seconds: float | None = None,
    stretch: bool = False,
    on_warning: Callable[[str], None] = ...,
) -> UnreadClip: ...
@overload
def read_clip(
    source: Source | str | Path | int,
    pre: Preprocess,
    *,
    start_s: float = 0.0,
    seconds: float | None = None,
    stretch: bool = False,
    on_warning: Callable[[str], None] = ...,
) -> Clip: ...
def read_clip(
    source: Source | str | Path | int,
    pre: Preprocess | None = None,
    *,
    start_s: float = 0.0,
    seconds: float | None = None,
    stretch: bool = False,
    on_warning: Callable[[str], None] = lambda message: None,
) -> Clip | UnreadClip:
    """Read a source as one clip, as the commands do.

    Of a file or folder the frames are spread over the part asked for as `pre.sampling` says: over its time, so that
    the picture on show at each instant counts, or over its pictures by number. A live source gives one window of
    the session's kind, over `seconds` where they are given.

    Args:
        source: What `open_source` takes, or an open source, which is closed.
        pre: The preprocessing of a model, which decides which frames are taken. Without it the clip is read by the
            first model that gets it, as that model takes it.
        start_s: Seconds left out at the beginning.
        seconds: Length of the part; by default all of a file, one window of a live source.
        stretch: See `open_source`.
        on_warning: Told when a source is damaged and yet gives frames.

    Raises:
        SourceError: the source cannot be read, or has no frame in that part; without `pre` it only has to be there.
        InputError: the source never ends, or an argument is of another kind.

    Examples:
        >>> import vljepa_runtime as vj
        >>> clip = vj.read_clip("clip.mp4", start_s=1, seconds=2)
        >>> vj.load("tiny").classify(clip, ["a box jumps", "a ball falls"])[0].label
        'a box jumps'
        >>> clip = vj.read_clip("clip.mp4", vj.Preprocess(frames=4, size=64, patch=16), start_s=1, seconds=2)
        >>> clip.frames.shape, clip.frames.dtype
        ((4, 64, 64, 3), dtype('uint8'))
    """
    number(start_s, "start_s", least=0)
    if seconds is not None:
        number(seconds, "seconds", above=0)
    read = partial(
        _read_clip, source, start_s=start_s, seconds=seconds, stretch=stretch, on_warning=on_warning
    )
    if pre is None:
        return UnreadClip(source.name if isinstance(source, Source) else source_name(source), read)
    if not isinstance(pre, Preprocess):
        raise InputError(
            f"expected a model's preprocessing, which decides which frames are taken, got {pre!r}: "
            "write model.read_clip(source), or pass model.preprocess"
        )
    return read(pre)


def _read_clip(
    source: Source | str | Path | int,
    pre: Preprocess,
    *,
    start_s: float,
    seconds: float | None,
    stretch: bool,
    on_warning: Callable[[str], None],
) -> Clip:
    opened = source if isinstance(source, Source) else open_source(source, fps=pre.fps, stretch=stretch)
    with opened:
        if opened.loop and seconds is None:
            raise InputError(
                f"expected a source that ends, {opened.name} loops: pass seconds=, or leave loop out"
            )
        if opened.live:
            return _live_clip(opened, pre, start_s, seconds)
        return _stored_clip(opened, pre, Part.of(start_s, seconds), on_warning)


def require_frame(source: Source, *, start_s: float = 0.0, seconds: float | None = None) -> None:
    """Read a stored source up to the first picture of a part, and close it.

    Raises:
        SourceError: the source cannot be read, or has no frame in that part.

    Examples:
        >>> from vljepa_runtime import open_source
        >>> from vljepa_runtime.preprocessing import require_frame
        >>> require_frame(open_source("clip.mp4"), start_s=60)
        Traceback (most recent call last):
        vljepa_runtime.errors.SourceError: clip.mp4 has no frame from 60 s on: it ends at 6 s
    """
    part, timeline = Part.of(start_s, seconds), Timeline()

    def wanted(number: int, time_s: float, duration_s: float | None) -> bool:
        timeline.note(number, time_s, duration_s)
        return timeline.end_s > part.start_s

    with source:
        for item in source.frames(Hints(wanted=wanted)):
            if isinstance(item, Frame) and wanted(item.index, item.time_s, item.duration_s):
                if item.time_s < part.stop_s:
                    return
                break
    raise timeline.no_frame(source.name, part)


def _stored_clip(source: Source, pre: Preprocess, part: Part, on_warning: Callable[[str], None]) -> Clip:
    numbers = _guess(source, pre, part)
    timeline, fitted = _read(source, numbers, pre, part, on_warning)
    numbers = choose_numbers(timeline.times_s, timeline.end_s, pre, part)
    if numbers is None:
        raise timeline.no_frame(source.name, part)
    if not fitted.keys() >= set(numbers.tolist()):
        timeline, fitted = _read(source, numbers, pre, part, lambda message: None)
    if missing := set(numbers.tolist()) - fitted.keys():
        raise SourceError(
            f"{source.name} gave {len(timeline.times_s)} frames when it was read again and lacks number "
            f"{min(missing)}: does something write to it?"
        )
    return Clip.of([fitted[number] for number in numbers.tolist()], pre)


def _read(
    source: Source, numbers: Numbers | None, pre: Preprocess, part: Part, on_warning: Callable[[str], None]
) -> tuple[Timeline, dict[int, FittedFrame]]:
    """One pass up to the end of the part: the times of all pictures, and the pictures of some."""
    timeline, fitted = Timeline(), dict[int, FittedFrame]()
    picks = frozenset() if numbers is None else frozenset(numbers.tolist())

    def wanted(number: int, time_s: float, duration_s: float | None) -> bool:
        timeline.note(number, time_s, duration_s)
        return number in picks or time_s >= part.stop_s

    for item in source.frames(Hints(wanted=wanted)):
        if isinstance(item, SourceStatus):
            on_warning(item.message)
        elif wanted(item.index, item.time_s, item.duration_s):  # a source need not have asked
            if item.time_s >= part.stop_s:
                break
            fitted[item.index] = FittedFrame(fit_frame(item.image, pre), pre)
    return timeline, fitted


def _guess(source: Source, pre: Preprocess, part: Part) -> Numbers | None:
    """The choice, if what the source announces is true; to be compared with what is read."""
    announced = source.announced()
    if announced is None or not 0 < announced.frames <= MOST_ANNOUNCED:
        return None
    times_s = np.arange(announced.frames) * announced.step_s
    return choose_numbers(times_s, announced.frames * announced.step_s, pre, part)


def _live_clip(source: Source, pre: Preprocess, start_s: float, seconds: float | None) -> Clip:
    spread = pre if seconds is None else replace(pre, fps=pre.frames / seconds)
    sampler = WindowSampler(spread)
    begun = time.monotonic()
    for item in source.frames(hints_for(spread)):
        if time.monotonic() - begun > start_s + spread.seconds + SILENT_S:
            break
        if isinstance(item, Frame) and item.time_s >= start_s:
            for window in sampler.push(item):
                return Clip(window.clip.frames, pre)
    for window in sampler.flush():
        return Clip(window.clip.frames, pre)
    raise SourceError(f"{source.name} gave no frame in the part asked for: is it sending?")
