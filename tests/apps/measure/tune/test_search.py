"""The search, over candidates whose costs are made up: what it finds, what it tries for that, what it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from vljepa_apps.measure.tune.advice import nothing_keeps
from vljepa_apps.measure.tune.agreement import Lost
from vljepa_apps.measure.tune.candidates import Candidate, Runtime
from vljepa_apps.measure.tune.search import Outcome, Search, preferred
from vljepa_apps.measure.tune.trials import Paced, Targets, Trial, trial_of
from vljepa_evaluation.metrics import mean_of

POLICIES = ("all", "static", "budget:0.5", "budget:0.25")
WORK = {"all": 1.0, "static": 0.6, "budget:0.5": 0.5, "budget:0.25": 0.3}
LOST = {"all": 0.0, "static": 0.3, "budget:0.5": 2.0, "budget:0.25": 8.0}
ENGINES = {"slow:cpu": 40.0, "quick:cpu": 20.0, "middle:cpu": 30.0}  # ms a window, of all cores


class Made:
    """What candidates cost, by made-up rules; remembers what was run, and for how long."""

    def __init__(
        self, *, still: float = 0.0, live: Mapping[str, float] = MappingProxyType({}), broken: str = ""
    ) -> None:
        self.still, self.live, self.broken = still, live, broken
        self.seconds = 0.0
        self.paced: list[str] = []

    def watch_exactly(self, candidates: Sequence[Candidate]) -> Candidate:
        return candidates[0]

    def measure(self, candidates: Sequence[Candidate], share: float, step: Any) -> list[Trial]:
        step(0.5)
        self.seconds += share * len(candidates)
        return [self.trial(each, share) for each in candidates]

    def trial(self, candidate: Candidate, share: float) -> Trial:
        if candidate.runtime.engine == self.broken:
            return Trial(candidate=candidate, seconds=60 * share, error="no such device")
        carried = self.still if candidate.carry_s else 0.0
        cpu_ms = ENGINES[candidate.runtime.engine] * WORK[candidate.tokens] * (1 - carried)
        wall_ms = cpu_ms / (candidate.runtime.threads or 1)
        windows = round(1000 * share)  # of few windows small losses are not seen
        other = mean_of([1.0] * int(LOST[candidate.tokens] * windows / 100) + [0.0] * windows, span=(0, 1))
        cosine_p1 = 1 - LOST[candidate.tokens] / 50
        seen = Lost(
            points=100 * other.value, low_points=100 * other.low, windows=windows, cosine_p1=cosine_p1
        )
        return Trial(
            candidate=candidate,
            seconds=60 * share,
            windows=100,
            windows_per_s=1000 / wall_ms,
            p95_ms=ENGINES[candidate.runtime.engine]
            * WORK[candidate.tokens]
            / (candidate.runtime.threads or 1),
            cpu_ms=cpu_ms,
            carried=carried,
            lost=seen,
        )

    def at_the_clocks_speed(self, trial: Trial) -> Trial:
        name = trial.candidate.tokens
        self.paced.append(name)
        return replace(trial, paced=Paced(p95_ms=self.live.get(name, trial.p95_ms), windows=60, dropped=0))


def searched(made: Made, targets: Targets) -> Outcome:
    measuring: Any = made
    search = Search(measuring=measuring, targets=targets, policies={"b": POLICIES}, carries_s=(0.0, 60.0))
    runtimes = [
        Candidate(runtime=Runtime(bundle="b", engine=engine, threads=threads))
        for engine in ENGINES
        for threads in (1, 2)
    ]
    return search.run(runtimes)


def brute(made: Made, targets: Targets) -> float | None:
    """The least cost of all that keeps the targets, every candidate tried on everything."""
    trials = [
        made.trial(Candidate(runtime=Runtime(bundle="b", engine=e, threads=n), tokens=t, carry_s=c), 1.0)
        for e in ENGINES
        for n in (1, 2)
        for t in POLICIES
        for c in (0.0, 60.0)
        if e != made.broken
    ]
    return min((trial.cpu_ms for trial in trials if targets.keeps(trial)), default=None)


@pytest.mark.parametrize("still", [0.0, 0.7], ids=["moving", "still"])
@pytest.mark.parametrize(
    "targets",
    [
        Targets(fps=5, max_ms=150, max_drop=0.5),
        Targets(fps=5, max_ms=150, max_drop=0.1),
        Targets(fps=5, max_ms=150, max_drop=3),
        Targets(fps=5, max_ms=150, max_drop=10),
        Targets(fps=90, max_ms=150, max_drop=0.5),
        Targets(fps=5, max_ms=7, max_drop=0.5),
        Targets(fps=20, max_ms=150, max_drop=0.5, streams=4),
    ],
    ids=["usual", "exact", "loose", "any", "fast", "soon", "four streams"],
)
def test_it_finds_what_trying_everything_finds(targets: Targets, still: float) -> None:
    made = Made(still=still)
    found = searched(made, targets)
    assert found.chosen is not None
    assert found.chosen.cpu_ms == pytest.approx(brute(Made(still=still), targets))
    assert made.seconds < 48 / 2  # of the source, where everything would have taken 48 times all of it


def test_an_engine_that_does_not_run_is_no_candidate() -> None:
    found = searched(Made(broken="quick:cpu"), Targets(fps=5, max_ms=150, max_drop=0.5))
    assert found.chosen is not None
    assert found.chosen.candidate.runtime.engine == "middle:cpu"
    assert {trial.error for trial in found.trials if trial.candidate.runtime.engine == "quick:cpu"} == {
        "no such device"
    }


def test_what_is_late_at_the_clocks_speed_gives_way() -> None:
    made = Made(live={"static": 200.0})
    found = searched(made, Targets(fps=5, max_ms=150, max_drop=0.5))
    assert made.paced[0] == "static"
    assert found.chosen is not None
    assert found.chosen.candidate.tokens == "all"
    assert found.chosen.paced is not None


def test_nothing_keeps_it() -> None:
    targets = Targets(fps=400, max_ms=150, max_drop=0.5)
    found = searched(Made(), targets)
    assert found.chosen is None
    told = "\n".join(nothing_keeps(found.trials, targets))
    assert "nearest: " in told
    best = max(trial.windows_per_s for trial in found.trials if trial.points <= 0.5)
    rate = float(told.split("--fps ")[1].split()[0])
    assert 0.8 * best <= rate <= 0.9 * best


def test_near_the_cheapest_the_most_exact_is_preferred() -> None:
    def trial(cpu_ms: float, points: float) -> Trial:
        lost = Lost(points=points, low_points=0, windows=100, cosine_p1=1)
        runtime = Runtime(bundle="b", engine=f"{cpu_ms}")
        return Trial(candidate=Candidate(runtime=runtime), cpu_ms=cpu_ms, lost=lost)

    assert preferred([trial(10, 0.4), trial(10.4, 0.1), trial(12, 0)]).cpu_ms == 10.4


def test_the_best_of_several_runs_counts() -> None:
    quiet = {
        "windows": 4,
        "wall_s": 0.1,
        "cpu_s": 0.1,
        "carried": 0.0,
        "latencies_ms": [10.0] * 4,
        "unworded_ms": [9.0] * 4,
    }
    busy = quiet | {"wall_s": 0.4, "cpu_s": 0.2, "latencies_ms": [10.0, 10.0, 90.0, 90.0]}
    candidate = Candidate(runtime=Runtime(bundle="b", engine="e"))
    for runs in ([quiet, busy], [busy, quiet]):
        found = trial_of(candidate, 5.0, runs)
        assert (found.windows_per_s, found.p95_ms, found.cpu_ms) == (40, 10, 25)
    assert trial_of(candidate, 5.0, [quiet, {"error": "gone"}]).error == "gone"


@pytest.mark.parametrize(
    ("changes", "keeps"),
    [
        ({}, True),
        ({"windows_per_s": 9.9}, False),
        ({"p95_ms": 101}, False),
        ({"stored_points": 0.6}, False),
        ({"stored_points": -3.0}, True),
        ({"paced": Paced(p95_ms=99, windows=200, dropped=2)}, True),
        ({"paced": Paced(p95_ms=99, windows=200, dropped=3)}, False),
        ({"paced": Paced(p95_ms=101, windows=200, dropped=0)}, False),
        ({"error": "no"}, False),
    ],
)
def test_what_is_kept(changes: dict[str, Any], keeps: bool) -> None:
    lost = Lost(points=0.5, low_points=0.1, windows=200, cosine_p1=0.99)
    trial = Trial(
        candidate=Candidate(runtime=Runtime(bundle="b", engine="e")), windows_per_s=10, p95_ms=100, lost=lost
    )
    assert Targets(fps=5, max_ms=100, max_drop=0.5, streams=2).keeps(replace(trial, **changes)) is keeps
