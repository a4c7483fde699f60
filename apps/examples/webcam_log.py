"""A camera for days: its events go to the end of a file of JSON lines, over outages, until SIGTERM or Ctrl-C.

    python apps/examples/webcam_log.py tiny /dev/v4l/by-id/usb-MAKER_MODEL-video-index0 events.jsonl
    python apps/examples/webcam_log.py tiny demo-out/stream.mp4 events.jsonl

A network stream that breaks is reached again by the source itself. What is tried again here is a camera or a server
that is not there yet or went away; a file that is not there is a mistake. docs/service.md makes a service of it.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

import vljepa_runtime as vj


def arguments() -> argparse.Namespace:
    """What is watched, and where it is written."""
    parser = argparse.ArgumentParser(description="Append the events of a camera to a file.")
    parser.add_argument("bundle", help="a bundle, or a shipped name")
    parser.add_argument("source", help="a camera's number or path, a file or a URL")
    parser.add_argument("log", type=Path, help="the file that is appended to")
    parser.add_argument("--retry", type=float, default=10.0, help="seconds between attempts (default 10)")
    return parser.parse_args()


def may_come(source: str) -> bool:
    """Whether waiting helps: a camera is plugged in again, a server starts; a wrong name stays wrong."""
    return source.isdecimal() or source.startswith("/dev/") or "://" in source


def watch(model: vj.Model, source: str, log: vj.Sink, ended: threading.Event) -> None:
    """One session: until the source ends or breaks, or somebody ends the process."""
    with model.session() as session:

        def end(number: int, frame: FrameType | None) -> None:
            ended.set()
            session.stop()  # what is pending is given yet

        signal.signal(signal.SIGINT, end)
        signal.signal(signal.SIGTERM, end)
        for event in session.run(source):
            log.write(event)


def main() -> int:
    """Go on until the end of a file, or until the process is told to end."""
    args = arguments()
    ended = threading.Event()
    try:
        model = vj.load(args.bundle)
        with vj.JsonlSink(args.log, append=True) as log:
            while not ended.is_set():
                try:
                    watch(model, args.source, log, ended)
                    break
                except vj.SourceError as error:
                    if not may_come(args.source):
                        raise
                    print(f"{error}; again in {args.retry:g} s", file=sys.stderr, flush=True)
                    ended.wait(args.retry)
    except vj.VljepaError as error:  # a full disk among them: a service manager starts anew
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
