"""How well words find their moment: recall at 1 and 5 in the world's event streams, in one stream and in all of them.

    python tests/measure_search.py --logs FOLDER [--bundle tiny --bundle OTHER.vljepa] [--hands DIR] [--streams 50]

Each annotation's caption is searched for. A moment is found where its middle lies in an annotation of that meaning, or,
more strictly, where it shares half of their union with one; a caption that is true several times counts wherever it is.
FOLDER keeps a log for each bundle, so that a stopped run goes on and a second one only searches. Everything is asked
again of logs that were thinned as retention does it. At the end: how many of the first moments are called weak, of
captions whose moment was found, of captions of other streams, and of what the world has nothing of.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import vljepa_runtime as vj
from vljepa_apps import console
from vljepa_data.world import EventStream, HandBank, Split, StreamEvent, make_stream
from vljepa_evaluation.tasks import FIRST_STREAM, StreamPlan
from vljepa_evaluation.tasks.streams import windows_of
from vljepa_log import Contents, LogReader, LogWriter, Moment, Retention, Where, open_store, thin
from vljepa_runtime.alerts import weak_below
from vljepa_runtime.bundle import identity_of

DEPTHS = (1, 5)
ABSENT = 25  # captions of other streams, for each stream
ELSEWHERE = (
    "a man drinks a cup of coffee",
    "a dog runs across the lawn",
    "a delivery van stops at the gate",
    "a woman waters the plants",
    "two children play football",
    "smoke rises from the engine",
    "someone opens the fridge",
    "a cat sleeps on the sofa",
    "a person lies on the floor",
    "the door of the garage is open",
    "a bicycle leans against the wall",
    "somebody takes the parcel",
)
PLAN = StreamPlan(stride_s=1.0)  # as vljepa index has it


@dataclass(frozen=True, slots=True)
class Subject:
    """A bundle and its log."""

    model: vj.Model
    place: Path


def fill(subjects: Sequence[Subject], streams: Sequence[EventStream]) -> None:
    """Put the streams into the logs, those that all of them hold aside; each is rendered once."""
    with ExitStack() as stack:
        logs = [stack.enter_context(LogWriter(each.place, each.model.bundle.manifest)) for each in subjects]
        progress = stack.enter_context(console.Progress("embedding", total=len(streams)))
        for number, stream in enumerate(progress.over(streams)):
            ends = [log.positions(name_of(number)).get(PLAN.query) for log in logs]
            if all(end is not None and end.complete for end in ends):
                continue
            after = [end.at_s if end else 0.0 for end in ends]
            for window in windows_of(stream, subjects[0].model.preprocess, PLAN.stride_s):
                for subject, log, after_s in zip(subjects, logs, after):
                    if window.end_s > after_s:
                        embedding = subject.model.embed(window.clip, PLAN.query)
                        log.add_window(
                            name_of(number), PLAN.query, start_s=window.start_s, end_s=window.end_s,
                            embedding=embedding, at=number * stream.seconds + window.end_s,
                        )  # fmt: skip
            for log in logs:
                log.complete(name_of(number), PLAN.query, end_s=stream.seconds)


def name_of(number: int) -> str:
    """A stream's name in the logs."""
    return f"world-{number:02}"


def thinned(subject: Subject) -> tuple[Subject, int, int]:
    """A copy of a log whose windows are thinned as retention does it, with how many there were and are."""
    copy = subject.place.with_name(f"{subject.place.name}-thinned")
    shutil.rmtree(copy, ignore_errors=True)
    store = open_store(copy, identity=identity_of(subject.model.bundle.manifest), writable=True)
    before = after = 0
    with LogReader(subject.place) as log:
        for batch in log.windows():
            kept = thin(batch, within=Retention().thin_within)
            store.append(Contents(batches=[kept]))
            before, after = before + len(batch), after + len(kept)
    store.close()
    return Subject(subject.model, copy), before, after


def middle_in(moment: Moment, event: StreamEvent) -> bool:
    """Whether the middle of a moment lies in an annotation."""
    return event.start_s <= (moment.start_s + moment.end_s) / 2 < event.end_s


def half_shared(moment: Moment, event: StreamEvent) -> bool:
    """Whether a moment and an annotation share half of their union, or more."""
    shared = min(moment.end_s, event.end_s) - max(moment.start_s, event.start_s)
    union = max(moment.end_s, event.end_s) - min(moment.start_s, event.start_s)
    return shared >= union / 2


