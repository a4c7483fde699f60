"""When the pictures of a source appear, and which of them a clip takes. Knows numbers and times, no picture."""

from __future__ import annotations

from array import array
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vljepa_runtime.errors import SourceError
from vljepa_runtime.preprocessing.patches import pick_numbers
from vljepa_runtime.preprocessing.preprocess import Preprocess
from vljepa_runtime.sources.protocol import DEFAULT_RATE, TOLERANCE_S

__all__ = ["Numbers", "Part", "Timeline", "choose_numbers"]

Numbers = npt.NDArray[np.int64]
ALONE_S = 1 / DEFAULT_RATE  # how long a single picture is on show that does not say it


@dataclass(frozen=True, slots=True)
class Part:
    """From `start_s` up to `stop_s` of a stream, as a player counts."""

    start_s: float = 0.0
    stop_s: float = float("inf")

    @classmethod
    def of(cls, start_s: float, seconds: float | None) -> Part:
        """A part by its length; None for all that is left."""
        return cls(start_s, float("inf") if seconds is None else start_s + seconds)


class Timeline:
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
