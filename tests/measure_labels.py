"""How well labels follow a stream: accuracy of the best label per second, and changes against the truth.

    python tests/measure_labels.py [--stride 0.5] [--streams 12] [--falls DIR]

Streams are those of the procedural world that no training saw, with every distinct event of a stream as a label. `DIR`
holds `events.csv` with file, start_s, end_s and class of real clips, which `tiny` knows nothing of.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import vljepa_runtime as vj
from vljepa_data.world import EventStream, Split, make_stream
from vljepa_runtime.sources import EVERY_FRAME, Hints, Item, Source

FIRST_SEED = 5000
Truth = Sequence[tuple[float, float, str]]


class Rendered(Source):
    """A stream of the world."""

    def __init__(self, stream: EventStream) -> None:
        self.name, self._stream = "world", stream

    def frames(self, hints: Hints = EVERY_FRAME) -> Iterator[Item]:
        """See `Source.frames`."""
        for index, image in enumerate(self._stream):
            yield vj.Frame(image=image, time_s=index / self._stream.fps, index=index)

    def close(self) -> None:
        """Nothing is held."""


def measured(model: vj.Model, source: Source, truth: Truth, stride_s: float) -> tuple[int, int, int, int]:
    """Seconds in which something happens, how many are named rightly by an answer's own times and when they were
    told, and the answers."""
    labels = sorted({label for *_, label in truth})
    with model.session(labels=labels, stride_s=stride_s) as session:
        answers = [event for event in session.run(source) if event.kind == "answer"]
    seconds = placed = in_time = 0
    for second in range(int(max(end for _, end, _ in truth))):
        now_s = second + 0.5
        right = {label for start, end, label in truth if start <= now_s < end}
        if right:
            seconds += 1
            placed += next((a.text for a in reversed(answers) if a.start_s <= now_s), "") in right
            in_time += next((a.text for a in reversed(answers) if a.end_s <= now_s), "") in right
    return seconds, placed, in_time, len(answers)


def report(name: str, found: list[tuple[int, int, int, int]], events: int, minutes: float) -> None:
    """One line of the table."""
    seconds, placed, in_time, answers = (sum(column) for column in zip(*found))
    print(
        f"| {name} | {placed / seconds:.1%} | {in_time / seconds:.1%} | {answers / minutes:.1f} | "
        f"{events / minutes:.1f} |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stride", type=float, default=0.5)
    parser.add_argument("--streams", type=int, default=12)
    parser.add_argument("--falls", type=Path)
    args = parser.parse_args()
    model = vj.load("tiny")
    print("| stream | seconds named rightly | the moment they are told | changes a minute | in truth |")
    print("|---|---|---|---|---|")
    found, events, minutes = [], 0, 0.0
    for seed in range(FIRST_SEED, FIRST_SEED + args.streams):
        stream = make_stream(seed, Split.TEST, minutes=2.0, size=96, fps=8.0)
        truth = [(event.start_s, event.end_s, event.brief) for event in stream.events]
        found.append(measured(model, Rendered(stream), truth, args.stride))
        events, minutes = events + len(truth), minutes + 2.0
    report("procedural world", found, events, minutes)
    if args.falls:
        rows = defaultdict(list)
        for row in csv.DictReader((args.falls / "events.csv").open()):
            rows[row["file"]].append((float(row["start_s"]), float(row["end_s"]), row["class"]))
        every = {row[2] for truth in rows.values() for row in truth}
        found = []
        for file, truth in rows.items():
            others = [(0.0, 0.0, label) for label in every]
            found.append(measured(model, vj.open_source(args.falls / file), [*truth, *others], args.stride))
        minutes = sum(max(row[1] for row in truth) for truth in rows.values()) / 60
        report("falls", found, sum(map(len, rows.values())), minutes)


if __name__ == "__main__":
    main()