def recalls(subject: Subject, streams: Sequence[EventStream]) -> Iterator[tuple[str, list[float]]]:
    """Per place to look in and meaning of found, recall at each depth."""
    events = {name_of(number): stream.events for number, stream in enumerate(streams)}
    asked = [(name, event) for name, found in events.items() for event in found]
    texts = list(dict.fromkeys(event.text for _, event in asked))
    embedded = dict(zip(texts, subject.model.embed_text(texts)))
    with LogReader(subject.place, subject.model.bundle.manifest) as log:
        for where, inside in (("its stream", True), ("all streams", False)):
            ranked = [
                log.search(
                    embedded[event.text],
                    k=DEPTHS[-1],
                    where=Where(streams=(name,) if inside else tuple(events)),
                )
                for name, event in asked
            ]
            for what, is_found in (("middle inside", middle_in), ("half shared", half_shared)):
                hits = [
                    [is_hit(moment, event, events, is_found) for moment in moments]
                    for (_, event), moments in zip(asked, ranked)
                ]
                yield f"{where} | {what}", [sum(any(row[:k]) for row in hits) / len(hits) for k in DEPTHS]


def weak_shares(subject: Subject, streams: Sequence[EventStream]) -> dict[str, tuple[int, float]]:
    """How many searches of one stream there were, by what was searched for, and which share found weakly."""
    model, random = subject.model, np.random.default_rng(0)
    events = {name_of(number): stream.events for number, stream in enumerate(streams)}
    keys = {event.text: event.key for found in events.values() for event in found}
    limits = {text: weak_below(text, model.embed_text) for text in (*keys, *ELSEWHERE)}
    embedded = dict(zip(limits, model.embed_text(list(limits))))
    weak: dict[str, list[bool]] = {
        what: [] for what in ("right", "wrong", "of other streams", "of no stream")
    }
    with LogReader(subject.place, model.bundle.manifest) as log:
        for name, found in events.items():
            here = {event.key for event in found}
            others = [text for text, key in keys.items() if key not in here]
            absent = random.choice(others, min(len(others), ABSENT), replace=False).tolist()
            for text in (*dict.fromkeys(event.text for event in found), *absent, *ELSEWHERE):
                (best,) = log.search(embedded[text], k=1, where=Where(streams=(name,)))
                what = (
                    "of no stream" if text in ELSEWHERE else "of other streams" if text in absent else "wrong"
                )
                if keys.get(text) in here:
                    hit = any(middle_in(best, event) for event in found if event.key == keys[text])
                    what = "right" if hit else "wrong"
                weak[what].append(best.score < (limits[text] or -1.0))
    return {what: (len(each), float(np.mean(each))) for what, each in weak.items() if each}


def is_hit(
    moment: Moment,
    event: StreamEvent,
    events: dict[str, tuple[StreamEvent, ...]],
    is_found: Callable[[Moment, StreamEvent], bool],
) -> bool:
    """Whether a moment is one in which that event, or one of its meaning, happens."""
    return any(is_found(moment, other) for other in events[moment.stream] if other.key == event.key)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--logs", type=Path, required=True)
    parser.add_argument("--bundle", action="append", default=[])
    parser.add_argument(
        "--hands", type=Path, help="photographs of hand signs, as `vljepa selective` takes them"
    )
    parser.add_argument("--streams", type=int, default=50)
    args = parser.parse_args()
    subjects = [
        Subject(vj.load(bundle, threads=1), args.logs / Path(bundle).name)
        for bundle in args.bundle or ["tiny"]
    ]
    bank = HandBank.load(args.hands, "val") if args.hands else None
    streams = [
        make_stream(seed, Split.TEST, minutes=PLAN.minutes, size=PLAN.size, fps=PLAN.fps, hands=bank)
        for seed in range(FIRST_STREAM, FIRST_STREAM + args.streams)
    ]
    args.logs.mkdir(parents=True, exist_ok=True)
    fill(subjects, streams)
    print(f"{sum(len(stream.events) for stream in streams)} annotations\n")
    print("| bundle | windows | looked for in | found is | R@1 | R@5 |\n|---|---|---|---|---|---|")
    for subject in subjects:
        copy, before, after = thinned(subject)
        for each, windows in ((subject, f"{before}"), (copy, f"{after}, thinned")):
            for row, (first, fifth) in recalls(each, streams):
                print(f"| {subject.place.name} | {windows} | {row} | {first:.1%} | {fifth:.1%} |", flush=True)
    print("\n| bundle | searched for | searches | first moment called weak |\n|---|---|---|---|")
    for subject in subjects:
        for what, (searches, share) in weak_shares(subject, streams).items():
            print(f"| {subject.place.name} | {what} | {searches} | {share:.1%} |", flush=True)


if __name__ == "__main__":
    main()
