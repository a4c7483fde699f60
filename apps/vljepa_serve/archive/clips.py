"""Clips of moments, put together from kept video and there for a while: players ask for parts again and again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from vljepa_runtime.closing import Closing
from vljepa_serve.archive.moments import MomentId
from vljepa_serve.errors import ServeError

if TYPE_CHECKING:
    from vljepa_serve.video import KeptVideo, Piece

__all__ = ["Clip", "ClipCache"]

SLACK_S = 1.0  # around a moment: what is told of a window is told a little later
MOST = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """A file that shows a moment.

    Attributes:
        path: Where it lies; removed when others are wanted.
        start: Wall clock of its first picture, in seconds since 1970.
    """

    path: Path
    start: float


class ClipCache(Closing):
    """The clips that were wanted last; methods may be called from several threads.

    Args:
        video: What they are put together from.
    """

    def __init__(self, video: KeptVideo) -> None:
        self._video = video
        self._folder = TemporaryDirectory(prefix="vljepa-clips-")
        self._lock, self._count = threading.Lock(), 0
        self._clips: OrderedDict[tuple[MomentId, float], Clip] = OrderedDict()

    def start_of(self, moment: MomentId) -> float | None:
        """Wall clock of the first picture of a moment's clip; None where there is none."""
        pieces = self._pieces(moment)
        return pieces[0].start if pieces else None

    def clip(self, moment: MomentId) -> Clip:
        """The clip of a moment.

        Raises:
            ServeError: no video of it is kept.
        """
        if not (pieces := self._pieces(moment)):
            raise ServeError(404, "No video of this moment is kept.", field="moment")
        key = moment, pieces[-1].end  # of what goes on, more is kept later
        with self._lock:
            if key not in self._clips:
                self._clips[key] = self._written(moment, pieces[0])
            self._clips.move_to_end(key)
            while len(self._clips) > MOST:
                self._clips.popitem(last=False)[1].path.unlink(missing_ok=True)
            return self._clips[key]

    def close(self) -> None:
        """Remove all."""
        self._folder.cleanup()

    def _pieces(self, moment: MomentId) -> list[Piece]:
        if not self._video.holds(moment.camera, moment.start, moment.end):
            return []
        return self._video.pieces(moment.camera, moment.start - SLACK_S, moment.end + SLACK_S)

    def _written(self, moment: MomentId, first: Piece) -> Clip:
        self._count += 1
        path = Path(self._folder.name, f"{self._count}{first.suffix}")
        try:
            with path.open("w+b") as file:
                start, _ = self._video.write(
                    moment.camera, moment.start - SLACK_S, moment.end + SLACK_S, file
                )
        except BaseException as error:
            path.unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise ServeError(503, f"The clip cannot be written: {error.strerror or error}.") from error
            raise
        return Clip(path=path, start=start)
