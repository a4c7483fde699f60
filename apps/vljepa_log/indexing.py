"""A source into a log: every window's embedding, and a small picture where the meaning changes. Nothing is decoded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vljepa_log.recording import StreamRecorder, origin_of, stride_of
from vljepa_runtime import Frame, InputError, SourceError, WindowSampler, hints_for, open_source
from vljepa_runtime.predicting import PredictedWindow, PreparedWindow, predict_windows
from vljepa_runtime.sources import source_name

if TYPE_CHECKING:
    from vljepa_log.writer import LogWriter
    from vljepa_runtime import Model, Source, Window

__all__ = ["Indexed", "index_source", "indexed_before", "try_source"]

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
        error: Why it could not be read to its end; empty where it could.
    """

    stream: str
    windows: int
    end_s: float
    skipped: bool = False
    stored_stride_s: float | None = None
    error: str = ""


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
    if before := indexed_before(log, source, asked, stride_s=stride_s):
        return before
    with open_source(source) as opened:
        recorder = StreamRecorder(log, source, opened, began=began)
        for window in _windows(model, opened, stride_s, max_seconds):
            if not recorder.holds(window, asked):
                judged = _predicted(model, window, asked)
                recorder.add(judged.window, asked, judged.embeddings[0])
            on_window(window.end_s)
        recorder.finish(ended=not opened.live and max_seconds is None)
    return Indexed(stream=recorder.stream, windows=recorder.count, end_s=recorder.end_s(asked))


def indexed_before(
    log: LogWriter, source: str | Path | int, query: str, *, stride_s: float = 1.0
) -> Indexed | None:
    """What a log holds of a source where that is all of it, without opening it; None where some is still to come.

    Raises:
        SourceError: nothing has this name.
    """
    stream, origin = source_name(source), origin_of(source)
    known = log.positions(stream).get(query)
    if known is None or not known.complete or known.source != origin:
        return None
    stored = stride_of(log.store, stream, query)
    finer = stored is not None and stride_s < FINER * stored
    return Indexed(
        stream=stream,
        windows=0,
        end_s=known.at_s,
        skipped=True,
        stored_stride_s=stored if finer else None,
    )


def try_source(model: Model, source: str, log: LogWriter, **options: Any) -> Indexed:
    """As `index_source`; a source that cannot be read is told in `error`, since there may be others.

    Args:
        model: Whose embeddings are logged.
        source: File, folder, address or camera.
        log: Of the same model.
        options: The others of `index_source`.

    Raises:
        LogError: the log cannot be written.

    Examples:
        >>> import vljepa_runtime as vj
        >>> from vljepa_log import LogWriter, try_source
        >>> model = vj.load("tiny")
        >>> with LogWriter("TRIED", model.bundle.manifest) as log:
        ...     [try_source(model, name, log).error for name in ("clip.mp4", "none.mp4")]
        ['', 'no such file: none.mp4; give a file, a folder, a URL or a camera number']
    """
    name = source
    try:
        name = source_name(source)
        return index_source(model, source, log, **options)
    except (SourceError, InputError) as error:
        return Indexed(stream=name, windows=0, end_s=0.0, error=str(error))


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
