"""What happened while I was away: the most telling moments of the last hours of a log, in a few sentences.

    python apps/examples/while_away.py tiny door.log --hours 8
    vljepa run tiny rtsp://10.0.0.7/door --log door.log --decode never    # makes such a log, for days

The camera's log holds embeddings. Only now some of them are put into words, twelve at most, which are kept in the log:
the next time they cost nothing. The bundle is the one that the log was written with, in any precision.
"""

from __future__ import annotations

import argparse
import sys
import time
from datetime import datetime

import vljepa_runtime as vj
from vljepa_log import LogReader, Where, keep_words, make_digest


def main() -> int:
    """Print a line for each moment, the oldest first."""
    parser = argparse.ArgumentParser(description="Tell what a log saw in the last hours.")
    parser.add_argument("bundle", help="a bundle, or a shipped name")
    parser.add_argument("log", help="what `vljepa run --log` wrote")
    parser.add_argument("--hours", type=float, default=8.0, help="how long you were away (default 8)")
    parser.add_argument("--most", type=int, default=12, help="sentences at most (default 12)")
    args = parser.parse_args()
    since = time.time() - 3600 * args.hours
    try:
        model = vj.load(args.bundle)
        with LogReader(args.log, model.bundle.manifest, boundaries=model.boundaries) as log:
            digest = make_digest(log, model.decode, where=Where(since=since), budget=args.most)
        problem = keep_words(args.log, model.bundle.manifest, digest.decoded)
    except vj.VljepaError as error:
        print(error, file=sys.stderr)
        return 1
    for each in digest.segments:
        begun, length_s = datetime.fromtimestamp(each.began), each.end_s - each.start_s
        print(f"{begun:%a %H:%M:%S}  {each.stream}  {each.text}  (for {length_s:.0f} s)")
    print(f"{len(digest.segments)} of {digest.changes} changes, {len(digest.decoded)} put into words for it")
    if problem:  # a camera writes the log right now, say
        print(f"the words were not kept: {problem}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
