"""A log played again: what alerts would have scored on what was seen. Nothing is encoded, nothing decoded."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from vljepa_log.errors import LogError
from vljepa_log.reader import LogReader
from vljepa_log.store import EVERYTHING, Where
from vljepa_runtime.alerts import ScoreSeries

__all__ = ["score_log"]

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]


def score_log(
    log: LogReader, score: Callable[[Float32], Float32], *, where: Where = EVERYTHING
) -> list[ScoreSeries]:
    """Scores of all windows, stream by stream; where the time of a stream begins anew, so does a series.

    Args:
        log: Its windows are read part by part; what stays in memory is 20 bytes for each.
        score: Embeddings (N, S) to scores (N,), such as `AlertScorer`.
        where: Which windows.

    Raises:
        LogError: there is none, or a stream was asked several queries and `where` names no one of them.

    Examples:
        >>> import numpy as np
        >>> from vljepa_log import LogReader, LogWriter, score_log
        >>> from vljepa_runtime import Bundle
        >>> with LogWriter("yard", Bundle.open("tiny").manifest) as log:
        ...     for at in range(4):
        ...         log.add_window("door", "What is there?", start_s=at, end_s=at + 2, embedding=np.eye(256)[at])
        >>> with LogReader("yard") as log:
        ...     score_log(log, lambda rows: rows[:, 2])[0].scores
        array([0., 0., 1., 0.], dtype=float32)
    """
    found: dict[tuple[str, str], list[tuple[Float64, Float32]]] = {}
    for batch in log.windows(where):
        times = np.stack([batch.windows["start_s"], batch.windows["end_s"]], axis=1)
        scores = score(batch.embeddings.astype(np.float32))
        found.setdefault((batch.stream, batch.query), []).append((times, scores))
    streams = [stream for stream, _ in found]
    if twice := {stream for stream in streams if streams.count(stream) > 1}:
        asked = sorted(query for stream, query in found if stream in twice)
        raise LogError(f"{min(twice)} was asked several queries, name one of them: {'; '.join(asked)}")
    series = [each for (stream, _), parts in found.items() for each in _series(stream, parts)]
    if not series:
        raise LogError("the log holds no windows of what is meant: look at its streams with vljepa search")
    return series


def _series(stream: str, parts: list[tuple[Float64, Float32]]) -> Iterator[ScoreSeries]:
    windows = np.concatenate([times for times, _ in parts])
    scores = np.concatenate([each for _, each in parts])
    anew = np.flatnonzero(np.diff(windows[:, 1]) < 0) + 1
    for times, each in zip(np.split(windows, anew), np.split(scores, anew)):
        yield ScoreSeries(stream=stream, windows=times, scores=each)
