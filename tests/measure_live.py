"""What `vljepa run` and `vljepa ask` do against servers that misbehave, as the rows of a table.

    python tests/measure_live.py [KIND ...] [--servers FILE] [--seconds S]

FILE is called as `FILE KIND PORT` and prints a line when it listens; by default tests/live_servers.py. Memory is the
highest resident set above that of the same command on a healthy stream.
"""

from __future__ import annotations

import argparse
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

HERE = Path(__file__).parent
HEALTHY = "healthy"
ASK = ("ask", "tiny", "{url}", "What colour is the ball?", "--label", "red", "--label", "blue")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One command against one server: exit code, seconds, highest MB, what it told and when first."""

    code: int
    seconds: float
    peak_mb: float
    told: list[str]
    told_after_s: float | None
    windows: int


@contextmanager
def serving(servers: Path, kind: str) -> Iterator[str]:
    """Start a server; give its URL."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, str(servers), kind, str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield f"{'rtsp' if kind.startswith('rtsp') else 'http'}://127.0.0.1:{port}/live"
    finally:
        process.kill()
        process.wait()


def measured(command: list[str], interrupt_after_s: float | None) -> Outcome:
    """Run a command; interrupt it as Ctrl-C does if it still runs."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1
    )
    assert process.stdout is not None
    import threading

    begun, told, told_after_s, windows, peak = time.monotonic(), [], None, 0, 0
    lines: list[tuple[float, str]] = []
    out = process.stdout
    reader = threading.Thread(
        target=lambda: lines.extend((time.monotonic() - begun, line) for line in out), daemon=True
    )
    reader.start()
    watched = psutil.Process(process.pid)
    interrupted = False
    while process.poll() is None:
        try:
            peak = max(peak, watched.memory_info().rss)
        except psutil.NoSuchProcess:
            break
        if not interrupted and interrupt_after_s and time.monotonic() - begun > interrupt_after_s:
            interrupted = True
            process.send_signal(signal.SIGINT)
        time.sleep(0.02)
    seconds = time.monotonic() - begun
    reader.join()
    for after_s, line in lines:
        event = json.loads(line) if line.startswith("{") else {}
        windows += event.get("kind") == "segment"
        text = (
            event.get("text", "")
            if event.get("kind") in ("status", "error")
            else ""
            if event
            else line.strip()
        )
        if text and not text.startswith(("connected", "tiny on")) and "reading" not in text.split(":")[0]:
            told.append(text)
            told_after_s = after_s if told_after_s is None else told_after_s
    return Outcome(
        code=process.wait(),
        seconds=seconds,
        peak_mb=peak / 1e6,
        told=told,
        told_after_s=told_after_s,
        windows=windows,
    )


def main() -> None:
    """Print a row per kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*")
    parser.add_argument("--servers", type=Path, default=HERE / "live_servers.py")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long `run` may take")
    args = parser.parse_args()
    vljepa = [sys.executable, "-m", "vljepa_apps"]
    run = ("run", "tiny", "{url}", "--max-seconds", f"{args.seconds:g}")
    base: dict[str, float] = {}
    with serving(HERE / "live_servers.py", HEALTHY) as url:
        for name, words in (("run", run), ("ask", ASK)):
            command = vljepa + [word.format(url=url) for word in words]
            command = [
                word.replace(f"{args.seconds:g}", "8") if word == f"{args.seconds:g}" else word
                for word in command
            ]
            base[name] = measured(command, None).peak_mb
    print(f"base: run {base['run']:.0f} MB, ask {base['ask']:.0f} MB", flush=True)
    for kind in args.kinds:
        for name, words in (("run", run), ("ask", ASK)):
            with serving(args.servers, kind) as url:
                got = measured(vljepa + [word.format(url=url) for word in words], None)
            told = "-" if got.told_after_s is None else f"{got.told_after_s:.1f} s"
            words_told = (got.told or [""])[0].replace(url, "URL")
            print(
                f"| {kind} | {name} | {got.code} | {got.seconds:.1f} s | {told} | {got.peak_mb - base[name]:+.0f} MB"
                f" | {got.windows} | {len(got.told)} | {words_told[:150]} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
