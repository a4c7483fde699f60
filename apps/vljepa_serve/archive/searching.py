"""Moments near to an embedding, over all cameras that are asked for, and when else something like it was seen."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vljepa_log import Where

if TYPE_CHECKING:
    from vljepa_log import Moment
    from vljepa_serve.archive.process import OpenLog
    from vljepa_serve.archive.reading import Archive

__all__ = ["Found", "search"]

Float32 = npt.NDArray[np.float32]
HOUR_S = 3600.0
NEAREST = 2048
"""Windows by which the hours are judged: the best one of an hour is among them, or the hour is far from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a search gives.

    Attributes:
        moments: Best first.
        searched: Of how many windows.
        took_ms: How long it took.
        hours: Begin of an hour in seconds since 1970, and the best score in it; hours far from it have none.
    """

    moments: Sequence[Moment]
    searched: int
    took_ms: float
    hours: Sequence[tuple[float, float]]


def search(archive: Archive, embedding: Float32, *, k: int, where: Where) -> Found:
    """Find at most k moments.

    Args:
        archive: Whose log is searched.
        embedding: (S,) float32, L2-normalised.
        k: How many.
        where: Which cameras, and when.
    """
    return archive.read(_search, embedding, k, where)


def _search(opened: OpenLog, embedding: Float32, k: int, where: Where) -> Found:
    begun, log = time.perf_counter(), opened.log
    moments = log.search(embedding, k=k, where=where, each_query=False)
    best: dict[float, float] = {}
    for window in log.store.nearest(embedding, k=NEAREST, where=where):
        hour = window.time // HOUR_S * HOUR_S
        best[hour] = max(best.get(hour, -1.0), window.score)
    return Found(
        moments=moments,
        searched=sum(each.windows for each in log.store.held(where)),
        took_ms=(time.perf_counter() - begun) * 1000,
        hours=sorted(best.items()),
    )
