"""How well alerts are told, by where their threshold came from: 20 standing queries on the world's event streams.

    python tests/measure_alerts.py --logs FOLDER [--bundle tiny] [--hands DIR] [--streams 50] [--falls DIR]

FOLDER keeps a log of the streams for the bundle, as `tests/measure_search.py` makes it. What needs other streams (the
best one for all, and both ways of `vljepa alerts calibrate`) is found on every second stream and judged on the rest,
and the other way round. An alert is right that was told while its event was going on or up to 2 s, a window, later; an
event has an alert where one was; the delay is from the begin of the event. `DIR` of falls has `events.csv` and clips.
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from measure_search import PLAN, Subject, fill, name_of

import vljepa_runtime as vj
from vljepa_data.world import (
    ACTIONS,
    COLOURS,
    SHAPES,
    EventStream,
    HandBank,
    Split,
    StreamEvent,
    Thing,
    brief_caption,
    hand_caption,
    make_stream,
)
from vljepa_evaluation.tasks import FIRST_STREAM
from vljepa_log import LogReader, score_log
from vljepa_runtime.alerts import (
    Alert,
    AlertScorer,
    AlertSpan,
    ScoreSeries,
    alert_spans,
    calibrate_marked,
    calibrate_rate,
    with_threshold,
)

DAY_S = 86_400
LATE_S = 2.0
FIXED = np.arange(0.70, 0.97, 0.02).tolist()
VERBS = {
    "fall": "falls down", "jump": "jumps", "bounce": "bounces", "turn": "turns", "grow": "grows", "stay": "stays still",
    "roll": "rolls", "leave": "leaves", "enter": "enters", "stack": "lands on top of something",
}  # fmt: skip
THINGS = (
    (("ball", "fall"), ("box", "bounce"), ("star", "turn"), ("ring", "jump"), ("heart", "grow")),
    (("ball", "jump"), ("box", "stay"), ("star", "fall"), ("ring", "grow"), ("moon", "bounce")),
)
ALONE_ACTIONS = (("fall", "jump", "bounce", "turn", "grow"), ("enter", "leave", "stay", "roll", "stack"))
BRIEFS = {
    brief_caption(Thing(shape, colour), action): (COLOURS[colour], SHAPES[shape], action)
    for shape, colour, action in product(range(len(SHAPES)), range(len(COLOURS)), ACTIONS)
}

Times = Mapping[str, Sequence[tuple[float, float]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A standing query, what competes with it, and which events it means."""

    kind: str
    text: str
    against: tuple[str, ...]
    means: Callable[[StreamEvent], bool]


@dataclass(slots=True)
class Tally:
    """Alerts against events."""

    alerts: int = 0
    right: int = 0
    events: int = 0
    found: int = 0
    hours: float = 0.0
    delays_s: list[float] = field(default_factory=list)

    def add(self, spans: Sequence[AlertSpan], times: Times, hours: float) -> None:
        """What one alert gave on some streams."""
        seen: set[tuple[str, float]] = set()
        for span in spans:
            own = [(start, end) for start, end in times[span.stream] if start <= span.told_s <= end + LATE_S]
            self.right += bool(own)
            self.delays_s += [span.told_s - start for start, _ in own if (span.stream, start) not in seen]
            seen |= {(span.stream, start) for start, _ in own}
        self.alerts, self.events = self.alerts + len(spans), self.events + sum(map(len, times.values()))
        self.found, self.hours = self.found + len(seen), self.hours + hours

    @property
    def f1(self) -> float:
        """Of precision and recall."""
        return 2 * self.right * self.found / max(1, self.right * self.events + self.found * self.alerts)

    def cells(self) -> str:
        """Of a table."""
        delays = (
            [f"{value:.1f} s" for value in np.percentile(self.delays_s, (50, 95))] if self.delays_s else "--"
        )
        return (
            f"{self.right / max(1, self.alerts):.1%} ({self.right} of {self.alerts}) | "
            f"{self.found / max(1, self.events):.1%} ({self.found} of {self.events}) | "
            f"{delays[0]} | {delays[1]} | {(self.alerts - self.right) / self.hours:.2f}"
        )


