"""A source into a log: every window's embedding, and a small picture where the meaning changes. Nothing is decoded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from vljepa_log.recording import StreamRecorder
from vljepa_runtime import Frame, WindowSampler, hints_for, open_source
from vljepa_runtime.predicting import PredictedWindow, PreparedWindow, predict_windows

if TYPE_CHECKING:
    from vljepa_log.writer import LogWriter
    from vljepa_runtime import Model, Source, Window

__all__ = ["Indexed", "index_source"]

FINER = 0.9  # of a stride; frames lie where they lie, so windows are not exactly as far apart as was asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexed:
    """What became of a source.

    Attributes:
        stream: Its name in the log.
        windows: How many were added.
        end_s: Where it ended, in stream time.
        skipped: Whether all of it was in the log already, for that query.
        stored_stride_s: Seconds between the windows that are there, where it was skipped and a finer stride was asked
            for: windows are kept in the order of their times, so none are put between them.
    """

    stream: str
    windows: int
    end_s: float
    skipped: bool = False
    stored_stride_s: float | None = None


def index_source(
    model: Model,
    source: str | Path | int,
    log: LogWriter,
    *,
    query: str | None = None,
    stride_s: float = 1.0,
    max_seconds: float | None = None,
    began: datetime | None = None,
    on_window: Callable[[float], object] = lambda end_s: None,
) -> Indexed:
    """Add a source to a log, from where the log ends.

    What the log holds of it is decoded again (a video cannot be entered anywhere) but neither encoded nor stored twice.
    A file whose size or time of change is another is another recording.

    Args:
        model: Whose embeddings are logged.
        source: File, folder, address or camera.
        log: Of the same model.
        query: What is asked of every window; None takes the bundle's caption prompt.
        stride_s: Seconds between starts of windows.
        max_seconds: End after so much of the source's own time.
        began: When it began by the wall clock; None takes a file's own time, and now for what is live.
        on_window: Told how far it is, in stream time.

    Raises:
        SourceError: the source cannot be opened, or broke off; what came before is in the log.
        LogError: the log cannot be written.
    """
    asked = query or model.prompts["caption"]
    with open_source(source) as opened:
        recorder = StreamRecorder(log, source, opened, began=began)
        if recorder.done(asked):
            stored = recorder.stride_s(asked)
            return Indexed(
                stream=recorder.stream, windows=0, end_s=recorder.end_s(asked), skipped=True,
                stored_stride_s=stored if stored is not None and stride_s < FINER * stored else None,
            )  # fmt: skip
        for window in _windows(model, opened, stride_s, max_seconds):
            if not recorder.holds(window, asked):
                judged = _predicted(model, window, asked)
                recorder.add(judged.window, asked, judged.embeddings[0])
            on_window(window.end_s)
        recorder.finish(ended=not opened.live and max_seconds is None)
    return Indexed(stream=recorder.stream, windows=recorder.count, end_s=recorder.end_s(asked))


def _predicted(model: Model, window: Window, query: str) -> PredictedWindow:
    """Its embedding, and whether it shows nothing that the model knows."""
    patches, positions = model.patches(window.clip)
    prepared = PreparedWindow(
        window=window, patches=patches, positions=positions, capture_ms=0, pools=model.novelty is not None
    )
    return predict_windows(model, [prepared], [query])[0]


def _windows(model: Model, source: Source, stride_s: float, max_seconds: float | None) -> Iterator[Window]:
    sampler = WindowSampler(model.preprocess, stride_s)
    for item in source.frames(hints_for(model.preprocess)):
        if not isinstance(item, Frame):
            continue
        if max_seconds is not None and item.time_s >= max_seconds:
            break
        yield from sampler.push(item)
    yield from sampler.flush()
