"""Runs of candidates over one source: in turns, compared with the most exact one, kept for a search that goes on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from vljepa_apps.measure.tune.agreement import ExactAnswers, stored_loss
from vljepa_apps.measure.tune.candidates import Candidate
from vljepa_apps.measure.tune.kept import KeptRuns
from vljepa_apps.measure.tune.runtimes import Runtimes, TrialError
from vljepa_apps.measure.tune.trials import Trial, trial_of, with_paced
from vljepa_runtime import Manifest

__all__ = ["Measuring", "Watched"]

PASSES = 2
LONGEST_S = 45.0  # that the most exact candidate may take for the whole source
LEAST_WINDOWS = 24
PACED_S = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What every candidate is run on.

    Attributes:
        source: A file, or what `open_source` takes.
        seconds: How much of it at most.
        stride_s: Seconds between windows.
        queries: Asked of every window; none is the bundle's caption prompt.
        labels: Possible answers; none takes the segments that the most exact candidate finds.
        decode: As `Session` takes it.
        streams: Side by side, at the speed of the clock.
    """

    source: str
    seconds: float
    stride_s: float
    queries: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    decode: str = "auto"
    streams: int = 1

    def order(self, candidate: Candidate, seconds: float) -> dict[str, Any]:
        """What a runtime is told."""
        options = {"queries": self.queries, "labels": self.labels, "decode": self.decode}
        tokens = {"tokens": candidate.tokens, "carry_s": candidate.carry_s}
        return {"source": self.source, "seconds": seconds, "stride_s": self.stride_s, **options, **tokens}


@dataclass(slots=True)
class Measuring:
    """Runs candidates.

    Attributes:
        watched: What they are run on.
        manifests: Of the bundles, by their path.
        runtimes: Processes.
        kept: Runs of a search that was stopped.
        folder: For arrays that pass between processes.
        tell: Called with a name before each run.
        length_s: How much of the source is a whole trial; known once `watch_exactly` ran.
        exact: What the most exact candidate answered; likewise.
    """

    watched: Watched
    manifests: Mapping[str, Manifest]
    runtimes: Runtimes
    kept: KeptRuns
    folder: Path
    tell: Callable[[str], object] = lambda name: None
    length_s: float = 0.0
    exact: ExactAnswers | None = None
    _most_exact: Candidate | None = field(default=None, init=False)

    def watch_exactly(self, candidates: Iterable[Candidate]) -> Candidate:
        """Run the most exact candidate over the whole source, or over as much as it can in a while.

        Args:
            candidates: The first that runs is taken.

        Raises:
            TrialError: none runs.
        """
        failures: list[str] = []
        for candidate in candidates:
            try:
                self._watch_exactly(candidate)
            except TrialError as error:
                failures.append(f"{candidate.runtime.name}: {error}")
                continue
            self._most_exact = candidate
            return candidate
        raise TrialError("; ".join(dict.fromkeys(failures)))

    def measure(
        self,
        candidates: Sequence[Candidate],
        share: float,
        step: Callable[[float], object] = lambda done: None,
    ) -> list[Trial]:
        """Run candidates over the first part of the source, forwards and then backwards, so that drift hits all alike.

        Args:
            candidates: In any order.
            share: Of the source.
            step: Called with how much is done, 0..1.
        """
        seconds = max(self._least_s, share * self.length_s)
        runs: dict[Candidate, list[dict[str, Any]]] = {candidate: [] for candidate in candidates}
        for number in range(PASSES):
            for done, candidate in enumerate(candidates if number % 2 == 0 else reversed(candidates)):
                step((number + done / len(candidates)) / PASSES)
                if not any(run.get("error") for run in runs[candidate]):
                    runs[candidate].append(self._run(candidate, seconds, number))
        return [trial_of(candidate, seconds, each) for candidate, each in runs.items()]

    def at_the_clocks_speed(self, trial: Trial) -> Trial:
        """The same trial with what the candidate gives of a live source."""
        self.tell(f"{trial.candidate.name}, live")
        seconds = min(self.length_s, PACED_S)
        order = self.watched.order(trial.candidate, seconds) | {"streams": self.watched.streams}
        try:
            return with_paced(trial, self.runtimes.ask(trial.candidate.runtime, order))
        except TrialError as error:
            return replace(trial, error=str(error))

    @property
    def _least_s(self) -> float:
        """Of the source, so that a trial has a few windows."""
        window_s = next(iter(self.manifests.values())).preprocess.seconds
        return min(self.length_s or math.inf, window_s + 12 * self.watched.stride_s)

    def _watch_exactly(self, candidate: Candidate) -> None:
        self.tell(f"{candidate.name}, the most exact")
        watched = self.watched
        first = self.runtimes.ask(
            candidate.runtime, watched.order(candidate, min(watched.seconds, self._least_s))
        )
        windows = max(LEAST_WINDOWS, LONGEST_S * first["windows"] / first["wall_s"])
        length_s = min(watched.seconds, self._least_s + windows * watched.stride_s)
        files = {"embeddings": str(self.folder / "exact.npy"), "answers": str(self.folder / "answers.npz")}
        found = self.runtimes.ask(candidate.runtime, watched.order(candidate, length_s) | files)
        with np.load(files["answers"], allow_pickle=False) as held:
            answers = [held[f"q{number}"] for number in range(len(held.files))]
        self.exact = ExactAnswers(np.load(files["embeddings"], allow_pickle=False), answers)
        self.length_s = min(length_s, found["media_s"])

    def _run(self, candidate: Candidate, seconds: float, number: int) -> dict[str, Any]:
        what = {**candidate.to_dict(), "seconds": round(seconds, 3), "pass": number}
        if (found := self.kept.get(what)) is not None:
            return found
        self.tell(candidate.name)
        file = self.folder / "embeddings.npy"
        order = self.watched.order(candidate, seconds) | ({"embeddings": str(file)} if number == 0 else {})
        try:
            found = self.runtimes.ask(candidate.runtime, order)
        except TrialError as error:
            return {"error": str(error)}
        if number == 0 and self.exact is not None:
            found["lost"] = asdict(self.exact.lost_by(np.load(file, allow_pickle=False)))
            found["stored_points"] = self._stored(candidate)
        self.kept.put(what, found)
        return found

    def _stored(self, candidate: Candidate) -> float | None:
        assert self._most_exact is not None
        exact, mine = (self.manifests[each.runtime.bundle] for each in (self._most_exact, candidate))
        return stored_loss(exact.accuracy, mine.accuracy)
