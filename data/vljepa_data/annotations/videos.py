"""Frames of an annotated segment, read as the runtime reads a clip, and which segments cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from vljepa_data.annotations.example import Segment
from vljepa_runtime.errors import SourceError
from vljepa_runtime.patches import Clip, FittedFrame, Preprocess, fit_frame, pick_numbers
from vljepa_runtime.sampling import hints_for
from vljepa_runtime.sources.file import FileSource
from vljepa_runtime.sources.protocol import Frame, SourceStatus

__all__ = ["Unusable", "read_segment", "survey"]

KEEP = 512  # frames held at most; past it, every second one goes


@dataclass(frozen=True, slots=True)
class Unusable:
    """A segment that gives no frame, and why."""

    segment: Segment
    reason: str


def read_segment(
    segment: Segment, pre: Preprocess, *, on_warning: Callable[[str], None] = lambda message: None
) -> Clip:
    """Frames of a segment, evenly spaced, as `vljepa classify FILE` would see it.

    Args:
        segment: Part of a video.
        pre: The model's geometry.
        on_warning: Told when a file is damaged and yet gives frames.

    Returns:
        The clip.

    Raises:
        SourceError: the file is missing or broken, or ends before the segment begins.
    """
    kept: list[FittedFrame] = []
    step = 1
    for seen, frame in enumerate(_frames(segment, pre, on_warning)):
        if seen % step == 0:
            kept.append(fit_frame(frame.image, pre))
            if len(kept) > KEEP:
                kept, step = kept[::2], step * 2
    if not kept:
        raise SourceError(f"{segment.path} has no frame from {segment.start_s:g} s on: is the time right?")
    return Clip.of([kept[i] for i in pick_numbers(len(kept), pre)], pre)


def survey(
    segments: Iterable[Segment], pre: Preprocess, *, on_progress: Callable[[int], None] = lambda done: None
) -> list[Unusable]:
    """Open every segment and decode it up to its first frame, to find missing and broken ones before training.

    Args:
        segments: What to look at.
        pre: The model's geometry.
        on_progress: Called with the number looked at.
    """
    unusable = []
    for done, segment in enumerate(segments, 1):
        try:
            if next(_frames(segment, pre, lambda message: None), None) is None:
                unusable.append(Unusable(segment, f"no frame from {segment.start_s:g} s on"))
        except SourceError as error:
            unusable.append(Unusable(segment, str(error)))
        on_progress(done)
    return unusable


def _frames(segment: Segment, pre: Preprocess, on_warning: Callable[[str], None]) -> Iterator[Frame]:
    with FileSource(segment.path, hints=hints_for(pre)) as source:
        for item in source:
            if isinstance(item, SourceStatus):
                on_warning(item.message)
            elif segment.end_s is not None and item.time_s >= segment.end_s:
                return
            elif item.time_s >= segment.start_s:
                yield item
