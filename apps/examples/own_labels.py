"""Your own labels on a stream: a line with the clock's time whenever another one has become the best.

    python apps/examples/own_labels.py tiny 0 "someone at the door" nobody
    python apps/examples/own_labels.py tiny demo-out/stream.mp4 "a ball" "a heart" "a cross"

`tiny` knows drawn shapes and hand signs only: put your own bundle in its place.
"""

from __future__ import annotations

import argparse
import sys
from datetime import datetime

import vljepa_runtime as vj


def arguments() -> argparse.Namespace:
    """What is watched, and for what."""
    parser = argparse.ArgumentParser(description="Tell when another label becomes the best.")
    parser.add_argument("bundle", help="a bundle, or a shipped name")
    parser.add_argument("source", help="a camera's number, a file or a URL")
    parser.add_argument("labels", nargs="+", metavar="label", help="answers in your own words")
    parser.add_argument("--min-score", type=float, help="cosine below which none of them holds")
    parser.add_argument("--stride", type=float, default=0.5, help="seconds between windows (default 0.5)")
    return parser.parse_args()


def line(event: vj.Event) -> str:
    """What is printed of an event, in the time zone of this machine."""
    if event.time is None or event.kind != "answer":
        return f"# {event.text}"
    told = datetime.fromisoformat(event.time).astimezone()
    return f"{told:%H:%M:%S}  {event.start_s:7.1f} s  {event.text or 'none of them'}  ({event.score:.2f})"


def main() -> int:
    """Watch to the end, or to Ctrl-C."""
    args = arguments()
    try:
        model = vj.load(args.bundle)
        with model.session(labels=args.labels, min_score=args.min_score, stride_s=args.stride) as session:
            for event in session.run(args.source):
                print(line(event), flush=True)
    except vj.VljepaError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
