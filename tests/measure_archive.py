"""How long the past takes to answer beside cameras that run: a day of cameras, asked again and again.

    python tests/measure_archive.py [--cameras 4] [--hours 24] [--rounds 20]

Writes a log of meanings that change now and then, and times what pages ask for: with one reader for all, with a reader
opened for each request, and by the process that reads the past, as the server has it. Then how many windows a second
one camera's session has, alone and while two threads ask for segments and searches without a pause, in this process and
in that one, in turns; and what that one takes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import psutil

import vljepa_runtime as vj
from vljepa_log import WINDOW, Batch, Contents, LogReader, Where, open_store
from vljepa_runtime.bundle import identity_of
from vljepa_serve.archive import Archive, OpenLog, ReadingProcess
from vljepa_serve.archive import search as find

QUERY = "What happens?"
SWITCH_S, NICENESS = 0.0005, 10  # as `vljepa serve` has them


def write(place: Path, manifest: vj.Manifest, cameras: int, hours: float) -> None:
    """A window a second; a meaning lasts 5 s to 10 minutes."""
    random, count = np.random.default_rng(0), round(hours * 3600)
    store = open_store(place, identity=identity_of(manifest), writable=True)
    for camera in range(cameras):
        lasts = random.integers(5, 600, count // 5)
        of = np.repeat(np.arange(len(lasts)), lasts)[:count]
        meanings = random.normal(size=(int(of.max()) + 1, manifest.embedding_dim)).astype(np.float32)
        rows = meanings[of] + 0.05 * random.normal(size=(count, manifest.embedding_dim)).astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        windows = np.zeros(count, WINDOW)
        windows["start_s"] = np.arange(count)
        windows["end_s"] = windows["start_s"] + 2
        windows["time"] = time.time() - count + windows["end_s"]
        batch = Batch(stream=f"camera-{camera}", query=QUERY, windows=windows, embeddings=rows)
        store.append(Contents(batches=[batch]))
    store.update(lasting=True)
    store.close()


def timed(name: str, work: Callable[[], object], rounds: int) -> None:
    """Print the median and the spread of some rounds."""
    took = []
    for _ in range(rounds):
        begun = time.perf_counter()
        work()
        took.append((time.perf_counter() - begun) * 1000)
    print(f"{name:<46} {statistics.median(took):8.1f} ms  ({min(took):.1f} to {max(took):.1f})")


def rate(model: vj.Model, clip: vj.Clip, seconds: float) -> float:
    """Windows a second of one stream."""
    ends, count = time.monotonic() + seconds, 0
    while time.monotonic() < ends:
        model.embed(clip)
        count += 1
    return count / seconds


def beside(model: vj.Model, clip: vj.Clip, asked: Sequence[Callable[[], object]]) -> tuple[float, int]:
    """The same while a thread for each of these asks without a pause; how often they were answered, too."""
    stop, answered = threading.Event(), []

    def ask(work: Callable[[], object]) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        while not stop.is_set():
            work()
            answered.append(1)

    threads = [threading.Thread(target=ask, args=[work]) for work in asked]
    for thread in threads:
        thread.start()
    found = rate(model, clip, 3.0)
    stop.set()
    for thread in threads:
        thread.join()
    return found, len(answered)


def _pid(opened: OpenLog) -> int:
    return os.getpid()


def main() -> None:
    """Write, ask, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--rounds", type=int, default=20)
    args = parser.parse_args()
    model = vj.load("tiny")
    manifest = model.bundle.manifest
    wanted = model.embed_text(["a red ball falls"])[0]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "LOG")
        write(place, manifest, args.cameras, args.hours)
        until = time.time()
        since = until - args.hours * 3600

        def opened() -> None:
            with LogReader(place, manifest) as own:
                own.search(wanted, k=12)

        with LogReader(place, manifest) as log, ReadingProcess(place, manifest) as process:
            here = Archive(log, model, keep=lambda segments: None)
            there = Archive(log, model, keep=lambda segments: None, process=process)

            def search(archive: Archive) -> None:
                find(archive, wanted, k=12, where=Where(since=since))

            def segments(archive: Archive) -> None:
                for camera in range(args.cameras):
                    archive.cut(f"camera-{camera}", QUERY, since, until)

            timed("search, a reader for each request", opened, args.rounds)
            for name, archive in (("here", here), ("in the process", there)):
                timed(f"search {name}, first time", partial(search, archive), 1)
                timed(f"search {name}, again", partial(search, archive), args.rounds)
                timed(f"segments of all cameras {name}, first time", partial(segments, archive), 1)
                timed(f"segments of all cameras {name}, again", partial(segments, archive), args.rounds)
            clip = vj.Clip(
                np.zeros((model.preprocess.frames, *2 * (model.preprocess.size,), 3), np.uint8),
                model.preprocess,
            )
            rate(model, clip, 1.0)
            sys.setswitchinterval(SWITCH_S)
            found: dict[str, list[tuple[float, int]]] = {"alone": [], "here": [], "in the process": []}
            for _ in range(5):
                found["alone"].append((rate(model, clip, 3.0), 0))
                for name, archive in (("here", here), ("in the process", there)):
                    asked = [partial(search, archive), partial(segments, archive)]
                    found[name].append(beside(model, clip, asked))
            for name, several in found.items():
                rates, answers = zip(*several)
                print(
                    f"windows a second, asked {name:<16} {statistics.median(rates):6.1f} "
                    f"({min(rates):.1f} to {max(rates):.1f}), {statistics.median(answers) / 3:.1f} answers a second"
                )
            child = psutil.Process(process.run(_pid))
            memory = child.memory_full_info()
            print(f"the process takes {memory.rss / 1e6:.0f} MB, {memory.uss / 1e6:.0f} MB of its own")


if __name__ == "__main__":
    main()
