"""Windows nearest to an embedding: exact over small logs, by a graph of neighbours (HNSW) over large ones.

A part gets its graph when it has `FROM_ROWS` rows. The graph of a sealed part is a file of the cache `LOG/index`,
mapped, that anybody may remove; that of a growing part is in memory, and takes in what came since with each `update`.
What no graph holds yet is multiplied exactly. Graphs hold int8; what they find is scored again with the float16 of the
log.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vljepa_log.rows import Batch
from vljepa_log.store import Part, Store, Where
from vljepa_runtime.files import cache_file

__all__ = ["Hit", "Neighbours"]

Array = npt.NDArray[Any]
Float32 = npt.NDArray[np.float32]
BLOCK = 1 << 13  # windows multiplied at once: 8 MB of float32 at 256 values each
FROM_ROWS = 1 << 14  # an exact search of fewer takes about a millisecond
STEP = 256  # rows taken into a graph at once, some 30 ms: whoever waits for a search waits no longer
RESCORED = 4  # times as many as are wanted are scored again: int8 changes their order
SETTINGS = {"metric": "ip", "dtype": "i8", "connectivity": 16, "expansion_add": 96, "expansion_search": 192}


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One window that was found.

    Attributes:
        part: Where it lies.
        row: Which of the part's windows it is.
        score: Cosine with what was searched for.
    """

    part: Part
    row: int
    score: float


@dataclass(slots=True)
class _Graph:
    """The neighbours of the first `rows` windows of a part, and whether they are in the cache."""

    index: Any
    rows: int
    kept: bool = False


class Neighbours:
    """Searches a store; its methods may be called from several threads.

    Args:
        store: Whose windows.
        cache: Folder for the graphs of sealed parts; None keeps them in memory.
    """

    def __init__(self, store: Store, cache: Path | None) -> None:
        self._store, self._cache = store, cache
        self._graphs: dict[int, _Graph] = {}
        self._lock = threading.Lock()
        self._available = find_spec("usearch") is not None

    def update(self) -> None:
        """Take what came since into the graphs, and let those of removed parts go; for a thread that has time."""
        if not self._available:
            return
        parts = {part.number: part for part in self._store.parts() if part.rows >= FROM_ROWS}
        with self._lock:
            for number in set(self._graphs) - set(parts):
                del self._graphs[number]
        for part in parts.values():
            self._take_in(part)

    def nearest(self, embedding: Float32, *, k: int, where: Where) -> list[Hit]:
        """The k windows that are nearest to an embedding (S,), best first."""
        best: list[Hit] = []
        for part in self._store.parts(where):
            batch = self._store.read(part)
            rows = self._candidates(part, batch, embedding, k, where)
            scores = _scores(batch, embedding, rows)
            order = np.argsort(-scores, kind="stable")[:k]
            best += [Hit(part=part, row=int(rows[i]), score=float(scores[i])) for i in order]
        return sorted(best, key=lambda hit: -hit.score)[:k]

    def _candidates(self, part: Part, batch: Batch, embedding: Float32, k: int, where: Where) -> Array:
        """Rows of a part among which its k best are: from its graph, and those that the graph lacks."""
        within = _within(batch, where)
        graph = self._graphs.get(part.number)
        if graph is None or not within.all():  # a graph cannot leave windows out
            return np.flatnonzero(within)
        with self._lock:
            found = graph.index.search(embedding, min(RESCORED * k, graph.rows)).keys
        return np.concatenate([np.asarray(found, np.int64), np.arange(graph.rows, len(batch))])

    def _take_in(self, part: Part) -> None:
        graph = self._graphs.get(part.number) or self._opened(part)
        embeddings = self._store.read(part).embeddings
        for start in range(graph.rows, part.rows, STEP):
            rows = np.arange(start, min(start + STEP, part.rows))
            with self._lock:
                graph.index.add(rows, embeddings[rows].astype(np.float32))
                graph.rows = int(rows[-1]) + 1
        with self._lock:
            self._graphs[part.number] = graph
        if part.sealed and not graph.kept and self._cache is not None:
            self._keep(part, graph, self._cache)

    def _opened(self, part: Part) -> _Graph:
        """The graph of a part from the cache, or a new one."""
        if self._cache is not None and (found := _restored(_file(self._cache, part), part.rows)):
            return found
        from usearch.index import Index

        width = self._store.read(part).embeddings.shape[1]
        return _Graph(index=Index(ndim=width, **SETTINGS), rows=0)

    def _keep(self, part: Part, graph: _Graph, cache: Path) -> None:
        """Move a sealed part's graph from memory to the cache, where its pages are the system's to drop."""
        file = _file(cache, part)
        cache_file(file, bytes(graph.index.save()))
        graph.kept = True
        if mapped := _restored(file, part.rows):
            with self._lock:
                self._graphs[part.number] = mapped


def _file(cache: Path, part: Part) -> Path:
    return cache / f"{part.number}-{part.rows}.usearch"


def _restored(file: Path, rows: int) -> _Graph | None:
    """A graph from the cache, mapped; None where it is missing or damaged: it can be made again."""
    from usearch.index import Index

    if not file.is_file():
        return None
    with suppress(Exception):
        index = Index.restore(str(file), view=True)
        if index is not None and len(index) == rows:
            index.expansion_search = SETTINGS["expansion_search"]
            return _Graph(index=index, rows=rows, kept=True)
    return None


def _scores(batch: Batch, embedding: Float32, rows: Array) -> Float32:
    blocks = [
        batch.embeddings[rows[start : start + BLOCK]].astype(np.float32) @ embedding
        for start in range(0, len(rows), BLOCK)
    ]
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def _within(batch: Batch, where: Where) -> Array:
    """(N,) which windows end in the time that is meant."""
    within = np.ones(len(batch), bool)
    if where.since is not None:
        within &= batch.windows["time"] >= where.since
    if where.until is not None:
        within &= batch.windows["time"] < where.until
    return within