def with_article(words: str) -> str:
    """`a red ball`, `an orange ball`."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def queries_of(streams: Sequence[EventStream], which: int) -> list[Query]:
    """Five of a sentence that says all, five without the colour, five hand signs, five that name the action alone.

    Args:
        streams: Whose events are meant.
        which: Of two sets.
    """
    events = [event for stream in streams for event in stream.events]
    briefs = {event.text: BRIEFS[event.brief] for event in events if event.brief in BRIEFS}
    common = Counter(event.text for event in events if event.text in briefs).most_common(10)
    found = [sentence(text, *briefs[text]) for text, _ in common[5 * which : 5 * which + 5]]
    found += [thing(shape, action) for shape, action in THINGS[which]]
    signs = [hand_caption([digit]) for digit in range(10)]
    for text in signs[which::2]:
        others = tuple(other for other in signs if other != text)
        found.append(Query(kind="hand sign", text=text, against=others, means=partial(says, text)))
    for action in ALONE_ACTIONS[which]:
        others = tuple(f"something {verb}" for other, verb in VERBS.items() if other != action)
        means = partial(shows, ("", "", action))
        found.append(
            Query(kind="action alone", text=f"something {VERBS[action]}", against=others, means=means)
        )
    return found


def sentence(text: str, colour: str, shape: str, action: str) -> Query:
    """All of it is said; others differ in one word."""
    others = [(colour, shape, other) for other in VERBS if other != action]
    others += [(other, shape, action) for other in COLOURS if other != colour]
    others += [(colour, other, action) for other in SHAPES if other != shape]
    against = tuple(f"{with_article(f'{c} {s}')} {VERBS[a]}" for c, s, a in others)
    return Query(kind="whole sentence", text=text, against=against, means=partial(says, text))


def thing(shape: str, action: str) -> Query:
    """Of any colour."""
    others = [(shape, other) for other in VERBS if other != action]
    others += [(other, action) for other in SHAPES if other != shape]
    against = tuple(f"a {s} {VERBS[a]}" for s, a in others)
    means = partial(shows, ("", shape, action))
    return Query(kind="without the colour", text=f"a {shape} {VERBS[action]}", against=against, means=means)


def says(text: str, event: StreamEvent) -> bool:
    """Whether this is an event's caption."""
    return event.text == text


def shows(wanted: tuple[str, str, str], event: StreamEvent) -> bool:
    """Whether an event has this colour, shape and action, as far as they are named."""
    found = BRIEFS.get(event.brief)
    return found is not None and all(word in ("", own) for word, own in zip(wanted, found))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One query on all streams."""

    query: Query
    alert: Alert
    series: Mapping[str, ScoreSeries]
    times: Times

    def halves(self) -> list[tuple[Asked, Asked]]:
        """What is calibrated on and what is judged, both ways."""
        names = sorted(self.series)
        parts = [self.take(names[first::2]) for first in (0, 1)]
        return [(parts[0], parts[1]), (parts[1], parts[0])]

    def take(self, names: Sequence[str]) -> Asked:
        """Some of the streams."""
        return replace(
            self,
            series={name: self.series[name] for name in names},
            times={name: self.times[name] for name in names},
        )

    @property
    def hours(self) -> float:
        """That were watched."""
        return sum(each.seconds for each in self.series.values()) / 3600

    def tally(self, alert: Alert, into: Tally | None = None) -> Tally:
        """What an alert gives here."""
        found = Tally() if into is None else into
        found.add(alert_spans(alert, self.series.values()), self.times, self.hours)
        return found


def asked(
    query: Query, log: LogReader, model: vj.Model, streams: Sequence[EventStream], against: bool
) -> Asked:
    """Score it once."""
    alert = Alert(text=query.text, against=query.against if against else ())
    series = {each.stream: each for each in score_log(log, AlertScorer(alert, model.embed_text))}
    times = {
        name_of(number): [(event.start_s, event.end_s) for event in stream.events if query.means(event)]
        for number, stream in enumerate(streams)
    }
    return Asked(query=query, alert=with_threshold(alert, model.embed_text), series=series, times=times)


Way = Callable[[Sequence[Asked]], list[Alert]]


def by_rate(known: Asked) -> Alert:
    """As `vljepa alerts calibrate --per-day`, with as many as there are."""
    events = sum(map(len, known.times.values()))
    return calibrate_rate(
        known.alert, list(known.series.values()), per_day=events / known.hours * DAY_S / 3600
    ).alert


def by_marks(known: Asked) -> Alert:
    """As `vljepa alerts calibrate --marked`, with the middle of every event."""
    marks = {name: [(start + end) / 2 for start, end in times] for name, times in known.times.items()}
    return calibrate_marked(known.alert, list(known.series.values()), marks).alert


def one_for_all(known: Sequence[Asked]) -> list[Alert]:
    """The one threshold with the best F1, the mean over queries."""

    def agreement(value: float) -> float:
        return float(np.mean([each.tally(replace(each.alert, threshold=value)).f1 for each in known]))

    best = max(FIXED, key=agreement)
    return [replace(each.alert, threshold=best) for each in known]


def each_by(way: Callable[[Asked], Alert]) -> Way:
    """A threshold of its own for each query."""
    return lambda known: [way(each) for each in known]


ALONE: Mapping[str, Way] = {
    "0.8 for all": each_by(lambda own: replace(own.alert, threshold=0.8)),
    "the best one for all": one_for_all,
    "what the words say (default)": each_by(lambda own: own.alert),
    "`--per-day`": each_by(by_rate),
    "`--marked`": each_by(by_marks),
}
COMPETING: Mapping[str, Way] = {
    "with `against`: 0 (default)": each_by(lambda own: own.alert),
    "with `against`: `--per-day`": each_by(by_rate),
    "with `against`: `--marked`": each_by(by_marks),
}


def judged(every: Sequence[Asked], way: Way) -> dict[str, Tally]:
    """For all queries and for each kind of them."""
    found: dict[str, Tally] = {"20": Tally()}
    halves = [each.halves() for each in every]
    for side in (0, 1):
        known = [both[side][0] for both in halves]
        for alert, (_, rest) in zip(way(known), (both[side] for both in halves)):
            for kind in ("20", rest.query.kind):
                rest.tally(alert, found.setdefault(kind, Tally()))
    return found


def world(subject: Subject, streams: Sequence[EventStream]) -> None:
    """The table of the world's streams."""
    print("| threshold | queries | precision | recall | delay, median | p95 | false alarms an hour, each |")
    print("|---|---|---|---|---|---|---|")
    with LogReader(subject.place, subject.model.bundle.manifest) as log:
        for first, what, against, ways in (
            (0, "", False, ALONE), (0, "", True, COMPETING), (1, " others", False, dict(list(ALONE.items())[:3])),
        ):  # fmt: skip
            every = [
                asked(query, log, subject.model, streams, against) for query in queries_of(streams, first)
            ]
            for name, way in ways.items():
                for kind, tally in judged(every, way).items():
                    print(f"| {name} | {kind}{what} | {tally.cells()} |", flush=True)


