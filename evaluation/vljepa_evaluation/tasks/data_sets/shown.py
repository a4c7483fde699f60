"""Clips and pictures of a data set one by one, and the part of a task that knows which of them it asks about."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from vljepa_data.annotations import Example, Segment, by_segment, read_segment
from vljepa_evaluation.tasks.protocol import Evaluable, Float32
from vljepa_evaluation.tasks.task import TaskResult
from vljepa_runtime.errors import SourceError
from vljepa_runtime.preprocessing import Clip, Preprocess

__all__ = ["Asked", "ClipTask", "Shown", "shown"]

Asked = dict[tuple[str, str], list[Example]]
"""Of one clip, by query and kind: what answers it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One clip, or one picture as a clip whose frames are alike.

    Attributes:
        frames: As the model's preprocessing takes it.
        segment: What it is.
        video: Number of its file; clips of one file are not independent.
    """

    frames: Clip
    segment: Segment
    video: int


def shown(
    segments: Iterable[Segment], pre: Preprocess, unreadable: list[str] | None = None
) -> Iterator[tuple[int, Shown]]:
    """Each clip with its number, read when it is its turn.

    Args:
        segments: What is read.
        pre: How.
        unreadable: Takes why a clip cannot be read, which is then left out.

    Raises:
        SourceError: a clip cannot be read, and `unreadable` is None.
    """
    every = tuple(segments)
    videos = {path: number for number, path in enumerate(dict.fromkeys(each.path for each in every))}
    for number, segment in enumerate(every):
        try:
            frames = read_segment(segment, pre)
        except SourceError as error:
            if unreadable is None:
                raise
            unreadable.append(str(error))
            continue
        yield number, Shown(frames=frames, segment=segment, video=videos[segment.path])


class ClipTask:
    """Asks of its clips each distinct query once, once for each kind of question that it comes in.

    Args:
        name: In a report.
        examples: What is asked about.
        prompt: The query of examples that have none.
    """

    supply = "data"

    def __init__(self, name: str, examples: Iterable[Example], prompt: str) -> None:
        self.name = name
        self._prompt = prompt
        self.about = by_segment(examples)
        self.wanted = len(self.about)
        self._predicted: list[Float32] = []

    def queries(self, clip: Shown, number: int, /) -> Sequence[str]:
        """See `Task.queries`."""
        if clip.segment not in self.about:
            return ()
        asked: Asked = {}
        for example in self.about[clip.segment]:
            asked.setdefault((example.query or self._prompt, example.kind), []).append(example)
        return self._asked(clip, asked)

    def _asked(self, clip: Shown, asked: Asked) -> Sequence[str]:
        """Remember what is right; the queries to ask."""
        raise NotImplementedError

    def take(self, embeddings: Sequence[Float32]) -> None:
        """Keep those of one clip."""
        self._predicted += embeddings
        self.wanted -= 1

    def result(self, model: Evaluable) -> TaskResult:
        """See `Task.result`."""
        raise NotImplementedError
