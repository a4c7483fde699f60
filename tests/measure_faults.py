"""How long it takes from the end of a fault until pictures, or whole files, are there again.

    python tests/measure_faults.py [--rounds N] [--away S]

Causes the faults of docs/reliability.md that have an end: servers that are killed with SIGKILL, stay away for S seconds
and are started again, a disk that is full, a writer that is killed. Prints the rows of a table: median and range of
N rounds, from when the server listens, or there is room, again.
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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import vljepa_runtime as vj

HERE = Path(__file__).parent
SERVERS = {
    "RTSP server killed": ("rtsp", [str(HERE / "rtsp_server.py")]),
    "HTTP server killed": ("http", [str(HERE / "live_servers.py"), "healthy"]),
}


def free_port() -> int:
    """One that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


@contextmanager
def server(words: list[str], port: int) -> Iterator[subprocess.Popen[str]]:
    """A server in a process of its own, killed at the end."""
    process = subprocess.Popen([sys.executable, *words, str(port)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


class Watched:
    """A live source read on a thread: when pictures came, and what was told."""

    def __init__(self, url: str) -> None:
        self.frames: list[float] = []
        self.said: list[str] = []
        self._source = vj.open_source(url)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for item in self._source:
            if isinstance(item, vj.Frame):
                self.frames.append(time.monotonic())
            else:
                self.said.append(item.kind)

    def wait(self, seen: Callable[[], bool], *, patience_s: float = 90.0) -> None:
        """Until something is seen."""
        end_s = time.monotonic() + patience_s
        while not seen():
            assert time.monotonic() < end_s, f"nothing came: {self.said}"
            time.sleep(0.005)

    def close(self) -> None:
        """Read no more."""
        self._source.close()
        self._thread.join(5)


def killed(kind: str, words: list[str], away_s: float) -> tuple[float, list[str]]:
    """Kill a server while it is watched and start it again; seconds until a picture, and what was told."""
    port = free_port()
    with server(words, port):
        watched = Watched(f"{kind}://127.0.0.1:{port}/live")
        watched.wait(lambda: len(watched.frames) > 5)
    watched.wait(lambda: "reconnecting" in watched.said)
    time.sleep(away_s)
    with server(words, port):
        begun, before = time.monotonic(), len(watched.frames)
        watched.wait(lambda: len(watched.frames) > before)
        watched.close()
    return watched.frames[before] - begun, watched.said


def disk() -> tuple[float, list[str]]:
    """A disk that was full has room again; until log and JSON lines hold everything."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(HERE / "full_disk.py"), folder]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    if found is None:
        raise SystemExit("no disk can be mounted here")
    return found["recovered_s"], found["told"]


def run_log_killed() -> tuple[float, list[str]]:
    """`vljepa run --log` is killed with SIGKILL and started again; until a window is stored anew."""
    from vljepa_log import LogReader

    def count(place: Path) -> int:
        try:
            with LogReader(place) as log:
                return sum(stream.windows for stream in log.streams())
        except vj.VljepaError:  # not made yet
            return 0

    port = free_port()
    with tempfile.TemporaryDirectory() as folder, server(SERVERS["HTTP server killed"][1], port):
        place, taken = Path(folder) / "LOG", []
        command = [sys.executable, "-m", "vljepa_apps", "run", "tiny", f"http://127.0.0.1:{port}/live"]
        for _ in range(2):
            begun, before = time.monotonic(), count(place)
            process = subprocess.Popen([*command, "--log", str(place)], stdout=-3, stderr=-3)
            while count(place) == before:
                assert time.monotonic() < begun + 90
                time.sleep(0.05)
            taken.append(time.monotonic() - begun)
            process.kill()
            process.wait()
    return taken[1], []


def main() -> int:
    """Measure each, print a row of a table."""
    parser = argparse.ArgumentParser(description="How long it takes until all is well again.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--away", type=float, default=5.0, help="seconds that a server is away (default 5)")
    args = parser.parse_args()
    rows: dict[str, Callable[[], tuple[float, list[str]]]] = {
        name: lambda kind=kind, words=words: killed(kind, words, args.away)  # type: ignore[misc]
        for name, (kind, words) in SERVERS.items()
    }
    rows |= {"disk full": disk, "`run --log` killed": run_log_killed}
    print("| fault | back after, median | range |\n|---|---|---|")
    for name, measure in rows.items():
        taken = [measure()[0] for _ in range(args.rounds)]
        print(
            f"| {name} | {statistics.median(taken):.2f} s | {min(taken):.2f} to {max(taken):.2f} s |",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
