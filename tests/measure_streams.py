"""Several streams through one process against a process each, and windows in batches; the numbers of docs/streams.md.

    python tests/measure_streams.py live [--streams N] [--seconds S] [--rounds N]     # pictures over HTTP, 10 a second
    python tests/measure_streams.py files [--streams N] [--seconds S] [--rounds N]    # as fast as it goes
    python tests/measure_streams.py fair --streams 16 [--seconds S]                    # one process, live
    python tests/measure_streams.py batches

Both ways run in turns after one round that is not counted, on the same streams of the procedural world, with the
words that `online` wants. Memory is the largest sum of proportional set sizes. The latency of a window counts from the
picture that completes it to its embedding, waiting included.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import psutil

import vljepa_runtime as vj
from vljepa_apps.demo.stream import write_video
from vljepa_data.world import Split, make_stream
from vljepa_runtime.sources import EVERY_FRAME, Item

FPS = 10
PART = b"--x\r\nContent-Type: image/jpeg\r\n\r\n"


class Stamped(vj.Source):
    """A source that notes when each of its pictures came."""

    def __init__(self, source: vj.Source) -> None:
        self.name, self.live, self._source = source.name, source.live, source
        self._times_s: list[float] = []
        self._came_s: list[float] = []
        self.latencies_ms: list[float] = []

    def frames(self, hints: vj.Hints = EVERY_FRAME) -> Iterator[Item]:
        """The same, noted."""
        for item in self._source.frames(hints):
            if isinstance(item, vj.Frame):
                self._times_s.append(item.time_s)
                self._came_s.append(time.monotonic())
            yield item

    def close(self) -> None:
        """The source's."""
        self._source.close()

    def note(self, step_s: float, window: vj.Window, query: str, embedding: Any) -> None:
        """A window has its embedding; it was complete with the first picture after its last instant."""
        after = np.searchsorted(self._times_s, window.end_s - step_s, side="right")
        came_s = self._came_s[min(int(after), len(self._came_s) - 1)]
        self.latencies_ms.append((time.monotonic() - came_s) * 1000)


def work(urls: list[str], seconds: float | None) -> None:
    """Run one stream by a session or several by a group, and print what came of it."""
    model = vj.load("tiny")
    model.decode(model.embed(np.zeros((8, 96, 96, 3), np.uint8)))  # loads the Y-decoder
    print("ready", flush=True)
    sys.stdin.readline()
    begun, begun_cpu, step_s = time.monotonic(), time.process_time(), 1 / model.preprocess.fps
    sources = [Stamped(vj.open_source(url)) for url in urls]
    if len(sources) == 1:
        with model.session() as session:
            note = partial(sources[0].note, step_s)
            events = list(session.run(sources[0], max_seconds=seconds, on_window=note))
        dropped = 0
    else:
        with vj.SessionGroup() as group:
            for source in sources:
                note = partial(source.note, step_s)
                group.add(source, model.session(), max_seconds=seconds, on_window=note)
            events = list(group.run())
        dropped = sum(each.dropped for each in group.stats.values())
    spent_s, cpu_s = time.monotonic() - begun, time.process_time() - begun_cpu
    found = [each for source in sources for each in source.latencies_ms]
    segments = sum(event.kind == "segment" for event in events)
    document = {
        "latencies_ms": found,
        "segments": segments,
        "dropped": dropped,
        "streams": [
            (len(source.latencies_ms), float(np.percentile(source.latencies_ms or [0.0], 95)))
            for source in sources
        ],
        "spent_s": spent_s,
        "cpu_s": cpu_s,
    }
    print(json.dumps(document), flush=True)


def measured(groups: list[list[str]], seconds: float | None) -> dict[str, Any]:
    """Run a process for each group of streams, all at once."""
    command, pipe = [sys.executable, __file__, "work"], subprocess.PIPE
    limit = ["--seconds", str(seconds)] if seconds else []
    started = [
        subprocess.Popen([*command, *urls, *limit], stdin=pipe, stdout=pipe, text=True) for urls in groups
    ]
    try:
        for process in started:
            assert process.stdout is not None
            process.stdout.readline()
        watched, peak = [psutil.Process(process.pid) for process in started], 0.0
        for process in started:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        answers: list[dict[str, Any]] = []
        readers = [threading.Thread(target=_read, args=(process, answers)) for process in started]
        for reader in readers:
            reader.start()
        while any(reader.is_alive() for reader in readers):
            peak = max(peak, sum(map(_pss_mb, watched)))
            time.sleep(0.25)
    finally:
        for process in started:
            process.kill()
            process.wait()
    latencies = [each for answer in answers for each in answer["latencies_ms"]]
    spent_s = max(answer["spent_s"] for answer in answers)
    return {
        "windows/s": len(latencies) / spent_s,
        "p50 ms": float(np.percentile(latencies, 50)),
        "p95 ms": float(np.percentile(latencies, 95)),
        "CPU ms/window": 1000 * sum(answer["cpu_s"] for answer in answers) / len(latencies),
        "memory MB": peak,
        "segments": sum(answer["segments"] for answer in answers),
        "dropped": sum(answer["dropped"] for answer in answers),
        "streams": [tuple(each) for answer in answers for each in answer["streams"]],
    }


