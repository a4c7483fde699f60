"""Windows of a part that are nearest to an embedding: exact in small parts, by a graph (HNSW) in large ones.

A part gets its graph when its embeddings are `FROM_VALUES`. The graph of a sealed part is a file of the cache
`LOG/index`, mapped, that anybody may remove; that of a growing part is in memory, and takes in what came since with
each `update`. What no graph holds yet is multiplied exactly. Graphs hold int8; what they find is scored again with the
float16 of the log.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vljepa_log.parts import Opened, Part
from vljepa_log.products import Cosines
from vljepa_runtime.files import cache_file

__all__ = ["Neighbours"]

Array = npt.NDArray[Any]
Float32 = npt.NDArray[np.float32]
FROM_VALUES = 1 << 20  # 4,096 rows of 256: an exact search of fewer takes a millisecond or two
STEP = 16  # rows taken into a graph at once, some 3 ms: whoever waits for a search waits no longer
MORE = 1.1  # times as many as are wanted are scored again at least: int8 changes the order by a few places
MOST_FROM_GRAPH = 4096  # candidates; beyond, the graph is no quicker than the product
SOON_S = 0.02  # so long a search waits for what indexes, which a busy machine may have put to sleep; then it multiplies
PATIENCE_S = 0.05  # so long what indexes lets searches go first, lest it never ends
FEW = 128  # rows of a part to one that is read: a page has 8 of 256 dimensions, a disk reads 32 pages along
LEAST_SHARE = 1 / 16  # of a part that is meant, down to which its graph is asked
SETTINGS = {"metric": "ip", "dtype": "i8", "connectivity": 16, "expansion_add": 96}
SEEN = 32, 96
"""Windows that a search of a graph keeps in sight, and gives: the least and the most. Its time grows with them."""
ROWS_SEEN = 900
"""One more for so many in the graph: 48 of 43,690 (1,536 dimensions) find 99.7 % of the nearest ten, of 262,144 (256
dimensions) 98.9 %, and 96 all of them."""


class _Turns:
    """One at a time, searches first: what indexes would take a plain lock again before who waits for it wakes."""

    def __init__(self) -> None:
        self._lock, self._changed, self._searches = threading.Lock(), threading.Condition(), 0

    @contextmanager
    def search(self) -> Iterator[bool]:
        """Of one who is waited for; whether its turn came soon."""
        with self._changed:
            self._searches += 1
        came = self._lock.acquire(timeout=SOON_S)
        try:
            yield came
        finally:
            if came:
                self._lock.release()
            with self._changed:
                self._searches -= 1
                self._changed.notify_all()

    @contextmanager
    def index(self) -> Iterator[None]:
        """Of one who has time."""
        with self._changed:
            self._changed.wait_for(lambda: not self._searches, timeout=PATIENCE_S)
        with self._lock:
            yield


@dataclass(slots=True)
class _Graph:
    """The neighbours of the first `rows` windows of a part, and whether it is in the cache."""

    index: Any
    rows: int
    kept: bool = False
    turns: _Turns = field(default_factory=_Turns)


class Neighbours:
    """The graphs of a log's parts; methods may be called from several threads, `update` from one at a time.

    Args:
        cache: Folder for the graphs of sealed parts.
        width: Values of an embedding.
    """

    def __init__(self, cache: Path, width: int) -> None:
        self._cache, self._from_rows = cache, -(-FROM_VALUES // width)
        self._graphs: dict[int, _Graph] = {}
        self._done: set[int] = set()
        self._available = find_spec("usearch") is not None

    def behind(self, part: Part, *, lasting: bool = False) -> bool:
        """Whether so much of a part is in no graph that `update` is worth its time."""
        if not self._available or part.rows < self._from_rows:
            return False
        if lasting:
            return part.sealed and part.number not in self._done and not self._file(part).is_file()
        graph = self._graph(part)
        return graph is None or part.rows - graph.rows >= self._from_rows

    def update(self, parts: Iterable[Opened], *, lasting: bool, ended: Callable[[], bool]) -> None:
        """Take what came since into the graphs; `lasting` only of sealed parts, into the cache; until `ended`."""
        for opened in parts:
            part = opened.part
            if not self.behind(part, lasting=lasting):
                continue
            if not ended():
                self._take_in(opened, ended)
            if lasting:  # whoever writes does not search, and wants its memory back
                self._graphs.pop(part.number, None)
                self._done.add(part.number)

    def forget_but(self, alive: set[int]) -> None:
        """Let the graphs of other parts go."""
        for number in set(self._graphs) - alive:
            self._graphs.pop(number, None)

    def remove_but(self, alive: set[int]) -> None:
        """Remove the graphs of other parts from the cache too."""
        self.forget_but(alive)
        for path in self._cache.glob("*.usearch"):
            number = path.stem.partition("-")[0]
            if number.isdecimal() and int(number) not in alive:
                path.unlink(missing_ok=True)

    def nearest(
        self, opened: Opened, within: Array | None, cosines: Cosines, k: int
    ) -> tuple[Array, Float32]:
        """Rows of a part that are nearest to an embedding, and their cosines, best first.

        Args:
            opened: The part.
            within: (N,) which rows are meant; None for all.
            cosines: With what is looked for.
            k: How many at most.
        """
        rows = self._candidates(opened, within, cosines.wanted, k)
        are_few = len(rows) * FEW < opened.part.rows
        scores = cosines.of(opened.scattered if are_few else opened.embeddings, rows)
        if len(scores) > 4 * k:
            largest = np.argpartition(-scores, k)[:k]
            rows, scores = rows[largest], scores[largest]
        order = np.argsort(-scores, kind="stable")[:k]
        return rows[order], scores[order]

    def _candidates(self, opened: Opened, within: Array | None, embedding: Float32, k: int) -> Array:
        """Rows of a part among which its k best are: from its graph, and those that the graph lacks."""
        part = opened.part
        graph = self._graph(part) if self._available and part.rows >= self._from_rows else None
        share = 1.0 if within is None else float(within.mean())
        seen = _seen(part.rows)
        wanted = round(max(seen, MORE * k) / max(share, LEAST_SHARE))
        every = slice(None) if within is None else within
        if graph is None or share < LEAST_SHARE or wanted > MOST_FROM_GRAPH:
            return np.arange(part.rows)[every]
        with graph.turns.search() as came:
            if not came:
                return np.arange(part.rows)[every]
            held, graph.index.expansion_search = graph.rows, seen
            found = np.asarray(graph.index.search(embedding, min(wanted, held)).keys, np.int64)
        rows = np.concatenate([found[found < part.rows], np.arange(held, part.rows)])
        if within is None:
            return rows
        meant = rows[within[rows]]
        return meant if len(meant) >= min(k, within.sum()) else np.arange(part.rows)[every]

    def _graph(self, part: Part) -> _Graph | None:
        """A part's graph, from memory or the cache."""
        graph = self._graphs.get(part.number)
        if graph is None and part.sealed and (graph := _restored(self._file(part), part.rows)):
            self._graphs[part.number] = graph
        return graph

    def _take_in(self, opened: Opened, ended: Callable[[], bool]) -> None:
        part, embeddings = opened.part, opened.embeddings
        graph = self._graph(part) or _new(embeddings.shape[1])
        for start in range(graph.rows, part.rows, STEP):
            if ended():
                return
            rows = np.arange(start, min(start + STEP, part.rows))
            with graph.turns.index():
                graph.index.add(rows, embeddings[rows].astype(np.float32), threads=1)
                graph.rows = int(rows[-1]) + 1
            self._graphs[part.number] = graph  # from the first step on; the rest is multiplied beside it
        if part.sealed and not graph.kept:
            self._keep(part, graph)

    def _keep(self, part: Part, graph: _Graph) -> None:
        """Move a sealed part's graph from memory to the cache, where its pages are the system's to drop."""
        with suppress(OSError):  # a disk that is full or may not be written: it stays in memory
            cache_file(self._file(part), bytes(graph.index.save()))
            if mapped := _restored(self._file(part), part.rows):
                self._graphs[part.number] = mapped

    def _file(self, part: Part) -> Path:
        return self._cache / f"{part.number}-{part.rows}.usearch"


def _library() -> Any:
    """usearch's index, loaded behind ONNX Runtime: in the other order importing that ends the process (1.32, 2.26)."""
    import onnxruntime  # noqa: F401
    from usearch.index import Index

    return Index


def _new(width: int) -> _Graph:
    return _Graph(index=_library()(ndim=width, **SETTINGS), rows=0)


def _restored(file: Path, rows: int) -> _Graph | None:
    """A graph from the cache, mapped; None where it is missing or damaged: it can be made again."""
    if not file.is_file():
        return None
    with suppress(Exception):
        index = _library().restore(str(file), view=True)
        if index is not None and len(index) == rows:
            return _Graph(index=index, rows=rows, kept=True)
    return None


def _seen(rows: int) -> int:
    least, most = SEEN
    return min(max(rows // ROWS_SEEN, least), most)
