"""A fall alarm: learned from clips whose falls have their times in a table, it rings when a fall holds.

    python apps/examples/fall_alarm.py tiny falls/events.csv falls/clips/s3_fall_15.mp4
    python apps/examples/fall_alarm.py my.vljepa falls/events.csv rtsp://10.0.0.7/room

The table has the columns file, start_s, end_s and class ("falling", or something else); files lie beside it. A clip
that is watched is left out of what is learned. A few clips of one room make a demonstration and no medical device:
the first line says how often it is right about clips that it has not seen, in rooms that it has.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

import vljepa_runtime as vj
from vljepa_teach import Example, teach

FALL, OTHER = "falling", "up"


def examples(table: Path, watched: str) -> list[Example]:
    """Each row as an example of one of two states, but for those of the clip that is watched."""
    found = []
    with table.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            path = table.parent / row["file"]
            if Path(watched).name != path.name:
                state = FALL if row["class"] == FALL else OTHER
                found.append(Example(state, path, float(row["start_s"]), float(row["end_s"])))
    return found


def main() -> int:
    """Learn, watch, ring."""
    parser = argparse.ArgumentParser(description="Tell when somebody falls.")
    parser.add_argument("bundle", help="a bundle, or a shipped name")
    parser.add_argument("table", type=Path, help="events of clips: file, start_s, end_s, class")
    parser.add_argument("source", help="a camera's number or path, a file or a URL")
    parser.add_argument("--feature", default="auto", help="auto, embedding or tokens (default auto)")
    args = parser.parse_args()
    try:
        model = vj.load(args.bundle)
        taught = teach(model, examples(args.table, args.source), feature=args.feature)
        held = taught.states.held_out
        print(f"# each left out in turn: {held.accuracy:.0%} right, {held.unsure:.0%} unsure", flush=True)
        with model.session(states=taught.states) as session:
            for event in session.run(args.source):
                if event.kind == "answer":
                    rings = "FALL" if event.text == FALL else event.text
                    print(f"{event.start_s:7.1f} s  {rings} ({event.score:.2f})", flush=True)
    except (vj.VljepaError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