def _read(process: subprocess.Popen[str], answers: list[dict[str, Any]]) -> None:
    assert process.stdout is not None
    answers.append(json.loads(process.stdout.readline()))


def _pss_mb(process: psutil.Process) -> float:
    try:
        return float(process.memory_full_info().pss / 1e6)
    except psutil.Error:
        return 0.0


@contextmanager
def camera(pictures: list[bytes]) -> Iterator[str]:
    """Serve pictures for ever, `FPS` a second, by the clock of the server; its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=x")
            self.end_headers()
            begun = time.monotonic()
            try:
                for number in range(10**9):
                    self.wfile.write(
                        b"--x\r\nContent-Type: image/jpeg\r\n\r\n"
                        + pictures[number % len(pictures)]
                        + b"\r\n"
                    )
                    time.sleep(max(0.0, begun + (number + 1) / FPS - time.monotonic()))
            except OSError:
                return

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/live"
    finally:
        server.shutdown()


def videos(folder: Path, count: int, seconds: float) -> list[str]:
    """Streams of the procedural world, as files."""
    paths = [folder / f"{number}.mp4" for number in range(count)]
    for number, path in enumerate(paths):
        stream = make_stream(number, Split.TEST, minutes=seconds / 60, size=256, fps=FPS)
        write_video(stream, path, fps=FPS)
    return [str(path) for path in paths]


def jpegs(path: str) -> list[bytes]:
    """The pictures of a video."""
    with av.open(path) as container:
        images = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    return [cv2.imencode(".jpg", image)[1].tobytes() for image in images]


def fair(args: argparse.Namespace) -> None:
    """Print what each of many live streams gets of one process."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        files = videos(Path(folder), min(args.streams, 4), args.seconds)
        urls = [stack.enter_context(camera(jpegs(files[number % 4]))) for number in range(args.streams)]
        found = measured([urls], args.seconds)
    windows, p95_ms = zip(*found.pop("streams"))
    print(
        f"{args.streams} streams, each: {min(windows)} to {max(windows)} windows in {args.seconds:.0f} s,",
        end=" ",
    )
    print(f"p95 {min(p95_ms):.0f} to {max(p95_ms):.0f} ms")
    print(", ".join(f"{key} {value:.1f}" for key, value in found.items()))


def compare(args: argparse.Namespace) -> None:
    """Print both ways, round by round and their medians."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        sources = videos(Path(folder), args.streams, args.seconds)
        if args.what == "live":
            sources = [stack.enter_context(camera(jpegs(path))) for path in sources]
        seconds = args.seconds if args.what == "live" else None
        ways = {"one process": [sources], f"{args.streams} processes": [[source] for source in sources]}
        rounds: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
        for number in range(args.rounds + 1):
            for name in list(ways)[:: 1 if number % 2 else -1]:
                got = measured(ways[name], seconds)
                del got["streams"]
                if number:
                    rounds[name].append(got)
                    print(
                        f"# {name}: {', '.join(f'{key} {value:.1f}' for key, value in got.items())}",
                        flush=True,
                    )
    keys = list(rounds["one process"][0])
    print(f"| {args.what} | {' | '.join(keys)} |\n|{'---|' * (len(keys) + 1)}")
    for name, found in rounds.items():
        medians = [statistics.median(each[key] for each in found) for key in keys]
        print(f"| {name} | {' | '.join(f'{value:.1f}' for value in medians)} |")


def batches() -> None:
    """Print the CPU time of a window in batches of several sizes, and how far its embedding moves."""
    model = vj.load("tiny", threads=1)
    noise, pre = np.random.default_rng(0), model.preprocess
    clips = [noise.integers(0, 256, (pre.frames, 64, 64, 3), np.uint8) for _ in range(8)]
    patches, positions = (np.stack(each) for each in zip(*map(model.patches, clips)))
    alone = model.embed(clips[0])
    print("| windows at once | X-encoder | predictor | cosine to that of one alone |\n|---|---|---|---|")
    for size in (1, 2, 4, 8):
        visual = model.encode_batch(patches[:size], positions[:size])
        cosine = float(model.predict_batch(visual)[0] @ alone)
        encode_ms = _cpu_ms(partial(model.encode_batch, patches[:size], positions[:size])) / size
        predict_ms = _cpu_ms(partial(model.predict_batch, visual)) / size
        print(f"| {size} | {encode_ms:.1f} ms | {predict_ms:.1f} ms | {cosine:.4f} |", flush=True)


def _cpu_ms(call: Any, runs: int = 15) -> float:
    spent = []
    for _ in range(runs):
        begun = time.process_time()
        call()
        spent.append(time.process_time() - begun)
    return 1000 * statistics.median(spent)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("live", "files", "fair", "batches", "work"))
    parser.add_argument("urls", nargs="*", help="of `work`, which the others call")
    parser.add_argument("--streams", type=int, default=4, metavar="N")
    parser.add_argument("--seconds", type=float, metavar="S")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    args = parser.parse_args()
    if args.what == "work":
        work(args.urls, args.seconds)
    elif args.what == "batches":
        batches()
    elif args.what == "fair":
        args.seconds = args.seconds or 30.0
        fair(args)
    else:
        args.seconds = args.seconds or 20.0
        compare(args)


if __name__ == "__main__":
    main()
