"""Windows that say the same as the ones before them, made one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from vljepa_log.rows import Batch

__all__ = ["thin"]

AHEAD = 512  # rows compared at once, where the ones before were the same


def thin(batch: Batch, *, within: float) -> Batch:
    """One window for each run of windows that say the same; it lasts as long as the run, and has its first's embedding.

    Args:
        batch: Windows of one stream and query, oldest first.
        within: Cosine distance from the run's first.

    Examples:
        >>> import numpy as np
        >>> from vljepa_log import WINDOW, Batch, thin
        >>> windows = np.zeros(3, WINDOW)
        >>> windows["end_s"] = 2, 3, 4
        >>> batch = Batch(stream="door", query="q", windows=windows, embeddings=np.eye(2)[[0, 0, 1]])
        >>> thin(batch, within=0.02).windows["end_s"].tolist()
        [3.0, 4.0]
    """
    firsts = list(_firsts(batch, 1 - within))
    kept = batch.take(np.array(firsts, np.int64))
    windows = kept.windows.copy()
    lasts = np.array([*firsts[1:], len(batch)], np.int64)[: len(firsts)] - 1
    windows["end_s"], windows["time"] = batch.windows["end_s"][lasts], batch.windows["time"][lasts]
    return Batch(stream=batch.stream, query=batch.query, windows=windows, embeddings=kept.embeddings)


def _firsts(batch: Batch, least: float) -> Iterator[int]:
    """First rows of runs. A stream that begins anew, or was away, begins a run: its times are not one span."""
    first = 0
    breaks = _breaks(batch.windows)
    while first < len(batch):
        yield first
        wanted = batch.embeddings[first].astype(np.float32)
        at, ahead = first + 1, 8
        while at < len(batch):
            some = slice(at, min(at + ahead, len(batch)))
            other = (batch.embeddings[some].astype(np.float32) @ wanted < least) | breaks[some]
            if other.any():
                at += int(other.argmax())
                break
            at, ahead = some.stop, min(2 * ahead, AHEAD)
        first = at


def _breaks(windows: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """(N,) which windows do not go on where the one before them was."""
    breaks = np.zeros(len(windows), bool)
    starts, ends = windows["start_s"], windows["end_s"]
    longest = np.maximum(ends - starts, 1.0)[:-1]
    breaks[1:] = (starts[1:] < starts[:-1]) | (starts[1:] > ends[:-1] + longest)
    return breaks
