"""How soon selection may tell a segment, and what words lose by it: CIDEr-D against the time from an event's begin.

    vljepa selective tiny --tuning 24 --hands DIR --out SELECTIVE
    python tests/measure_delay.py SELECTIVE/recordings [--png delay.png]

Networks are fitted to the tuning streams: to speak of windows that begin so many strides behind a boundary. Each tells
a segment at once, or a window later, when it is known to have been surest.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import vljepa_runtime as vj
from vljepa_apps import console
from vljepa_evaluation.boundaries import fit_boundaries
from vljepa_evaluation.metrics import Estimate
from vljepa_evaluation.tasks import FIRST_STREAM, FIRST_TUNING, Recording, curves, find_events
from vljepa_runtime.selection import Decision, Observation, Policy, State

BEHIND = (1.0, 0.5, 0.0, -0.5)
STRIDES_S = (0.5, 1.0)
BOUNDARY = 0.1
SEED = re.compile(r"-(\d+)-[\d.]+min-")


@dataclass(frozen=True, kw_only=True)
class Way:
    """A way to tell segments, and what it came to."""

    stride_s: float
    behind: float
    policy: vj.OnlineSelection
    per_minute: float = 0.0
    cider: Estimate | None = None
    missed: float = 0.0
    spurious: float = 0.0
    delay_s: tuple[float, float] = (0.0, 0.0)


def recorded(folder: Path, first: int, last: int) -> list[Recording]:
    """Those of some seeds, in their order."""
    named = {int(seed[1]): path for path in folder.glob("*.npz") if (seed := SEED.search(path.name))}
    return [Recording.load(named[seed]) for seed in sorted(named) if first <= seed < last]


def thinned(recording: Recording, stride_s: float) -> Recording:
    """Every so many windows of it."""
    every = round(stride_s / float(np.median(np.diff(recording.windows_s[:, 0]))))
    return replace(
        recording, embeddings=recording.embeddings[::every], windows_s=recording.windows_s[::every]
    )


@dataclass(frozen=True)
class Moved:
    """A policy whose segments begin so much later: it takes every net to speak of the second window of an event."""

    policy: Policy
    by_s: float

    def start(self) -> State:
        """A fresh state for one stream."""
        return _MovedState(self.policy.start(), self.by_s)


@dataclass
class _MovedState:
    state: State
    by_s: float

    def push(self, observation: Observation) -> list[Decision]:
        return [replace(each, start_s=each.start_s + self.by_s) for each in self.state.push(observation)]

    def finish(self) -> list[Decision]:
        return [replace(each, start_s=each.start_s + self.by_s) for each in self.state.finish()]


def ways(known: list[Recording]) -> Iterator[Way]:
    """All that are measured."""
    for stride_s in STRIDES_S:
        for behind in BEHIND:
            net = fit_boundaries(known, stride_s=stride_s, behind=behind)
            for confirm in (True, False):
                policy = vj.OnlineSelection(boundaries=(net,), boundary=BOUNDARY, confirm=confirm)
                yield Way(stride_s=stride_s, behind=behind, policy=policy)


def measured(way: Way, streams: list[Recording], model: vj.Model) -> Way:
    """What a way comes to on streams that no network was fitted to."""
    seen = [thinned(each, way.stride_s) for each in streams]
    (curve,) = curves(seen, model.decode, swept={"online": [(BOUNDARY, way.policy)]})
    found = find_events([Moved(way.policy, (1 - way.behind) * way.stride_s)] * len(seen), seen)
    median, most = np.percentile(found.delays_s, (50, 90)).tolist()
    return replace(
        way,
        per_minute=float(curve.rates[0]),
        cider=curve.quality[0],
        missed=found.missed / found.events,
        spurious=found.spurious / found.minutes,
        delay_s=(median, most),
    )


def told(way: Way) -> str:
    """A row of the table."""
    assert way.cider is not None
    return (
        f"| {way.stride_s:g} s | {way.behind * way.stride_s:+g} s | {'yes' if way.policy.confirm else 'no'} "
        f"| {way.delay_s[0]:.1f} / {way.delay_s[1]:.1f} s | {way.cider.value:.2f} [{way.cider.low:.2f}, "
        f"{way.cider.high:.2f}] | {way.per_minute:.1f} | {way.missed:.1%} | {way.spurious:.2f} |"
    )


def main() -> None:
    """Print the table, and draw it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("recordings", type=Path)
    parser.add_argument("--png", type=Path)
    args = parser.parse_args()
    known = recorded(args.recordings, FIRST_TUNING, FIRST_STREAM)
    streams = recorded(args.recordings, FIRST_STREAM, FIRST_STREAM + 1000)
    model, found = vj.load("tiny", threads=1), list[Way]()
    print(f"{len(known)} streams fitted to, {len(streams)} measured")
    print(
        "| a window every | begins behind the event | confirmed | told after, median / 90 % | CIDEr-D | a minute "
        "| missed | of no event, a minute |\n|---|---|---|---|---|---|---|---|"
    )
    all_ways = list(ways(known))
    with console.Progress("decoding", total=len(all_ways)) as progress:
        for way in progress.over(all_ways):
            found.append(measured(way, streams, model))
            print(told(found[-1]), flush=True)
    if args.png:
        draw(found, args.png)


def draw(found: list[Way], path: Path) -> None:
    """CIDEr-D against the 90th percentile of the delay."""
    from vljepa_apps.measure.figures import new_figure, save_figure

    figure, (axes,) = new_figure(1, width=7)
    for stride_s in STRIDES_S:
        for confirm in (True, False):
            mine = [each for each in found if (each.stride_s, each.policy.confirm) == (stride_s, confirm)]
            label = f"a window every {stride_s:g} s, {'confirmed by the next' if confirm else 'told at once'}"
            quality = [each.cider for each in mine if each.cider is not None]
            low, high = ([getattr(each, name) for each in quality] for name in ("low", "high"))
            delays = [each.delay_s[1] for each in mine]
            (line,) = axes.plot(delays, [each.value for each in quality], "o-", ms=4, label=label)
            axes.vlines(delays, low, high, color=line.get_color(), lw=1)
    axes.axvline(2.0, color="0.7", lw=0.8)
    axes.set(
        xlabel="told after, 90 % of the events (s)", ylabel="CIDEr-D of the nearest output", ylim=(0, None)
    )
    axes.legend(frameon=False)
    axes.grid(alpha=0.2)
    save_figure(figure, path)


if __name__ == "__main__":
    main()