def falls(model: vj.Model, folder: Path) -> None:
    """Falls of real clips, which `tiny` knows nothing of; marks are those of all other clips."""
    times: dict[str, list[tuple[float, float]]] = {}
    for row in csv.DictReader((folder / "events.csv").open()):
        own = times.setdefault(row["file"], [])
        if row["class"] == "falling":
            own.append((float(row["start_s"]), float(row["end_s"])))
    query = Query(
        kind="falls", text="a person falls down", against=("a person walks", "a person sits", "a person stands"),
        means=lambda event: False,
    )  # fmt: skip
    rows = {name: windows_of_clip(model, folder / name) for name in times}
    print("\n| falls | threshold | precision | recall | delay, median | p95 | false alarms an hour |")
    print("|---|---|---|---|---|---|---|")
    for against in ((), query.against):
        alert = Alert(text=query.text, against=against, cool_down_s=0)
        alert = with_threshold(alert, model.embed_text)
        score = AlertScorer(alert, model.embed_text)
        series = {
            name: ScoreSeries(stream=name, windows=windows, scores=score(seen))
            for name, (windows, seen) in rows.items()
        }
        every = Asked(query=query, alert=alert, series=series, times=times)
        left_out = Tally()
        for name in times:
            others = every.take([other for other in times if other != name])
            every.take([name]).tally(by_marks(others), left_out)
        what = f"against {len(against)} others" if against else "alone"
        print(f"| {what} | {'0' if against else 'of the words'} | {every.tally(alert).cells()} |")
        print(f"| {what} | `--marked`, on all clips but one | {left_out.cells()} |", flush=True)


def windows_of_clip(model: vj.Model, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Times and embeddings, every half second."""
    times: list[tuple[float, float]] = []
    rows: list[np.ndarray] = []
    with model.session(stride_s=0.5, decode="never") as session:
        for _ in session.run(path, on_window=lambda window, query, row: (
            times.append((window.start_s, window.end_s)), rows.append(row)
        )):  # fmt: skip
            pass
    return np.array(times), np.stack(rows)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--logs", type=Path, required=True)
    parser.add_argument("--bundle", default="tiny")
    parser.add_argument(
        "--hands", type=Path, help="photographs of hand signs, as `vljepa selective` takes them"
    )
    parser.add_argument("--streams", type=int, default=50)
    parser.add_argument("--falls", type=Path)
    args = parser.parse_args()
    subject = Subject(vj.load(args.bundle, threads=1), args.logs / Path(args.bundle).name)
    bank = HandBank.load(args.hands, "val") if args.hands else None
    streams = [
        make_stream(seed, Split.TEST, minutes=PLAN.minutes, size=PLAN.size, fps=PLAN.fps, hands=bank)
        for seed in range(FIRST_STREAM, FIRST_STREAM + args.streams)
    ]
    args.logs.mkdir(parents=True, exist_ok=True)
    fill([subject], streams)
    world(subject, streams)
    if args.falls:
        falls(subject.model, args.falls)


if __name__ == "__main__":
    main()
