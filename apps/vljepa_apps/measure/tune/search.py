"""Successive halving: all on a small part of the source, the better half on more of it, the last few on the whole.

First engines and threads, with every tubelet; token policies are tried for those that are worth it, and carrying where
the source stands still. (Jamieson and Talwalkar, AISTATS 2016; here in seconds of video.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from vljepa_apps.measure.tune.candidates import CARRY_S, Candidate
from vljepa_apps.measure.tune.measuring import Measuring
from vljepa_apps.measure.tune.trials import Targets, Trial

__all__ = ["Outcome", "Search"]

RUNTIMES, POLICIES, MIDDLE, WHOLE = 1 / 8, 1 / 4, 1 / 2, 1.0  # shares of the source
DONE = {
    RUNTIMES: (0.1, 0.25),
    POLICIES: (0.25, 0.5),
    MIDDLE: (0.5, 0.7),
    WHOLE: (0.7, 0.9),
}  # of all, by then
FASTER = 4.0  # than with all tubelets: the most that token policies and carrying gave (docs/tokens.md)
NOISE = 0.3  # of what has to be kept, on a part of the source
FINALISTS = 4
SECOND_LOOKS = 3  # at what was dropped, where none of the finalists keeps all
NEAR = 0.05  # shares of processor time that are not worth accuracy
STILL = 0.05  # share of the windows that carrying must have saved to be tried further


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was tried.

    Attributes:
        trials: The longest of each candidate, in the order of the search.
        chosen: The cheapest that keeps all; None where none does.
        exact: The most exact candidate.
    """

    trials: tuple[Trial, ...]
    chosen: Trial | None
    exact: Candidate


