"""What a log lets go as it grows old: windows that repeat the one before them, then whole parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import numpy.typing as npt

from vljepa_log.rows import Batch, join
from vljepa_log.store import Part, Store, Where
from vljepa_runtime import InputError

__all__ = ["Freed", "Retention", "apply_retention", "thin"]

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long what is kept.

    Attributes:
        max_age_s: Windows, events and thumbnails older than this go; None keeps them.
        max_bytes: The oldest go until the log takes no more than this; None sets no limit.
        thin_after_s: Windows older than this are thinned; None thins none.
        thin_within: Cosine distance from the first of a run within which the windows after it say the same.
    """

    max_age_s: float | None = None
    max_bytes: int | None = None
    thin_after_s: float | None = None
    thin_within: float = 0.02

    def __post_init__(self) -> None:
        for name in ("max_age_s", "max_bytes", "thin_after_s"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"expected {name} above 0, or None for no limit, got {value!r}")
        if not 0 <= self.thin_within < 1:
            raise InputError(f"expected thin_within from 0 to below 1, got {self.thin_within!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Freed:
    """What was let go.

    Attributes:
        windows: How many went, over all.
        thinned: How many of these because a window before them says the same.
        bytes: Less on disk than before.
    """

    windows: int
    thinned: int
    bytes: int


def apply_retention(store: Store, retention: Retention, *, now: float) -> Freed:
    """Let go what is too old or too much, in steps that a killed process leaves whole.

    Args:
        store: Opened to be written.
        retention: What is kept.
        now: Wall clock, in seconds since 1970.
    """
    before, rows = store.bytes(), _rows(store)
    if retention.thin_after_s is not None:
        _thin_parts(store, until=now - retention.thin_after_s, within=retention.thin_within)
    thinned = rows - _rows(store)
    if retention.max_age_s is not None:
        oldest = now - retention.max_age_s
        for part in [part for part in store.parts() if part.last < oldest]:
            store.replace([part], None)
        store.forget(oldest)
    if retention.max_bytes is not None:
        _shrink(store, retention.max_bytes)
    return Freed(windows=rows - _rows(store), thinned=thinned, bytes=max(0, before - store.bytes()))


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
    firsts = list(_firsts(batch.embeddings.astype(np.float32), 1 - within))
    kept = batch.take(np.array(firsts))
    windows = kept.windows.copy()
    lasts = np.array([*firsts[1:], len(batch)]) - 1
    windows["end_s"], windows["time"] = batch.windows["end_s"][lasts], batch.windows["time"][lasts]
    return Batch(stream=batch.stream, query=batch.query, windows=windows, embeddings=kept.embeddings)


def _firsts(embeddings: Float32, least: float) -> Iterator[int]:
    first = None
    for index, row in enumerate(embeddings):
        if first is None or float(embeddings[first] @ row) < least:
            first = index
            yield index


def _thin_parts(store: Store, *, until: float, within: float) -> None:
    """Old parts of a stream and query, thinned once and joined."""
    old = [part for part in store.parts(Where(until=until)) if part.sealed and part.last < until]
    fresh = [part for part in old if not part.thinned]
    for _, group in groupby(sorted(fresh, key=_source), key=_source):
        parts = list(group)
        batches = [thin(store.read(part), within=within) for part in parts]
        store.replace(parts, join(batches))


def _source(part: Part) -> tuple[str, str]:
    return part.stream, part.query


def _shrink(store: Store, most: int) -> None:
    """Remove the oldest parts, with what was told in their time, until it is small enough."""
    for part in store.parts():
        if store.bytes() <= most:
            return
        store.replace([part], None)
        store.forget(part.last)


def _rows(store: Store) -> int:
    return sum(part.rows for part in store.parts())
