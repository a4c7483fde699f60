"""Time several subjects against each other in one run: they take turns, so that a slow minute hits all alike."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from vljepa_evaluation.metrics import Estimate, median_of

__all__ = ["Cells", "Latency", "alternate", "times_faster"]

Cells = Mapping[str, Callable[[], object]]
"""What can be timed of one subject, by name."""

ROUNDS = 60
WARMUP = 5
MAX_CELL_S = 30.0  # a slow cell gets fewer rounds
SEED = 20251210
Times = dict[str, list[float]]


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
        times_ms: Of each timed run, in the order of the rounds.
    """

    p50_ms: float = 0.0
    p95_ms: float = 0.0
    low_ms: float = 0.0
    high_ms: float = 0.0
    runs: int = 0
    error: str = ""
    times_ms: tuple[float, ...] = ()


def alternate(
    subjects: Mapping[str, Cells],
    *,
    rounds: int = ROUNDS,
    warmup: int = WARMUP,
    max_cell_s: float = MAX_CELL_S,
    clock: Callable[[], float] = time.perf_counter,
    spent: Callable[[Callable[[], object]], float] | None = None,
    progress: Callable[[float, str], None] = lambda share, what: None,
) -> dict[str, dict[str, Latency]]:
    """Time every cell that any subject has; within a cell the subjects take turns.

    Each pair of rounds has an order of its own, drawn at random, and runs it forwards and then backwards: whatever
    the one before leaves behind (caches, threads that still spin) and whatever drifts hits all subjects alike.

    Args:
        subjects: Per subject what can be timed of it.
        rounds: Timed runs per cell and subject.
        warmup: Runs of a cell that are not timed, before the others.
        max_cell_s: Stop a cell's rounds after this long.
        clock: Seconds; replaced in tests.
        spent: Runs a call and says how many seconds that took, where the clock of this process is not the right one.
        progress: Called with the share done and the cell.

    Returns:
        Latency per subject and cell; a cell that fails carries its error, and the others go on.
    """
    names = list(dict.fromkeys(cell for cells in subjects.values() for cell in cells))
    results: dict[str, dict[str, Latency]] = {subject: {} for subject in subjects}
    for done, name in enumerate(names):
        progress(done / len(names), name)
        runners = {subject: cells[name] for subject, cells in subjects.items() if name in cells}
        timed = spent or partial(_by_clock, clock=clock)
        for subject, latency in _cell(runners, rounds, warmup, max_cell_s, clock, timed).items():
            results[subject][name] = latency
    return results


def times_faster(base: Latency, mine: Latency) -> Estimate | None:
    """How many times faster than the base: the median over pairs of rounds, with its interval.

    Args:
        base: What is compared with.
        mine: Of a subject that took turns with it.

    Returns:
        None where either was not timed.
    """
    mine_ms, base_ms = np.array(mine.times_ms), np.array(base.times_ms)
    shared = min(mine_ms.size, base_ms.size)
    whole = shared // 2 * 2 or shared  # a single round stands alone
    if not whole or min(mine_ms.min(), base_ms.min()) <= 0:
        return None
    gaps = np.log(base_ms[:whole] / mine_ms[:whole]).reshape(-1, min(whole, 2)).mean(axis=1)
    found = median_of(gaps)
    value, low, high = (math.exp(each) for each in (found.value, found.low, found.high))
    return Estimate(value=value, low=low, high=high, n=found.n)


def _cell(
    runners: Mapping[str, Callable[[], object]],
    rounds: int,
    warmup: int,
    max_s: float,
    clock: Callable[[], float],
    spent: Callable[[Callable[[], object]], float],
) -> dict[str, Latency]:
    times: Times = {subject: [] for subject in runners}
    errors: dict[str, str] = {}
    random, order = np.random.default_rng(SEED), list(runners)
    begun = clock()
    for turn in range(-warmup, rounds):
        forwards = turn % 2 == 0
        if turn >= 0 and forwards:
            if turn and clock() - begun > max_s:
                break
            random.shuffle(order)
        for subject in order if forwards else reversed(order):
            if subject not in errors:
                _timed(subject, runners[subject], times if turn >= 0 else None, errors, spent)
    return {
        subject: Latency(error=errors[subject]) if subject in errors else summarise(spent)
        for subject, spent in times.items()
    }


def _timed(
    subject: str,
    call: Callable[[], object],
    times: Times | None,
    errors: dict[str, str],
    spent: Callable[[Callable[[], object]], float],
) -> None:
    """Run once and keep the time, or what went wrong: the cell is marked and the table goes on."""
    try:
        spent_ms = spent(call) * 1000
    except Exception as error:
        errors[subject] = f"{type(error).__name__}: {error}"
        return
    if times is not None:
        times[subject].append(spent_ms)


def _by_clock(call: Callable[[], object], *, clock: Callable[[], float]) -> float:
    begun = clock()
    call()
    return clock() - begun


def summarise(spent_ms: Sequence[float]) -> Latency:
    """Percentiles of timed runs."""
    p25, p50, p75, p95 = np.percentile(spent_ms, (25, 50, 75, 95)).tolist()
    return Latency(
        p50_ms=p50, p95_ms=p95, low_ms=p25, high_ms=p75, runs=len(spent_ms), times_ms=tuple(spent_ms)
    )
