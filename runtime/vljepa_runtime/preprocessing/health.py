"""Whether the pictures of a live stream show anything: one that repeats to the bit is frozen, a dark even one black.

Looks at the fitted frames of windows, which are small and there anyway; knows no source and no event.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from vljepa_runtime.preprocessing.sampling import Window
from vljepa_runtime.sources.protocol import SourceStatus

__all__ = ["PictureHealth", "PictureState"]

FROZEN_S = 30.0  # H.264 gives a still scene the same to the bit until its next key frame, ten seconds at most
BLACK_S = 5.0  # a hand before the lens is no fault
DARK, EVEN = 16.0, 6.0  # levels of 255: mean and spread of a colour under a lens cover, with a sensor's noise
LIGHTER = 1.5  # times both until it is not black any more, so that a picture at the limit does not flicker


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureState:
    """What is wrong with the pictures of a live stream.

    Attributes:
        kind: `frozen`: frames come and all are the same; `black`: dark and even all over; empty: nothing is wrong.
        for_s: For how long by now, in seconds of the stream; 0 where nothing is wrong.

    Examples:
        >>> import vljepa_runtime as vj
        >>> model = vj.load("tiny")
        >>> with vj.SessionGroup() as group:
        ...     door = group.add("clip.mp4", model.session())
        ...     events = list(group.run())
        >>> group.stats[door].picture
        PictureState(kind='', for_s=0.0)
    """

    kind: Literal["", "frozen", "black"] = ""
    for_s: float = 0.0


class PictureHealth:
    """Follows the windows of one live stream.

    A still scene is not frozen: the noise of a sensor changes some pixel of every picture.

    Attributes:
        state: As of the newest window; may be read from any thread.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """The stream was lost: what comes next is not compared with what was."""
        self.state = PictureState()
        self._last: npt.NDArray[np.uint8] | None = None
        self._same_since_s = 0.0
        self._dark_since_s: float | None = None

    def push(self, window: Window) -> SourceStatus | None:
        """Take the next window; what is to be told of it."""
        self._look(window)
        before, kind = self.state, self._kind(window.end_s)
        since_s = {"black": self._dark_since_s or 0.0, "frozen": self._same_since_s}.get(kind, window.end_s)
        self.state = PictureState(kind=kind, for_s=window.end_s - since_s)
        if kind == before.kind:
            return None
        if kind == "black":
            said = "the picture is black: check the lens cover and the light"
        elif kind == "frozen":
            said = f"the same picture for {self.state.for_s:.0f} s: frames come, and nothing in them changes"
        else:
            shows = "changes" if before.kind == "frozen" else "is light"
            return SourceStatus(
                kind="restored", message=f"the picture {shows} again, after {before.for_s:.0f} s"
            )
        return SourceStatus(kind=kind, message=said)

    def _look(self, window: Window) -> None:
        """Since when it has been the same, and since when dark."""
        *older, newest = (frame.pixels for frame in window.clip.fitted)
        if self._last is None:
            self._same_since_s = window.start_s
        else:
            older.insert(0, self._last)
        if not all(
            np.array_equal(frame, newest) for frame in reversed(older)
        ):  # where things move, the first tells
            self._same_since_s = window.end_s
        self._last = newest
        limit = LIGHTER if self.state.kind == "black" else 1.0
        if not _is_black(newest, limit):
            self._dark_since_s = None
        elif self._dark_since_s is None:
            self._dark_since_s = window.end_s

    def _kind(self, now_s: float) -> Literal["", "frozen", "black"]:
        if self._dark_since_s is not None and now_s - self._dark_since_s >= BLACK_S:
            return "black"
        return "frozen" if now_s - self._same_since_s >= FROZEN_S else ""


def _is_black(picture: npt.NDArray[np.uint8], limit: float) -> bool:
    import cv2

    mean, spread = cv2.meanStdDev(picture)
    return bool(mean.max() < limit * DARK and spread.max() < limit * EVEN)
