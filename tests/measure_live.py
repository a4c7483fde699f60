"""What `vljepa run` and `vljepa ask` do against servers that misbehave, as the rows of a table.

    python tests/measure_live.py KIND ... [--servers FILE] [--seconds S]

FILE is called as `FILE KIND PORT` and prints a line when it listens; by default tests/live_servers.py, which names its
kinds when it is called without any. `run` gets `--max-seconds S`. Memory is the highest resident set less that of the
same command on a healthy stream, which loads the model and decodes.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

OURS = Path(__file__).with_name("live_servers.py")
ASK = ("What colour is the ball?", "--label", "red", "--label", "blue")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One command against one server.

    Attributes:
        code: Exit code.
        seconds: From start to exit, loading the model included.
        peak_mb: Highest resident set.
        told: What was told of the source, with the seconds after the start.
    """

    code: int
    seconds: float
    peak_mb: float
    told: list[tuple[float, str]]


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


def measured(name: str, url: str, options: tuple[str, ...]) -> Outcome:
    """Run a command to its end."""
    command = [sys.executable, "-m", "vljepa_apps", name, "tiny", url, *options]
    begun = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines: list[tuple[float, str]] = []
    out = process.stdout
    assert out is not None
    reader = threading.Thread(target=lambda: lines.extend((time.monotonic() - begun, line) for line in out))
    reader.start()
    watched, peak = psutil.Process(process.pid), 0
    while process.poll() is None:
        try:
            peak = max(peak, watched.memory_info().rss)
        except psutil.NoSuchProcess:
            break
        time.sleep(0.02)
    seconds = time.monotonic() - begun
    reader.join()
    told = [(after_s, remark(line).replace(url, "URL")) for after_s, line in lines if remark(line)]
    return Outcome(code=process.wait(), seconds=seconds, peak_mb=peak / 1e6, told=told)


def remark(line: str) -> str:
    """What a line of output tells of the source going wrong, empty for any other line."""
    if line.startswith("vljepa: "):
        return line.removeprefix("vljepa: ").strip()
    event = json.loads(line) if line.startswith("{") else {}
    text = str(event.get("text", ""))
    trouble = event.get("kind") == "error" or text.startswith(("reconnecting", "warning"))
    return text if trouble else ""


def row(servers: Path, kind: str, name: str, options: tuple[str, ...]) -> tuple[str, Outcome]:
    """One line of the table."""
    with serving(servers, kind) as url:
        got = measured(name, url, options)
    after_s, words = got.told[0] if got.told else (None, "")
    told = "" if after_s is None else f"{after_s:.0f} s: {words[:160]}"
    more = f" (+{len(got.told) - 1})" if len(got.told) > 1 else ""
    return f"| `{kind}` | {name} | {told}{more} | {got.code} after {got.seconds:.0f} s", got


def main() -> None:
    """Print two rows per kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="+", metavar="KIND")
    parser.add_argument("--servers", type=Path, default=OURS, metavar="FILE")
    parser.add_argument("--seconds", type=float, default=30.0, metavar="S")
    args = parser.parse_args()
    commands = {"run": ("--max-seconds", f"{args.seconds:g}"), "ask": ASK}
    base = {name: row(OURS, "healthy", name, options)[1].peak_mb for name, options in commands.items()}
    print(f"base: {', '.join(f'{name} {mb:.0f} MB' for name, mb in base.items())}", flush=True)
    for kind in args.kinds:
        for name, options in commands.items():
            text, got = row(args.servers, kind, name, options)
            print(f"{text} | {got.peak_mb - base[name]:+.0f} MB |", flush=True)


if __name__ == "__main__":
    main()
