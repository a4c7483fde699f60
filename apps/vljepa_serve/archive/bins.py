"""How alike the windows of a span are to what was last put into words: lowest and highest of each bin, for a trace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vljepa_log import Where

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vljepa_log import Batch, Segment
    from vljepa_serve.archive.process import OpenLog
    from vljepa_serve.archive.reading import Archive

__all__ = ["Bin", "Trace", "trace_of"]

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Windows that ended in one step of a trace.

    Attributes:
        at: Begin of the step, in seconds since 1970.
        low: The least similarity, 1 less the cosine distance to the embedding that was last put into words.
        high: The largest.
        unknown: Whether some of them showed nothing that the model knows; None where nobody could tell.
        windows: How many.
        decoded: How many times something was put into words.
    """

    at: float
    low: float
    high: float
    unknown: bool | None
    windows: int
    decoded: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """A span in bins; steps without a window have none.

    Attributes:
        bins: In the order of time.
        decoded: When something was put into words, once for each step at most.
        step_s: Seconds of a bin.
    """

    bins: Sequence[Bin]
    decoded: Sequence[float]
    step_s: float


def trace_of(archive: Archive, camera: str, query: str, since: float, until: float, *, points: int) -> Trace:
    """Look at all windows of a span that ended in it.

    Args:
        archive: Whose log is read.
        camera: Name of the stream.
        query: What its embeddings answer.
        since: Begin, in seconds since 1970.
        until: End, in the same; after the begin.
        points: Into how many bins it is cut.
    """
    return archive.read(_trace, camera, query, since, until, points)


def _trace(opened: OpenLog, camera: str, query: str, since: float, until: float, points: int) -> Trace:
    step_s = (until - since) / points
    segments = opened.segments.between(camera, query, since, until)
    where = Where(streams=(camera,), queries=(query,), since=since, until=until)
    low, high = np.full(points, np.inf, np.float32), np.full(points, -np.inf, np.float32)
    counts, known, unknown = (np.zeros(points, np.int64) for _ in range(3))
    for batch in opened.log.windows(where) if segments else ():
        at = _steps(batch.windows["time"], since, step_s, points)
        similar = _similarities(batch, segments)
        np.minimum.at(low, at, similar)
        np.maximum.at(high, at, similar)
        np.add.at(counts, at, 1)
        if "unknown" in (batch.windows.dtype.names or ()):
            np.add.at(known, at, batch.windows["unknown"] < 0)
            np.add.at(unknown, at, batch.windows["unknown"] > 0)
    times = [
        each.time for each in opened.log.events(where) if each.event.kind == "segment" and each.event.decoded
    ]
    steps = _steps(np.array(times, np.float64), since, step_s, points)
    decoded = np.bincount(steps, minlength=points)
    bins = [
        Bin(
            at=since + number * step_s,
            low=float(low[number]),
            high=float(high[number]),
            unknown=bool(unknown[number]) if known[number] + unknown[number] else None,
            windows=int(counts[number]),
            decoded=int(decoded[number]),
        )
        for number in np.flatnonzero(counts).tolist()
    ]
    firsts = np.unique(steps, return_index=True)[1]
    return Trace(bins=bins, decoded=[times[index] for index in firsts.tolist()], step_s=step_s)


def _steps(times: npt.NDArray[np.float64], since: float, step_s: float, points: int) -> npt.NDArray[np.int64]:
    """(N,) in which bin each time lies."""
    return np.clip((times - since) // step_s, 0, points - 1).astype(np.int64)


def _similarities(batch: Batch, segments: Sequence[Segment]) -> Floats:
    """(N,) of windows with the embedding of the segment that each lies in, else with the one before it."""
    begins = np.array([each.began for each in segments])
    rows = batch.windows
    middles = rows["time"] - (rows["end_s"] - rows["start_s"]) / 2
    of = np.maximum(np.searchsorted(begins, middles, side="right") - 1, 0)
    references = np.stack([each.embedding for each in segments]).astype(np.float32)
    found = np.einsum("ij,ij->i", batch.embeddings.astype(np.float32), references[of])
    return np.asarray(np.clip(found, -1.0, 1.0), np.float32)
