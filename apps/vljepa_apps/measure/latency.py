"""Time several subjects against each other in one run: they take turns, so that a slow minute hits all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

__all__ = ["Cells", "Latency", "alternate"]

Cells = Mapping[str, Callable[[], object]]
"""What can be timed of one subject, by name."""

ROUNDS = 60
WARMUP = 5
MAX_CELL_S = 30.0  # a slow cell gets fewer rounds


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Times of one cell of one subject.

    Attributes:
        p50_ms: Median.
        p95_ms: 95th percentile.
        low_ms: 25th percentile.
        high_ms: 75th percentile; with `low_ms` the spread.
        runs: Timed runs; warm-up is not among them.
        error: Why it was not measured; the numbers are then 0.
    """

    p50_ms: float = 0.0
    p95_ms: float = 0.0
    low_ms: float = 0.0
    high_ms: float = 0.0
    runs: int = 0
    error: str = ""


def alternate(
    subjects: Mapping[str, Cells],
    *,
    rounds: int = ROUNDS,
    warmup: int = WARMUP,
    max_cell_s: float = MAX_CELL_S,
    clock: Callable[[], float] = time.perf_counter,
    progress: Callable[[float, str], None] = lambda share, what: None,
) -> dict[str, dict[str, Latency]]:
    """Time every cell that any subject has; within a cell the subjects take turns, a different one first each round.

    Args:
        subjects: Per subject what can be timed of it.
        rounds: Timed runs per cell and subject.
        warmup: Runs of a cell that are not timed, before the others.
        max_cell_s: Stop a cell's rounds after this long.
        clock: Seconds; replaced in tests.
        progress: Called with the share done and the cell.

    Returns:
        Latency per subject and cell; a cell that fails carries its error, and the others go on.
    """
    names = list(dict.fromkeys(cell for cells in subjects.values() for cell in cells))
    results: dict[str, dict[str, Latency]] = {subject: {} for subject in subjects}
    for done, name in enumerate(names):
        progress(done / len(names), name)
        runners = {subject: cells[name] for subject, cells in subjects.items() if name in cells}
        for subject, latency in _cell(runners, rounds, warmup, max_cell_s, clock).items():
            results[subject][name] = latency
    return results


def _cell(
    runners: Mapping[str, Callable[[], object]],
    rounds: int,
    warmup: int,
    max_s: float,
    clock: Callable[[], float],
) -> dict[str, Latency]:
    times: dict[str, list[float]] = {subject: [] for subject in runners}
    errors: dict[str, str] = {}
    order = list(runners)
    begun = clock()
    for turn in range(warmup + rounds):
        for subject in order[turn % len(order) :] + order[: turn % len(order)]:
            if subject in errors:
                continue
            try:
                start = clock()
                runners[subject]()
                spent_ms = (clock() - start) * 1000
            except Exception as error:  # the cell is marked and the table goes on
                errors[subject] = f"{type(error).__name__}: {error}"
                continue
            if turn >= warmup:
                times[subject].append(spent_ms)
        if turn >= warmup and clock() - begun > max_s:
            break
    return {
        subject: Latency(error=errors[subject]) if subject in errors else summarise(spent)
        for subject, spent in times.items()
    }


def summarise(spent_ms: list[float]) -> Latency:
    """Percentiles of timed runs."""
    p25, p50, p75, p95 = np.percentile(spent_ms, (25, 50, 75, 95)).tolist()
    return Latency(p50_ms=p50, p95_ms=p95, low_ms=p25, high_ms=p75, runs=len(spent_ms))
