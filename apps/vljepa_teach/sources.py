"""Where windows of examples come from: files that a model encodes, and logs, which keep predicted embeddings alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vljepa_log import LogReader, Where
from vljepa_runtime import Frame, InputError, SourceError, WindowSampler, hints_for, open_source, pool_tokens
from vljepa_runtime.bundle import identity_of
from vljepa_teach.examples import Example
from vljepa_teach.learning import Taught, learn
from vljepa_teach.windows import Showing, Windows, showings_of

if TYPE_CHECKING:
    from vljepa_runtime import Clip, Manifest, Model
    from vljepa_runtime.states import Feature

__all__ = ["teach", "teach_from_log"]

Array = npt.NDArray[np.float32]
Told = Callable[[int, int, str], object]
THINNED_S = 3600.0
STRIDE_S = 0.5
"""Between windows that examples are chosen from; only what is chosen is encoded."""


def teach(
    model: Model,
    examples: Iterable[Example],
    *,
    query: str | None = None,
    feature: str = "auto",
    unsure: float = 0.05,
    on_example: Told = lambda done, total, name: None,
) -> Taught:
    """Teach states by pictures and clips, which are encoded as a session encodes a stream.

    Args:
        model: Whose features are looked at.
        examples: Parts of files; one that cannot be read is left out, and told in `Taught.warnings`.
        query: What is asked; None takes the bundle's caption prompt, which logs keep.
        feature: See `learn`.
        unsure: See `learn`.
        on_example: Told how many files are done, of how many, and which is next.

    Raises:
        InputError: there are fewer than two states, or one has nothing that can be read.

    Examples:
        >>> from vljepa_runtime import load
        >>> from vljepa_teach import examples_in_table, teach
        >>> taught = teach(load("tiny"), examples_in_table("clips.csv"))
        >>> taught.states.names
        ('a white box bounces', 'a purple ball stays still')
        >>> taught.states.save("states.json")
    """
    asked = query or model.prompts["caption"]
    showings: list[Showing[Clip]] = showings_of(examples)
    by_file: dict[Path, list[Showing[Clip]]] = {}
    for showing in showings:
        by_file.setdefault(Path(showing.example.source), []).append(showing)
    failed: list[str] = []
    found: dict[int, Mapping[Feature, Sequence[Array]]] = {}
    for done, (file, own) in enumerate(by_file.items()):
        on_example(done, len(by_file), file.name)
        try:
            _read(file, own, model)
        except SourceError as error:
            failed.append(f"left out: {error}")
        for showing in own:
            found[id(showing)] = _features(model, showing.chosen(), asked)
    on_example(len(by_file), len(by_file), "")
    windows = Windows.of([(showing.example, found[id(showing)]) for showing in showings])
    identity = identity_of(model.bundle.manifest)
    taught = learn(windows, identity=identity, query=asked, feature=feature, unsure=unsure)
    return replace(taught, warnings=(*failed, *taught.warnings))


def teach_from_log(
    log: LogReader,
    manifest: Manifest,
    moments: Iterable[Example],
    *,
    query: str | None = None,
    unsure: float = 0.05,
    wall: bool = False,
) -> Taught:
    """Teach states by moments of a log. Nothing is encoded, so the predicted embedding is all there is to look at.

    Args:
        log: Of the model.
        manifest: Of that model's bundle.
        moments: Parts of its streams.
        query: Which of the log's embeddings are meant; None where it has one query alone.
        unsure: See `learn`.
        wall: Whether the times of the moments are seconds since 1970, and not of the streams.

    Raises:
        InputError: see `teach`; or several queries were logged and none is named.
        LogError: a stream is not in the log.

    Examples:
        >>> from vljepa_log import LogReader, LogWriter, index_source
        >>> from vljepa_runtime import load
        >>> from vljepa_teach import Example, teach_from_log
        >>> model = load("tiny")
        >>> with LogWriter("DOOR", model.bundle.manifest) as log:
        ...     _ = index_source(model, "clip.mp4", log)
        >>> moments = [Example("early", "clip.mp4", 0, 3), Example("late", "clip.mp4", 3, 6)]
        >>> with LogReader("DOOR", model.bundle.manifest) as log:
        ...     teach_from_log(log, model.bundle.manifest, moments).states.feature
        'embedding'
    """
    streams = {each.name: each.queries for each in log.streams()}
    showings: list[Showing[Array]] = showings_of(moments)
    if unknown := {str(each.example.source) for each in showings} - streams.keys():
        raise InputError(
            f"the log holds no windows of {', '.join(sorted(unknown))}; its streams: {', '.join(streams) or 'none'}"
        )
    asked = _asked(query, {each for showing in showings for each in streams[str(showing.example.source)]})
    shown: list[tuple[Example, Mapping[Feature, Sequence[Array]]]] = []
    for showing in showings:
        _look_up(log, showing, asked, wall=wall)
        rows = [np.asarray(row, np.float32) for row in showing.chosen()]
        if not rows:
            raise InputError(f"the log holds no window of {showing.example}")
        shown.append((showing.example, {"embedding": rows}))
    windows = Windows.of(shown)
    return learn(windows, identity=identity_of(manifest), query=asked, unsure=unsure)


def _read(file: Path, showings: Sequence[Showing[Clip]], model: Model) -> None:
    """Offer every window of a file to the examples that are parts of it, and stop behind the last of them."""
    ends = [each.example.end_s for each in showings]
    last_s = max((end_s for end_s in ends if end_s is not None), default=np.inf)
    until_s = np.inf if None in ends else last_s + model.preprocess.seconds
    sampler = WindowSampler(model.preprocess, STRIDE_S)
    with open_source(file, fps=model.preprocess.fps) as source:
        for item in source.frames(hints_for(model.preprocess)):
            if isinstance(item, Frame):
                if item.time_s > until_s:
                    break
                for window in sampler.push(item):
                    _offer(showings, window.start_s, window.end_s, window.clip)
        for window in sampler.flush():
            _offer(showings, window.start_s, window.end_s, window.clip)


def _offer(showings: Sequence[Showing[Clip]], start_s: float, end_s: float, clip: Clip) -> None:
    for each in showings:
        each.offer(start_s, end_s, clip)


def _features(model: Model, clips: Sequence[Clip], query: str) -> dict[Feature, Sequence[Array]]:
    visual = [model.encode(clip) for clip in clips]
    return {
        "embedding": [model.predict(each, query) for each in visual],
        "tokens": [pool_tokens(each) for each in visual],
    }


def _asked(query: str | None, known: set[str]) -> str:
    if query is None and len(known) == 1:
        return next(iter(known))
    if query is None or query not in known:
        names = "; ".join(sorted(known))
        raise InputError(f"expected a query that was logged, got {query!r}: name one of: {names}")
    return query


def _look_up(log: LogReader, showing: Showing[Array], query: str, *, wall: bool) -> None:
    """Offer the windows of a stream that touch the part."""
    example = showing.example
    last_s = np.inf if example.end_s is None else example.end_s
    where = Where(streams=(str(example.source),), queries=(query,))
    if wall:  # a window that was thinned may end long after the part
        where = replace(where, since=example.start_s, until=last_s + THINNED_S)
    for batch in log.windows(where):
        starts, ends = batch.windows["start_s"], batch.windows["end_s"]
        if wall:
            starts, ends = batch.windows["time"] - (ends - starts), batch.windows["time"]
        for row in np.flatnonzero((ends >= example.start_s) & (starts <= last_s)).tolist():
            showing.offer(float(starts[row]), float(ends[row]), batch.embeddings[row])
