"""The streams of a comparison: drawn from the procedural world, or annotated recordings of one's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vljepa_runtime.errors import InputError

if TYPE_CHECKING:
    from vljepa_evaluation.metrics import Annotation
    from vljepa_evaluation.tasks import Recording

__all__ = ["StreamOrder", "recordings", "streams_named"]

COUNT = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOrder:
    """Which streams; it travels to the process of each line.

    Attributes:
        count: Streams of the procedural world; 0 with a file.
        file: An annotation file whose segments say what happens when in recordings.
        minutes: Length of a drawn stream.
        stride_s: Seconds between windows.
    """

    count: int = COUNT
    file: str | None = None
    minutes: float = 5.0
    stride_s: float = 0.5

    @property
    def query(self) -> str:
        """What every window is asked."""
        from vljepa_data.world import PROMPTS

        return PROMPTS["caption"]


def streams_named(text: str) -> StreamOrder:
    """`6` streams of the procedural world, or the recordings of an annotation file.

    Raises:
        InputError: it is neither.
    """
    if text.isdecimal():
        if int(text) < 1:
            raise InputError("expected at least 1 stream, got 0: leave --streams out to measure none")
        return StreamOrder(count=int(text))
    if not Path(text).is_file():
        raise InputError(f"expected a number of streams or an annotation file, got {text!r}")
    return StreamOrder(count=0, file=text)


def recordings(
    model: Any, order: StreamOrder, *, progress: Callable[[float], None] = lambda share: None
) -> list[Recording]:
    """Every stream as a model sees it.

    Raises:
        AnnotationError: the file cannot be read.
        SourceError: a recording cannot be read.
    """
    from vljepa_evaluation.tasks import FIRST_STREAM, StreamPlan, record, record_video

    plan = StreamPlan(minutes=order.minutes, stride_s=order.stride_s, query=order.query)
    videos = dict(_annotated(order.file)) if order.file else {}
    seen = []
    for number in range(order.count):
        progress(number / order.count)
        seen.append(record(model, FIRST_STREAM + number, plan, model.preprocess))
    for number, (path, said) in enumerate(videos.items()):
        progress(number / len(videos))
        seen.append(record_video(model, path, said, plan, model.preprocess))
    return seen


def _annotated(file: str) -> Iterator[tuple[Path, list[Annotation]]]:
    """Each recording with what happens when in it."""
    from vljepa_data.annotations import by_segment, read_annotations
    from vljepa_evaluation.metrics import Annotation

    segments = by_segment(read_annotations(file))
    for path in dict.fromkeys(segment.path for segment in segments):
        yield (
            path,
            [
                Annotation(
                    start_s=segment.start_s,
                    end_s=float("inf") if segment.end_s is None else segment.end_s,
                    captions=tuple(dict.fromkeys(example.text for example in examples)),
                )
                for segment, examples in segments.items()
                if segment.path == path
            ],
        )
