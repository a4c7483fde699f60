"""What to do where nothing that was tried is good enough, and which bundles were not there to be tried."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from vljepa_apps.measure.tune.trials import Targets, Trial
from vljepa_runtime import Manifest, VljepaError, open_engine
from vljepa_runtime.engines import available_engines

__all__ = ["nothing_keeps", "possible_exports"]

ROOM = 0.9  # of what was measured, for what is advised


def nothing_keeps(trials: Sequence[Trial], wanted: Targets) -> list[str]:
    """What comes nearest, and which of the targets one would have to let go, by how much."""
    ran = [trial for trial in trials if not trial.error]
    if not ran:
        return []
    near = min(ran, key=wanted.shortfall)
    told = (
        f"{near.windows_per_s:.1f} windows a second, p95 {near.p95_ms:.0f} ms, {near.points:.2f} points lost"
    )
    lines = [f"nearest: {near.candidate.name}: {told}"]
    for trial in ran:
        if wanted.shortfall(trial) == 0 and trial.paced is not None:
            lines.append(
                f"{trial.candidate.name} keeps it as fast as it goes, but live it took {trial.paced.p95_ms:.0f} ms "
                f"(p95) and lost {trial.paced.dropped} windows: is the machine busy with something else?"
            )
    if ways := [*_ways(ran, wanted)]:
        lines.append(f"it would do: {'; or '.join(ways)}")
    return lines


def _ways(ran: Sequence[Trial], wanted: Targets) -> Iterator[str]:
    """Options that would let something qualify, one target at a time."""

    def others(trial: Trial, *, fast: bool = True, soon: bool = True, exact: bool = True) -> bool:
        return (
            (not fast or trial.windows_per_s >= wanted.windows_per_s)
            and (not soon or trial.p95_ms <= wanted.max_ms)
            and (not exact or trial.points <= wanted.max_drop)
        )

    def best(key: Callable[[Trial], float], **left_out: bool) -> Trial | None:
        return min((trial for trial in ran if others(trial, **left_out)), key=key, default=None)

    if (
        trial := best(lambda each: -each.windows_per_s, fast=False)
    ) and trial.windows_per_s < wanted.windows_per_s:
        yield f"--fps {_down(ROOM * trial.windows_per_s / wanted.streams)} ({trial.candidate.name})"
    if (trial := best(lambda each: each.p95_ms, soon=False)) and trial.p95_ms > wanted.max_ms:
        yield f"--max-ms {math.ceil(trial.p95_ms / ROOM)} ({trial.candidate.name})"
    if (trial := best(lambda each: each.points, exact=False)) and trial.points > wanted.max_drop:
        yield f"--max-drop {math.ceil(10 * trial.points) / 10:g} ({trial.candidate.name})"
    unworded = [
        trial for trial in ran if others(trial, soon=False) and trial.unworded_p95_ms <= wanted.max_ms
    ]
    if unworded and not any(others(trial) for trial in ran):
        trial = min(unworded, key=lambda each: each.unworded_p95_ms)
        yield f"--decode never, without words p95 is {trial.unworded_p95_ms:.0f} ms ({trial.candidate.name})"


def _down(value: float) -> str:
    """A rate of two digits, rounded down."""
    digits = 10 ** (math.floor(math.log10(max(value, 1e-6))) - 1)
    return f"{math.floor(value / digits + 1e-9) * digits:.2g}"


def starts(target: str) -> bool:
    """Whether an engine for such bundles starts on this machine; its library alone is not enough."""
    try:
        open_engine(target=target)
    except VljepaError:
        return False
    return True


def possible_exports(manifests: Mapping[str, Manifest]) -> list[str]:
    """Bundles of the same checkpoint that suit this machine and were not given, as commands.

    Of each format that runs here its default precision, which is its quickest; for a GPU on ONNX Runtime fp16.
    """
    from vljepa_export import FORMATS

    here = available_engines()
    given = {(each.target, label) for each in manifests.values() for label in each.precision.values()}
    checkpoint = "tiny" if any(each.name == "tiny" for each in manifests.values()) else "CHECKPOINT"
    found = []
    for row in FORMATS.values():
        if starts(row.name):
            name = "fp16" if row.name == "onnx" and "onnxruntime:cuda" in here else row.precisions[0]
            if (row.name, row.precision(name).label) not in given:
                found.append(f"vljepa export {checkpoint} --format {row.name} --precision {name}")
    return found