@dataclass(slots=True)
class Search:
    """Finds the cheapest candidate that keeps the targets.

    Attributes:
        measuring: Runs candidates.
        targets: What has to be kept.
        policies: Token policies for each bundle, by its path.
        carries_s: For how long windows may keep an embedding.
        step: Called with how much is done, 0..1.
    """

    measuring: Measuring
    targets: Targets
    policies: Mapping[str, Sequence[str]]
    carries_s: Sequence[float] = (0.0, CARRY_S)
    step: Callable[[float], object] = lambda share: None
    _trials: dict[Candidate, Trial] = field(default_factory=dict, init=False)

    def run(self, runtimes: Sequence[Candidate]) -> Outcome:
        """Search.

        Args:
            runtimes: Every engine and number of threads of every bundle, the most exact first.

        Raises:
            TrialError: none of them runs.
        """
        exact = self.measuring.watch_exactly(runtimes)
        kept = self._halved(self._measured(runtimes, RUNTIMES), least=2, patience=FASTER)
        kept = self._halved(self._measured(self._with_policies(kept), POLICIES))
        kept = self._halved(self._measured(self._with_carrying(kept), MIDDLE), most=FINALISTS)
        finals = self._measured([trial.candidate for trial in kept], WHOLE)
        chosen = self._chosen(finals)
        for _ in range(SECOND_LOOKS):
            chosen = chosen or self._chosen(self._overlooked())
        return Outcome(trials=tuple(self._trials.values()), chosen=chosen, exact=exact)

    def _measured(self, candidates: Iterable[Candidate], share: float) -> list[Trial]:
        begin, end = DONE.get(share, (0.0, 1.0))
        found = self.measuring.measure(
            [*candidates], share, lambda part: self.step(begin + (end - begin) * part)
        )
        for trial in found:
            self._trials.pop(trial.candidate, None)  # what was tried longest stands last
            self._trials[trial.candidate] = trial
        return found

    def _halved(
        self,
        trials: Sequence[Trial],
        *,
        least: int = FINALISTS,
        patience: float = 1.0,
        most: int | None = None,
    ) -> list[Trial]:
        """The better half: mostly of those that keep all, some of the cheaper ones that may keep all on more windows.

        The one that loses least is always among them, since a few windows flatter the others. Of those that neither
        noise nor a token policy could help none is left, unless there is nothing else.

        Args:
            trials: Of one length.
            least: Fields of so many are not halved.
            patience: How many times faster each may yet become.
            most: Never more than these.
        """
        running = [trial for trial in trials if not trial.error]
        hopeful = [trial for trial in running if self._least_short(trial) <= (1 + NOISE) * patience - 1]
        if not hopeful:
            return sorted(running, key=self._least_short)[:1]
        count = min(max(least, math.ceil(len(hopeful) / 2)), most or len(hopeful))
        sure = sorted(filter(self.targets.keeps, hopeful), key=lambda trial: trial.cpu_ms)
        unsure = sorted(
            (trial for trial in hopeful if trial not in sure),
            key=lambda trial: (self.targets.shortfall(trial), trial.cpu_ms),
        )
        safest = min(sure or hopeful, key=safety)
        kept = [safest, *sure[: max(1, count * 2 // 3)], *unsure, *sure]
        return [*{trial.candidate: trial for trial in kept}.values()][:count]

    def _least_short(self, trial: Trial) -> float:
        """How far it is from what has to be kept, where the windows that it lost were bad luck."""
        return self.targets.shortfall(trial, points=trial.least_points)

    def _with_policies(self, trials: Iterable[Trial]) -> Iterable[Candidate]:
        for trial in trials:
            plain = trial.candidate
            yield from plain.with_tokens(self.policies[plain.runtime.bundle], self.carries_s[:1])
            yield from plain.with_tokens(self.policies[plain.runtime.bundle][:1], self.carries_s[1:])

    def _with_carrying(self, trials: Sequence[Trial]) -> Iterable[Candidate]:
        """Where the source stands still for a while, carrying with each policy that may do: dear ones become cheap."""
        kept = [trial.candidate for trial in trials]
        runtimes = {candidate.runtime for candidate in kept}
        tried = [
            each for each in self._trials.values() if each.candidate.runtime in runtimes and not each.error
        ]
        if not any(each.carried > STILL for each in tried if each.candidate.carry_s):
            return kept
        exact = [each.candidate for each in tried if each.points <= self.targets.max_drop]
        carrying = [
            candidate
            for plain in dict.fromkeys([*kept, *exact])
            for candidate in plain.with_tokens([plain.tokens], self.carries_s[1:])
        ]
        return dict.fromkeys([*kept, *carrying])

    def _overlooked(self) -> list[Trial]:
        """The cheapest and the safest that kept all on a part of the source and were dropped, on the whole of it."""
        dropped = [each for each in self._trials.values() if each.paced is None and self.targets.keeps(each)]
        if not dropped:
            return []
        best = min(dropped, key=lambda trial: trial.cpu_ms), min(dropped, key=safety)
        return self._measured(dict.fromkeys(trial.candidate for trial in best), WHOLE)

    def _chosen(self, finals: Sequence[Trial]) -> Trial | None:
        """The best that keeps all at the speed of the clock, too."""
        left = [trial for trial in finals if self.targets.keeps(trial)]
        while left:
            best = preferred(left)
            left.remove(best)
            lived = self.measuring.at_the_clocks_speed(best)
            self._trials[best.candidate] = lived
            if self.targets.keeps(lived):
                return lived
        return None


def safety(trial: Trial) -> tuple[float, float, float]:
    """The smallest is the one that more windows will hardly prove wrong."""
    cosine = trial.lost.cosine_p1 if trial.lost else 0.0
    return trial.points, -round(cosine, 3), trial.cpu_ms


def preferred(trials: Sequence[Trial]) -> Trial:
    """The cheapest; of those that are nearly as cheap the one that loses least, then the quickest."""
    least = min(trial.cpu_ms for trial in trials)
    near = [trial for trial in trials if trial.cpu_ms <= (1 + NEAR) * least]
    return min(near, key=lambda trial: (trial.points, trial.p95_ms))
