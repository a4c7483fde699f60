"""How large, quick and heavy a log is: windows are written, indexed as they come, and searched against exact search.

    python tests/measure_log.py --rows 1000000 --dims 256
    python tests/measure_log.py --rows 200000 --dims 1536
    python tests/measure_log.py --rows 31536000 --dims 256 --queries 50   # a year of one camera; 23 GB
    python tests/measure_log.py --day                                     # a day of one camera through LogWriter

Vectors lie around 3,000 centres, a few hundred around each, in any order: harder than what a camera sees in a day.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from vljepa_log import (
    WINDOW,
    Batch,
    Contents,
    LogReader,
    LogWriter,
    Moment,
    Retention,
    Store,
    open_store,
    writer,
)
from vljepa_runtime import Bundle

CENTRES = 3000
SPREAD = 0.5
STEP = 8192


def main() -> None:
    """Measure, and print one JSON document."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dims", type=int, default=256)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument(
        "--folder", type=Path, help="keep the log here; one that is there already is searched"
    )
    parser.add_argument("--day", action="store_true", help="one day through LogWriter instead")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (args.folder or Path(temporary)) / "LOG"
        found = day(folder) if args.day else large(args, folder)
    print(json.dumps(found, indent=1))


def large(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Many windows, written at once."""
    found: dict[str, Any] = {"rows": args.rows, "dims": args.dims}
    if not folder.exists():
        store = open_store(folder, identity={"embedding_dim": str(args.dims)}, writable=True)
        found["written_s"] = timed(lambda: [store.append(Contents(batches=[each])) for each in batches(args)])
        found["steps"] = -(-args.rows // STEP)
        found["indexed_s"] = timed(lambda: store.update(lasting=True))
        store.close()
    reader = open_store(folder, identity=None, writable=False)
    found["memory_before_mb"] = memory()
    pauses, pauses_cpu = pauses_while(reader, lambda: reader.update(), wanted(args, 64, seed=2))
    found["longest_search_while_indexing_ms"] = round(max(pauses, default=0.0), 1)
    found["longest_search_while_indexing_cpu_ms"] = round(max(pauses_cpu, default=0.0), 1)
    found["searches_while_indexing_ms"] = percentiles(pauses)
    found |= searched(reader, folder, args)
    found["disk_mb"] = round(reader.bytes() / 1e6)
    found["index_mb"] = round(sum(path.stat().st_size for path in (folder / "index").glob("*")) / 1e6)
    return found


def searched(reader: Store, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Latency of windows and of moments, and how many of the exact ten are found."""
    queries = wanted(args, args.queries, seed=1)
    for query in queries[:20]:
        reader.nearest(query, k=10)
    found = [reader.nearest(query, k=10) for query in queries]
    windows_ms = latencies(lambda query: reader.nearest(query, k=10), queries)
    memory_mb = memory()
    with LogReader(folder) as log:
        log.store.update()
        moments_ms = latencies(lambda query: log.search(query, k=10), queries)
        moments_cpu_ms = cpu_ms(lambda query: log.search(query, k=10), queries)
    return {
        "windows_ms": percentiles(windows_ms),
        "windows_cpu_ms": percentiles(cpu_ms(lambda query: reader.nearest(query, k=10), queries)),
        "moments_ms": percentiles(moments_ms),
        "moments_cpu_ms": percentiles(moments_cpu_ms),
        "memory_mb": memory_mb,
        "recall_at_10": round(recall(reader, queries, found), 4),
    }


def recall(reader: Store, queries: np.ndarray, found: list[list[Moment]]) -> float:
    """Share of the ten best by an exact product over all windows, which a graph is not asked for."""
    best = [np.zeros(0)] * len(queries)
    for batch in reader.windows():
        scores = batch.embeddings.astype(np.float32) @ queries.T
        best = [np.sort(np.concatenate([kept, scores[:, n]]))[-10:] for n, kept in enumerate(best)]
    hits = [np.mean([each.score >= kept[0] - 1e-6 for each in moments]) for kept, moments in zip(best, found)]
    return float(np.mean(hits))


def pauses_while(
    reader: Store, work: Callable[[], object], queries: np.ndarray
) -> tuple[list[float], list[float]]:
    """How long searches took, in ms, while something else was done; and of the processor, that included."""
    thread = threading.Thread(target=work)
    thread.start()
    taken, of_processor = [], []
    while thread.is_alive():
        for query in queries:
            begun = time.process_time()
            taken += latencies(lambda query: reader.nearest(query, k=10), query[None])
            of_processor.append(1000 * (time.process_time() - begun))
    thread.join()
    return taken, of_processor


def day(folder: Path) -> dict[str, Any]:
    """86,400 windows with a clock that runs ahead, retention on: memory by the hour, pauses, bytes, writes."""
    manifest = Bundle.open("tiny").manifest
    now, steps, pauses, by_hour = [0.0], [0], [], []
    vectors = np.concatenate(list(rows_of(86_400, 256, seed=3)))
    ahead = SimpleNamespace(monotonic=lambda: now[0], time=lambda: now[0])
    writer.time = cast(Any, ahead)
    retention = Retention(thin_after_s=6 * 3600, max_age_s=20 * 3600)
    with LogWriter(folder, manifest, retention=retention, clock=lambda: now[0]) as log:
        append = log.store.append
        cast(Any, log.store).append = lambda contents: (steps.__setitem__(0, steps[0] + 1), append(contents))
        for second, row in enumerate(vectors):
            now[0] = float(second)
            add = partial(log.add_window, "door", "q", start_s=now[0], end_s=now[0] + 2, embedding=row)
            pauses.append(1000 * timed(add))
            if second % 3600 == 3599:
                by_hour.append(memory())
                log.retain()
        size = log.store.bytes()
    return {
        "longest_add_ms": round(max(pauses), 1),
        "memory_mb_by_hour": by_hour,
        "steps_per_minute": round(steps[0] / 1440, 2),
        "bytes": size,
    }


def batches(args: argparse.Namespace) -> Iterator[Batch]:
    """Windows a second apart."""
    first = 0
    for vectors in rows_of(args.rows, args.dims, seed=0):
        windows = np.zeros(len(vectors), WINDOW)
        windows["start_s"] = np.arange(first, first + len(vectors))
        windows["end_s"] = windows["time"] = windows["start_s"] + 2
        yield Batch(stream="door", query="q", windows=windows, embeddings=vectors)
        first += len(vectors)


def rows_of(count: int, dims: int, *, seed: int) -> Iterator[np.ndarray]:
    """Unit vectors around centres that every seed shares."""
    centres = units(np.random.default_rng(99).normal(size=(CENTRES, dims)).astype(np.float32))
    random = np.random.default_rng(seed)
    for start in range(0, count, STEP):
        some = centres[random.integers(CENTRES, size=min(STEP, count - start))]
        yield units(some + SPREAD * units(random.normal(size=some.shape).astype(np.float32)))


def wanted(args: argparse.Namespace, count: int, *, seed: int) -> np.ndarray:
    """What is searched for: as the rows, but none of them."""
    return next(rows_of(count, args.dims, seed=1000 + seed))


def units(vectors: np.ndarray) -> np.ndarray:
    """Of length 1."""
    return cast(np.ndarray, vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def latencies(search: Callable[[np.ndarray], object], queries: np.ndarray) -> list[float]:
    """Milliseconds of each."""
    return [1000 * timed(partial(search, query)) for query in queries]


def cpu_ms(search: Callable[[np.ndarray], object], queries: np.ndarray) -> list[float]:
    """The same in time of the processor, which a busy machine does not lengthen."""
    taken = []
    for query in queries:
        begun = time.process_time()
        search(query)
        taken.append(1000 * (time.process_time() - begun))
    return taken


def percentiles(taken: list[float]) -> dict[str, float]:
    """p50 and p95."""
    return {f"p{share}": round(float(np.percentile(taken, share)), 2) for share in (50, 95)}


def timed(work: Callable[[], object]) -> float:
    """Seconds that something takes."""
    begun = time.perf_counter()
    work()
    return round(time.perf_counter() - begun, 6)


def memory() -> dict[str, int]:
    """Of this process in MB: its own, and pages of files that it maps, which the system may drop."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {
        "own": int(lines["RssAnon"].split()[0]) // 1000,
        "mapped": int(lines["RssFile"].split()[0]) // 1000,
    }


if __name__ == "__main__":
    main()
