"""A source read as one clip: which of its pictures the model sees, chosen as its preprocessing says.

Knows numbers and times of pictures, no codec. At most `Preprocess.frames` fitted frames are held, however long the
source: a file is read once where its header tells the truth, else once more for the pictures that it should have been.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vljepa_runtime.arguments import number
from vljepa_runtime.errors import InputError, SourceError
from vljepa_runtime.preprocessing.patches import Clip, FittedFrame, fit_frame, pick_numbers
from vljepa_runtime.preprocessing.preprocess import Preprocess
from vljepa_runtime.preprocessing.sampling import WindowSampler, hints_for
from vljepa_runtime.sources import Source, open_source
from vljepa_runtime.sources.protocol import DEFAULT_RATE, TOLERANCE_S, Frame, Hints, SourceStatus

__all__ = ["Part", "choose_numbers", "read_clip", "require_frame"]

Numbers = npt.NDArray[np.int64]
ALONE_S = 1 / DEFAULT_RATE  # how long a single picture is on show that does not say it
SILENT_S = 30.0  # a live source that gives nothing for this long after the part asked for is given up
MOST_ANNOUNCED = 10_000_000  # pictures; a header that claims more is not believed


@dataclass(frozen=True, slots=True)
class Part:
    """From `start_s` up to `stop_s` of a stream, as a player counts."""

    start_s: float = 0.0
    stop_s: float = float("inf")

    @classmethod
    def of(cls, start_s: float, seconds: float | None) -> Part:
        """A part by its length; None for all that is left."""
        return cls(start_s, float("inf") if seconds is None else start_s + seconds)


def read_clip(
    source: Source | str | Path | int,
    pre: Preprocess | None = None,
    *,
    start_s: float = 0.0,
    seconds: float | None = None,
    stretch: bool = False,
    on_warning: Callable[[str], None] = lambda message: None,
) -> Clip:
    """Read a source as one clip.

    Of a file or folder the frames are spread over the part asked for as `pre.sampling` says: over its time, so that
    the picture on show at each instant counts, or over its pictures by number. A live source gives one window of
    the session's kind, over `seconds` where they are given.

    Args:
        source: What `open_source` takes, or an open source, which is closed.
        pre: The preprocessing of a model, which decides which frames are taken. `Model.read_clip` knows it; without
            it there is nothing to read by.
        start_s: Seconds left out at the beginning.
        seconds: Length of the part; by default all of a file, one window of a live source.
        stretch: See `open_source`.
        on_warning: Told when a source is damaged and yet gives frames.

    Raises:
        SourceError: the source cannot be read, or has no frame in that part.
        InputError: the source never ends, or an argument is of another kind.

    Examples:
        >>> import vljepa_runtime as vj
        >>> clip = vj.read_clip("clip.mp4", vj.Preprocess(frames=4, size=64, patch=16), start_s=1, seconds=2)
        >>> clip.frames.shape, clip.frames.dtype
        ((4, 64, 64, 3), dtype('uint8'))
    """
    if not isinstance(pre, Preprocess):
        raise InputError(
            f"expected a model's preprocessing, which decides which frames are taken, got {pre!r}: "
            "write model.read_clip(source), or pass model.preprocess"
        )
    number(start_s, "start_s", least=0)
    if seconds is not None:
        number(seconds, "seconds", above=0)
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
    part, timeline = Part.of(start_s, seconds), _Timeline()

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


def choose_numbers(times_s: npt.ArrayLike, end_s: float, pre: Preprocess, part: Part) -> Numbers | None:
    """Numbers of the pictures that a clip takes: (pre.frames,), or None where none is on show in the part.

    By time, the first instant lies half of the shortest time on show after the beginning and the last as long before
    the end, so that pictures at a constant rate are taken as `pick_numbers` takes them from an array.

    Args:
        times_s: When each picture appears, in order.
        end_s: When the last one is no longer shown.
        pre: How many are taken, and what they are spread over.
        part: What may be taken.
    """
    edges = np.append(np.asarray(times_s, np.float64), end_s)
    begin_s, end_s = max(edges[0], part.start_s), min(edges[-1], part.stop_s)
    if len(edges) < 2 or end_s <= begin_s:
        return None
    shown_s = np.minimum(edges[1:], end_s) - np.maximum(edges[:-1], begin_s)
    inside = np.flatnonzero(shown_s > min(TOLERANCE_S, shown_s.max() / 2))
    first = 0 if begin_s == edges[0] else int(inside[0])
    last = len(shown_s) - 1 if end_s == edges[-1] else int(inside[-1])
    if pre.sampling == "frames":
        return first + pick_numbers(last + 1 - first, pre)
    step_s = shown_s[inside].min()
    lead_s = step_s / 2 if pre.picks == "nearest" else min(TOLERANCE_S, step_s / 4)
    instants_s = begin_s + lead_s + np.linspace(0, end_s - begin_s - step_s, pre.frames)
    numbers = np.searchsorted(edges[:-1], instants_s, side="right") - 1
    return np.asarray(np.clip(numbers, first, last), np.int64)


class _Timeline:
    """When the pictures of a source appear, as far as it was read."""

    def __init__(self) -> None:
        self.times_s = array("d")
        self.end_s = 0.0

    def note(self, number: int, time_s: float, duration_s: float | None) -> None:
        """Take the next picture; one that is known already changes nothing."""
        if number < len(self.times_s):
            return
        if duration_s is None:  # as long as the one before
            duration_s = time_s - self.times_s[-1] if self.times_s else ALONE_S
        self.times_s.append(time_s)
        self.end_s = time_s + duration_s

    def no_frame(self, name: str, part: Part) -> SourceError:
        """The error for a part without a picture."""
        if part.start_s >= self.end_s:
            return SourceError(
                f"{name} has no frame from {part.start_s:g} s on: it ends at {self.end_s:.4g} s"
            )
        return SourceError(
            f"{name} has no frame before {part.stop_s:g} s: its first one comes at {self.times_s[0]:.4g} s"
        )


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
) -> tuple[_Timeline, dict[int, FittedFrame]]:
    """One pass up to the end of the part: the times of all pictures, and the pictures of some."""
    timeline, fitted = _Timeline(), dict[int, FittedFrame]()
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
            fitted[item.index] = fit_frame(item.image, pre)
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
