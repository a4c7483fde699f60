"""What a candidate gave in real runs, and whether that is what was wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from vljepa_apps.measure.tune.agreement import Lost
from vljepa_apps.measure.tune.candidates import Candidate

__all__ = ["Paced", "Targets", "Trial", "trial_of", "with_paced"]

DROPPED = 0.01  # share of the windows at the speed of the clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Paced:
    """A candidate at the speed of the clock.

    Attributes:
        p95_ms: 95th percentile of the time from when a window's last frame was due to when all that it gives was told.
        windows: How many there were, of all streams.
        dropped: How many more were replaced by a newer one before their turn came.
    """

    p95_ms: float
    windows: int
    dropped: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One candidate, over all runs of one length.

    Attributes:
        candidate: What was tried.
        seconds: Of the source.
        windows: How many were timed in each run.
        windows_per_s: As fast as it goes, reading the source included.
        p50_ms: Median of the time from a window's last frame to when all that it gives was told.
        p95_ms: 95th percentile of the same.
        unworded_p95_ms: The same without the making of words.
        cpu_ms: Processor time a window takes, all threads together.
        carried: Share of the windows that kept an embedding.
        lost: What it lost against the most exact candidate; None where nothing was compared.
        stored_points: Points that its bundle's stored accuracy lies below that of the most exact one; None where
            neither bundle holds any.
        paced: At the speed of the clock; None where it did not come to that.
        error: Why it does not run; the numbers are then 0.
    """

    candidate: Candidate
    seconds: float = 0.0
    windows: int = 0
    windows_per_s: float = 0.0
    p50_ms: float = 0.0
    p95_ms: float = 0.0
    unworded_p95_ms: float = 0.0
    cpu_ms: float = 0.0
    carried: float = 0.0
    lost: Lost | None = None
    stored_points: float | None = None
    paced: Paced | None = None
    error: str = ""

    @property
    def points(self) -> float:
        """Accuracy that may be lost: what was measured here or what the bundles say, whichever is more."""
        return max(0.0, self.lost.points if self.lost else 0.0, self.stored_points or 0.0)

    @property
    def least_points(self) -> float:
        """The same at the lower end of what so few windows can say."""
        return max(0.0, self.lost.low_points if self.lost else 0.0, self.stored_points or 0.0)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return {**asdict(self), "candidate": self.candidate.to_dict(), "points": self.points}


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """What has to be kept.

    Attributes:
        fps: Windows a second of each stream.
        max_ms: 95th percentile from a window's last frame to when all that it gives was told.
        max_drop: Points of accuracy that may be lost against the most exact candidate.
        streams: How many there are side by side.
    """

    fps: float
    max_ms: float
    max_drop: float
    streams: int = 1

    @property
    def windows_per_s(self) -> float:
        """Of all streams together."""
        return self.fps * self.streams

    def shortfall(self, trial: Trial, *, points: float | None = None) -> float:
        """How far a trial is from what has to be kept, as a share of it; 0 where it keeps all.

        Args:
            trial: That ran.
            points: What it is said to have lost; None takes what was measured.
        """
        if trial.error:
            return float("inf")
        slow = self.windows_per_s / max(trial.windows_per_s, 1e-9) - 1
        late = trial.p95_ms / self.max_ms - 1
        lost = (trial.points if points is None else points) - self.max_drop
        return max(0.0, slow, late, lost)

    def keeps(self, trial: Trial) -> bool:
        """Whether all is kept, at the speed of the clock too where that was tried."""
        paced = trial.paced
        in_time = paced is None or (
            paced.p95_ms <= self.max_ms and paced.dropped <= DROPPED * (paced.windows + paced.dropped)
        )
        return self.shortfall(trial) == 0 and in_time


def trial_of(candidate: Candidate, seconds: float, runs: Sequence[Mapping[str, Any]]) -> Trial:
    """Several runs of one candidate over the same part of the source as one.

    Of times the best run counts, number by number: whatever else the machine is at can only make them worse.

    Args:
        candidate: What ran.
        seconds: Of the source.
        runs: As `trial_process` gives them; with `lost` where embeddings were compared, or with `error`.
    """
    if failed := next((run["error"] for run in runs if run.get("error")), ""):
        return Trial(candidate=candidate, seconds=seconds, error=failed)
    lost = runs[0].get("lost")
    return Trial(
        candidate=candidate,
        seconds=seconds,
        windows=runs[0]["windows"],
        windows_per_s=max(run["windows"] / run["wall_s"] for run in runs),
        p50_ms=min(percentile(run["latencies_ms"], 50) for run in runs),
        p95_ms=min(percentile(run["latencies_ms"], 95) for run in runs),
        unworded_p95_ms=min(percentile(run["unworded_ms"], 95) for run in runs),
        cpu_ms=min(1000 * run["cpu_s"] / run["windows"] for run in runs),
        carried=float(runs[0]["carried"]),
        lost=None if lost is None else Lost(**lost),
        stored_points=runs[0].get("stored_points"),
    )


def percentile(values: Sequence[float], rank: float) -> float:
    """A percentile, 0 of nothing."""
    return float(np.percentile(values, rank)) if values else 0.0


def with_paced(trial: Trial, found: Mapping[str, Any]) -> Trial:
    """The same with what it gave at the speed of the clock."""
    paced = Paced(p95_ms=found["p95_ms"], windows=found["windows"], dropped=found["dropped"])
    return replace(trial, paced=paced)
