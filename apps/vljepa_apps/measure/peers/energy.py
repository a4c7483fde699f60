"""Joules of a call, where the machine has a sensor: the counters of x86 processors, or the power meter of a board.

They tell of the whole package or board, whoever uses it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from vljepa_serve.power import power_w

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["POWERCAP", "joules_of"]

POWERCAP = Path("/sys/class/powercap")
EVERY_S = 0.05  # between looks at a power meter
MICRO = 1e-6


def joules_of(
    call: Callable[[], object],
    *,
    seconds: float,
    powercap: Path = POWERCAP,
    watts: Callable[[], float | None] = power_w,
) -> float | None:
    """Of one call, which runs again and again for so long; None where nothing can be read.

    Args:
        call: What is measured.
        seconds: For how long, at least one call.
        powercap: Where the system shows energy counters (RAPL).
        watts: What a power meter says; asked where there is no counter.
    """
    counters = _counters(powercap)
    if not counters and watts() is None:
        return None
    before = [_micro_joules(counter) for counter in counters]
    with _looked_at(None if counters else watts) as found:
        calls, spent_s = _repeated(call, seconds)
    if not counters:
        return spent_s * sum(found) / len(found) / calls
    spent = [_grown(counter, value) for counter, value in zip(counters, before)]
    return sum(spent) * MICRO / calls


def _repeated(call: Callable[[], object], seconds: float) -> tuple[int, float]:
    """How often it ran, and how long that took."""
    begun, calls = time.perf_counter(), 0
    while True:
        call()
        calls += 1
        if (spent := time.perf_counter() - begun) >= seconds:
            return calls, spent


def _counters(powercap: Path) -> list[Path]:
    """One for each processor package that can be read; what they hold inside counts in them."""
    found = []
    for path in sorted(powercap.glob("*/energy_uj")):
        try:
            if path.with_name("name").read_text().startswith("package"):
                _micro_joules(path)  # the system lets only root read it, by default
                found.append(path)
        except (OSError, ValueError):
            continue
    return found


def _micro_joules(counter: Path) -> int:
    return int(counter.read_text())


def _grown(counter: Path, before: int) -> int:
    """By how much a counter grew; it may have begun anew once."""
    spent = _micro_joules(counter) - before
    return spent if spent >= 0 else spent + int(counter.with_name("max_energy_range_uj").read_text())


@contextmanager
def _looked_at(watts: Callable[[], float | None] | None) -> Iterator[list[float]]:
    """What a power meter says while the block runs."""
    if watts is None:
        yield []
        return
    found, done = [watts() or 0.0], threading.Event()

    def look() -> None:
        while not done.wait(EVERY_S):
            found.append(watts() or 0.0)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        done.set()
        thread.join()
