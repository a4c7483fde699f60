"""A door is watched: who asked is told when it shows what they described, with a clip, and when the camera goes blind.

    python apps/examples/door_watch.py tiny demo-out/stream.mp4 "an orange ball falls down" --clips clips
    python apps/examples/door_watch.py my.vljepa rtsp://10.0.0.7/door "a person at the door" --against "an empty door"

Every window goes into a log, which `vljepa search` and `while_away.py` read. How to find a threshold: docs/alerts.md.
`tiny` knows drawn shapes and hand signs only: put your own bundle in its place.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

import vljepa_runtime as vj
from vljepa_log import LogSink

TROUBLE = ("frozen", "black", "reconnecting", "restored", "connected", "warning")


def arguments() -> argparse.Namespace:
    """What is watched, and what for."""
    parser = argparse.ArgumentParser(description="Tell when a camera shows what you describe.")
    parser.add_argument("bundle", help="a bundle, or a shipped name")
    parser.add_argument("source", help="a camera's number or path, a file or a URL")
    parser.add_argument("text", help="what is looked for")
    parser.add_argument("--against", action="append", default=[], help="what else may be seen; several times")
    parser.add_argument(
        "--threshold", type=float, default=0.8, help="score from which it counts (default 0.8)"
    )
    parser.add_argument("--clips", type=Path, help="folder for a clip of each, from before it began")
    parser.add_argument("--log", default="door.log", help="where all is remembered (default door.log)")
    return parser.parse_args()


def line(event: vj.Event) -> str:
    """What is worth a line, else nothing."""
    if event.kind == "alert":
        begins = f"{event.text} ({event.score:.2f})" if event.active else f"over: {event.text}"
        return (
            f"{event.start_s if event.active else event.end_s:7.1f} s  {begins}  {event.clip or ''}".rstrip()
        )
    if event.kind == "error" or event.text.startswith(TROUBLE):
        return f"{event.start_s:7.1f} s  {event.text}"
    return ""


def main() -> int:
    """Watch until the end of a file, or until Ctrl-C."""
    args = arguments()
    alert = vj.Alert(text=args.text, threshold=args.threshold, against=tuple(args.against))
    clips = None if args.clips is None else vj.ClipFolder(folder=args.clips, look_back_s=5)
    try:
        model = vj.load(args.bundle)
        with (
            LogSink(args.log, model.bundle.manifest, boundaries=model.boundaries) as log,
            vj.open_source(args.source) as source,
        ):
            log.add_stream(args.source, source)
            session = model.session(alerts=[alert], clips=clips, decode="never")
            for event in session.run(source, on_window=partial(log.write_window, source.name)):
                log.write(event)
                if text := line(event):
                    print(text, flush=True)
    except KeyboardInterrupt:
        return 0
    except vj.VljepaError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
