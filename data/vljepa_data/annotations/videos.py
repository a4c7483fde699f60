"""The clip of an annotated segment, read as the runtime reads one, and which segments cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from vljepa_data.annotations.example import Segment
from vljepa_runtime.errors import SourceError
from vljepa_runtime.preprocessing import Clip, Preprocess, read_clip, require_frame
from vljepa_runtime.sources import open_file

__all__ = ["Unusable", "read_segment", "require_readable", "survey"]

NAMED = 3  # of the clips that cannot be read


@dataclass(frozen=True, slots=True)
class Unusable:
    """A segment that gives no frame, and why."""

    segment: Segment
    reason: str


def read_segment(
    segment: Segment, pre: Preprocess, *, on_warning: Callable[[str], None] = lambda message: None
) -> Clip:
    """The clip of a segment, as `vljepa classify FILE --start S --seconds S` sees it.

    Args:
        segment: A video file, and where its part begins and ends.
        pre: The model's preprocessing.
        on_warning: Told when a file is damaged and yet gives frames.

    Raises:
        SourceError: the file is missing or broken, or ends before the segment begins.
    """
    return read_clip(
        open_file(segment.path),
        pre,
        start_s=segment.start_s,
        seconds=_length_s(segment),
        on_warning=on_warning,
    )


def survey(
    segments: Iterable[Segment], *, on_progress: Callable[[int], None] = lambda done: None
) -> list[Unusable]:
    """Open every segment and decode it up to its first frame, to find missing and broken ones before training.

    Args:
        segments: Parts of videos; each is opened once.
        on_progress: Called with how many were opened so far.
    """
    unusable = []
    for done, segment in enumerate(segments, 1):
        try:
            require_frame(open_file(segment.path), start_s=segment.start_s, seconds=_length_s(segment))
        except SourceError as error:
            unusable.append(Unusable(segment, str(error)))
        on_progress(done)
    return unusable


def require_readable(
    segments: Collection[Segment], *, on_progress: Callable[[int], None] = lambda done: None
) -> None:
    """Refuse a list of clips of which some cannot be read, before anything slow is done with the others.

    Args:
        segments: See `survey`.
        on_progress: See `survey`.

    Raises:
        SourceError: with the first of those that cannot be read, and why.
    """
    if unusable := survey(segments, on_progress=on_progress):
        more = len(unusable) - NAMED
        reasons = [bad.reason for bad in unusable[:NAMED]] + ([f"and {more} more"] if more > 0 else [])
        raise SourceError(f"{len(unusable)} of {len(segments)} clips cannot be read: {'; '.join(reasons)}")


def _length_s(segment: Segment) -> float | None:
    return None if segment.end_s is None else segment.end_s - segment.start_s
