"""What the log says of a camera's past: its segments with their words, and one of them for any moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

from vljepa_log import LogReader, Segment, Thumbnail, Where, with_words
from vljepa_runtime import SourceError
from vljepa_runtime.closing import Closing
from vljepa_serve.archive.clips import ClipCache
from vljepa_serve.archive.moments import MomentId
from vljepa_serve.archive.process import OpenLog, ReadingProcess
from vljepa_serve.errors import ServeError

if TYPE_CHECKING:
    from vljepa_runtime import Clip, Model
    from vljepa_serve.video import KeptVideo

__all__ = ["Archive"]

Float32 = npt.NDArray[np.float32]
Result = TypeVar("Result")
Keep = Callable[[Sequence[Segment]], object]
SLACK_S = 2.0
"""So far outside of a moment its windows may lie: they come some seconds apart."""
PICTURE_S = 10.0
"""How far from a moment a small picture may be and still show it: they are kept where the meaning changes."""


class Archive(Closing):
    """Reads the log of a server that goes on writing it; methods may be called from several threads.

    Args:
        log: Of the server; one reader for all, since it holds what makes searching quick.
        model: That wrote it.
        keep: Stores words that were found for segments.
        video: What cameras sent; None where none is kept.
        process: Reads what takes long; None reads it here.

    Attributes:
        log: See `log`.
        model: See `model`.
        keep: See `keep`.
        clips: Of moments whose video is kept; None where none is.
    """

    def __init__(
        self,
        log: LogReader,
        model: Model,
        *,
        keep: Keep,
        video: KeptVideo | None = None,
        process: ReadingProcess | None = None,
    ) -> None:
        self.log, self.model = log, model
        self.clips = None if video is None else ClipCache(video)
        self.keep = keep
        self._opened, self._process = OpenLog.of(log), process

    def close(self) -> None:
        """Remove the clips that were made; the log is its owner's to close."""
        if self.clips is not None:
            self.clips.close()

    def read(self, work: Callable[..., Result], *values: object) -> Result:
        """Have `work(OpenLog, *values)` done where it costs cameras least; see `ReadingProcess.run`."""
        return work(self._opened, *values) if self._process is None else self._process.run(work, *values)

    def queries_of(self, camera: str) -> dict[str, int]:
        """What a camera's windows were asked, and how many of them.

        Raises:
            ServeError: the log holds nothing of this camera.
        """
        held = self.log.store.held(Where(streams=(camera,)))
        if not held:
            raise ServeError(404, f"The log holds nothing of {camera[:80]!r}.", field="camera")
        return {each.query: each.windows for each in held}

    def query_of(self, camera: str, asked: str | None = None) -> str:
        """Which of them is meant; None takes the caption, else what there is most of.

        Raises:
            ServeError: the log holds nothing of this camera, or nothing for that question.
        """
        queries = self.queries_of(camera)
        if asked is None:
            caption = self.model.prompts.get("caption")
            return caption if caption in queries else max(queries, key=queries.__getitem__)
        if asked not in queries:
            known = "; ".join(sorted(queries))
            raise ServeError(404, f"{camera} was asked {known}, and not {asked[:200]!r}.", field="query")
        return asked

    def holds(self, camera: str, query: str | None = None) -> bool:
        """Whether anything of a camera, or of its answers to a query, can be read."""
        queries = () if query is None else (query,)
        return bool(self.log.store.held(Where(streams=(camera,), queries=queries)))

    def stored_until(self, camera: str, query: str) -> float:
        """Wall clock of the newest window of a camera that can be read."""
        held = self.log.store.held(Where(streams=(camera,), queries=(query,)))
        return max((each.last for each in held), default=0.0)

    def cut(self, camera: str, query: str, since: float, until: float) -> list[Segment]:
        """Segments that have a part of a span, without words."""
        return self.read(_cut, camera, query, since, until)

    def segments(self, camera: str, query: str, since: float, until: float) -> list[Segment]:
        """The same, with the words that the log has of them."""
        return with_words(self.log, self.cut(camera, query, since, until), lambda embedding: "")[0]

    def at(self, moment: MomentId, query: str | None = None) -> Segment:
        """The segment that a moment shares most time with, without words.

        Raises:
            ServeError: the log holds nothing of that moment.
        """
        asked = self.query_of(moment.camera, query)
        since, until = moment.start - SLACK_S, moment.end + SLACK_S
        found = self.cut(moment.camera, asked, since, until)
        if not found:
            raise ServeError(404, f"The log holds nothing of {moment.camera} at that time.", field="moment")
        return max(found, key=lambda each: min(each.time, moment.end) - max(each.began, moment.start))

    def words(self, segment: Segment) -> Segment:
        """A segment with the words that the log has of it."""
        return with_words(self.log, [segment], lambda embedding: "")[0][0]

    def worded(self, embedding: Float32) -> str:
        """An embedding (S,) in words.

        Raises:
            ServeError: the bundle has no Y-decoder.
        """
        if not self.model.has_decoder:
            raise ServeError(
                409, f"{self.model.bundle.name} has no Y-decoder: it ranks possible answers and words none."
            )
        return self.model.decode(embedding)

    def decoded(self, segment: Segment) -> Segment:
        """A segment in words, which are kept if they had to be found.

        Raises:
            ServeError: the bundle has no Y-decoder.
        """
        shown, fresh = with_words(self.log, [segment], self.worded)
        self.keep(fresh)
        return shown[0]

    def frames(self, moment: MomentId) -> Clip | None:
        """The kept video of a window in the middle of a moment; None where none is kept."""
        half_s = self.model.preprocess.seconds / 2
        start = moment.middle - half_s
        window = MomentId(camera=moment.camera, start=start, end=start + 2 * half_s)
        if self.clips is None or self.clips.start_of(window) is None:
            return None
        with suppress(ServeError, SourceError):
            clip = self.clips.clip(window)
            return self.model.read_clip(clip.path, start_s=max(0.0, start - clip.start), seconds=2 * half_s)
        return None

    def clip_start(self, moment: MomentId) -> float | None:
        """Wall clock of the first picture of a moment's clip; None where no video of it is kept."""
        return None if self.clips is None else self.clips.start_of(moment)

    def picture(self, moment: MomentId) -> Thumbnail | None:
        """The small picture of a moment; None where none was kept near it."""
        found = self.log.thumbnail(moment.camera, 0.0, time=moment.middle)
        near = found is not None and moment.start - PICTURE_S <= found.time <= moment.end + PICTURE_S
        return found if near else None


def _cut(opened: OpenLog, camera: str, query: str, since: float, until: float) -> list[Segment]:
    return opened.segments.between(camera, query, since, until)
