"""What `vljepa serve` takes with several cameras and open pages; the numbers of docs/serve.md.

    python tests/measure_serve.py [--cameras N] [--pages N] [--seconds S] [--rounds N] [--soak MINUTES]

Cameras are files of the procedural world, 10 pictures a second of 640 x 480 in H.264, played by the clock. A page is a
WebSocket and a reader of Motion JPEG 640 wide for each camera. Each round has three phases in one process: no page; all
pages; all pages and one more that reads nothing. `--soak` goes on with all pages, and says how memory grows.
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import psutil
from websockets.sync.client import connect

from vljepa_apps.demo.stream import write_video
from vljepa_data.world import Split, make_stream

FPS, WIDTH, HEIGHT = 10, 640, 480
SETTLE_S = 5.0
UPGRADE = "\r\n".join(
    [
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    ]
)
PAGES = ("no page", "pages", "pages and a slow one")


def write_cameras(folder: Path, count: int) -> list[Path]:
    """A minute for each camera."""
    paths = []
    for seed in range(count):
        stream = make_stream(100 + seed, Split.TEST, minutes=1, size=240, fps=FPS)
        wide = (cv2.resize(frame, (WIDTH, HEIGHT)) for frame in stream)
        write_video((np.asarray(frame, np.uint8) for frame in wide), folder / f"camera{seed}.mp4", fps=FPS)
        paths.append(folder / f"camera{seed}.mp4")
    return paths


@contextmanager
def server(folder: Path, cameras: Sequence[Path]) -> Iterator[tuple[str, psutil.Process]]:
    """A server as people start it; its address and process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    sources = [part for path in cameras for part in ("--source", str(path))]
    command = [sys.executable, "-m", "vljepa_apps", "serve", "tiny", *sources, "--log", str(folder / "kept")]
    process = subprocess.Popen([*command, "--port", str(port)], stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            with suppress(httpx.HTTPError):
                if httpx.get(f"{address}/health").json()["cameras"]["live"] == len(cameras):
                    break
            time.sleep(0.1)
        yield address, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def page(address: str, ids: Sequence[str]) -> Iterator[dict[str, int]]:
    """An open page; what it was given."""
    ended, got = threading.Event(), {"events": 0, "pictures": 0}
    threads = [threading.Thread(target=listen, args=(address, ended, got), daemon=True)]
    threads += [threading.Thread(target=look, args=(address, id, ended, got), daemon=True) for id in ids]
    for thread in threads:
        thread.start()
    try:
        yield got
    finally:
        ended.set()
        for thread in threads:
            thread.join(5)


def listen(address: str, ended: threading.Event, got: dict[str, int]) -> None:
    """The WebSocket of a page."""
    with connect(address.replace("http", "ws") + "/api/live", max_size=None) as told:
        while not ended.is_set():
            with suppress(TimeoutError):
                got["events"] += json.loads(told.recv(timeout=1))["kind"] == "event"


def look(address: str, id: str, ended: threading.Event, got: dict[str, int]) -> None:
    """The picture of one camera on a page."""
    with httpx.stream("GET", f"{address}/api/cameras/{id}/live.mjpeg?width=640", timeout=20) as answer:
        for chunk in answer.iter_raw():
            got["pictures"] += chunk.count(b"--frame")
            if ended.is_set():
                return


@contextmanager
def slow_page(address: str, ids: Sequence[str]) -> Iterator[None]:
    """A page that asks for everything and reads nothing."""
    host, port = address.removeprefix("http://").split(":")
    with ExitStack() as stack:
        for id in ids:
            found = stack.enter_context(socket.create_connection((host, int(port))))
            found.sendall(
                f"GET /api/cameras/{id}/live.mjpeg HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode()
            )
        listens = stack.enter_context(socket.create_connection((host, int(port))))
        listens.sendall(f"GET /api/live HTTP/1.1\r\nHost: {host}:{port}\r\n{UPGRADE}\r\n\r\n".encode())
        yield


def measure(address: str, process: psutil.Process, seconds: float) -> dict[str, float]:
    """What the server did for some seconds."""
    time.sleep(SETTLE_S)
    before, cpu, begun = counters(address), process.cpu_times(), time.monotonic()
    time.sleep(seconds)
    after, later, spent = counters(address), process.cpu_times(), time.monotonic() - begun
    windows = [after[id]["windows"] - before[id]["windows"] for id in after]
    return {
        "windows/s": min(windows) / spent,
        "dropped": sum(after[id]["dropped"] - before[id]["dropped"] for id in after),
        "p50 ms": statistics.median(each["p50_ms"] for each in after.values()),
        "p95 ms": max(each["p95_ms"] for each in after.values()),
        "cores": (later.user + later.system - cpu.user - cpu.system) / spent,
        "MB": process.memory_info().rss / 1e6,
    }


def counters(address: str) -> dict[str, Any]:
    """Of each camera."""
    found: dict[str, Any] = httpx.get(f"{address}/api/system", timeout=20).json()["cameras"]
    return found


def soak(address: str, process: psutil.Process, minutes: float) -> None:
    """Go on for long, and fit a line to the memory."""
    times, sizes, before = [], [], counters(address)
    ends = time.monotonic() + 60 * minutes
    while time.monotonic() < ends:
        times.append(time.monotonic() / 3600)
        sizes.append(process.memory_info().rss / 1e6)
        time.sleep(5)
    late = len(times) // 3  # the first third warms up
    slope = float(np.polyfit(times[late:], sizes[late:], 1)[0])
    after = counters(address)
    dropped = sum(after[id]["dropped"] - before[id]["dropped"] for id in after)
    p95, p99 = (max(each[name] for each in after.values()) for name in ("p95_ms", "p99_ms"))
    memory = f"{sizes[late]:.0f} to {sizes[-1]:.0f} MB, {slope:+.1f} MB/h"
    print(f"soak {minutes:g} min: {memory}, {dropped} dropped, p95 {p95:.0f} ms, p99 {p99:.0f} ms")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--pages", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--soak", type=float, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        cameras = write_cameras(folder, args.cameras)
        ids = [path.stem for path in cameras]
        found: dict[str, list[dict[str, float]]] = {name: [] for name in PAGES}
        with server(folder, cameras) as (address, process):
            for _ in range(args.rounds):
                found["no page"].append(measure(address, process, args.seconds))
                with ExitStack() as stack:
                    for _ in range(args.pages):
                        stack.enter_context(page(address, ids))
                    found["pages"].append(measure(address, process, args.seconds))
                    stack.enter_context(slow_page(address, ids))
                    found["pages and a slow one"].append(measure(address, process, args.seconds))
            for name, rounds in found.items():
                cells = [
                    f"{key} {statistics.median(each[key] for each in rounds):.2f} "
                    f"({min(each[key] for each in rounds):.2f} to {max(each[key] for each in rounds):.2f})"
                    for key in rounds[0]
                ]
                print(f"{name}: {', '.join(cells)}", flush=True)
            if args.soak:
                with ExitStack() as stack:
                    for _ in range(args.pages):
                        stack.enter_context(page(address, ids))
                    soak(address, process, args.soak)


if __name__ == "__main__":
    main()
