"""Which segments tell most of a day: for each way to choose them, what of the truth a digest tells.

    python tests/measure_digest.py --log FOLDER/tiny [--hands DIR] [--streams 50]

LOG is one that `measure_search.py` wrote. A segment is told rightly where its words are those of the annotation that it
shares most time with; a digest is as good as the different things that it tells rightly. Each stream is a day of its
own, then all of them are one.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import vljepa_runtime as vj
from vljepa_data.world import HandBank, Split, StreamEvent, make_stream
from vljepa_evaluation.tasks import FIRST_STREAM, StreamPlan
from vljepa_log import LogReader, Segment, most_telling, segments_of

PLAN = StreamPlan()
SHARES = (0.1, 0.25, 0.5)
Told = tuple[Segment, StreamEvent, bool]
Way = Callable[[Sequence[Segment], int], list[Segment]]


def longest(segments: Sequence[Segment], budget: int) -> list[Segment]:
    """Those that last longest."""
    return sorted(segments, key=lambda each: each.start_s - each.end_s)[:budget]


def farthest_change(segments: Sequence[Segment], budget: int) -> list[Segment]:
    """Those that are farthest from what was before."""
    return sorted(segments, key=lambda each: -each.change)[:budget]


WAYS: dict[str, Way] = {
    "seconds times distance": most_telling,
    "longest": longest,
    "farthest change": farthest_change,
}
"""How the most telling segments are found; the first one is what `vljepa digest` does."""


def told_rightly(segment: Segment, events: Sequence[StreamEvent], words: str) -> Told:
    """What a segment is about, and whether its words say so."""
    event = max(events, key=lambda each: min(each.end_s, segment.end_s) - max(each.start_s, segment.start_s))
    return segment, event, words == event.text


def row(name: str, days: Sequence[Sequence[Told]]) -> None:
    """One line of the table for each way: different things told rightly, of the segments shown."""
    for by, choose in WAYS.items():
        cells = []
        for share in SHARES:
            shown = right = 0
            for day in days:
                budget = max(1, round(share * len({event.key for _, event, _ in day})))
                chosen = {id(segment) for segment in choose([each[0] for each in day], budget)}
                right += len({event.key for segment, event, ok in day if ok and id(segment) in chosen})
                shown += budget
            cells.append(f"{right / shown:.1%}")
        print(f"| {name} | {by} | {' | '.join(cells)} |")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--bundle", default="tiny")
    parser.add_argument("--hands", type=Path)
    parser.add_argument("--streams", type=int, default=50)
    args = parser.parse_args()
    model = vj.load(args.bundle, threads=1)
    bank = HandBank.load(args.hands, "val") if args.hands else None
    days: dict[str, list[Told]] = {}
    truth = {
        f"world-{number:02}": make_stream(
            FIRST_STREAM + number, Split.TEST, minutes=PLAN.minutes, size=PLAN.size, fps=PLAN.fps, hands=bank
        ).events
        for number in range(args.streams)
    }
    with LogReader(args.log, model.bundle.manifest) as log:
        for segment in segments_of(log):
            if events := truth.get(segment.stream):
                words = model.decode(segment.embedding)
                days.setdefault(segment.stream, []).append(told_rightly(segment, events, words))
    every = [told for day in days.values() for told in day]
    events_in_all = sum(len(truth[name]) for name in days)
    print(f"{len(days)} streams, {events_in_all} annotations, {len(every)} segments, told rightly: ", end="")
    print(f"{sum(ok for *_, ok in every) / len(every):.1%}\n")
    print(
        f"| a day is | chosen by | {' | '.join(f'{share:.0%}' for share in SHARES)} |\n|---|---|---|---|---|"
    )
    row("a stream", list(days.values()))
    row("all streams", [every])


if __name__ == "__main__":
    main()
