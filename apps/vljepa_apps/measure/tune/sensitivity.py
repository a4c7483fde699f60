"""How sensitive selection is for a number of decodings, from an unlabelled recording, and what is to be expected."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vljepa_evaluation.metrics import rate_of
from vljepa_runtime import OnlineSelection, TunedSelection
from vljepa_runtime.errors import InputError
from vljepa_runtime.novelty import JudgedWindows
from vljepa_runtime.selection import Observation, calibrate_observed

if TYPE_CHECKING:
    from vljepa_evaluation.metrics import Estimate
    from vljepa_runtime import DeviceProfile, Model, Window
    from vljepa_runtime.selection import Decision

__all__ = ["Expected", "find_sensitivity"]

Float32 = npt.NDArray[np.float32]
LEAST_LIMIT = 1e-4
NEXT = 0.995  # of the limit that was found, to within 0.1 %
FAR = 0.75
ENOUGH = 10  # segments in the recording: with fewer the interval spans a factor of four


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What was found.

    Attributes:
        selection: For the profile.
        minutes: Length of the recording.
        segments: How many the policy gave there.
        unknown: How many of them show nothing that the model knows, and are not put into words.
        rate: Segments a minute, with the interval that so many leave.
        told_after_s: Median time from when a segment begins to when it is told.
        next_per_minute: What the next more sensitive setting gives, which is more than was wanted.
        most_per_minute: What the most sensitive setting gives.
    """

    selection: TunedSelection
    minutes: float
    segments: int
    unknown: int
    rate: Estimate
    told_after_s: float | None
    next_per_minute: float
    most_per_minute: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return asdict(self)


@dataclass(slots=True)
class Recording:
    """The windows of a recording as selection sees them."""

    seen: list[Observation] = field(default_factory=list)
    judged: list[tuple[float, bool | None, int]] = field(default_factory=list)

    def take(self, window: Window, row: Float32) -> None:
        """The next window."""
        one = Observation(
            index=window.index, start_s=window.start_s, end_s=window.end_s, embedding=row, held=window.held
        )
        self.seen.append(one)
        self.judged.append((one.time_s, window.unknown, one.weight))

    def told_by(self, policy: OnlineSelection) -> list[tuple[Decision, float]]:
        """What a policy gives, each with when."""
        state, found = policy.start(), list[tuple[Any, float]]()
        for one in self.seen:
            found += [(decision, one.end_s) for decision in state.push(one)]
        return found + [(decision, self.seen[-1].end_s) for decision in state.finish()]

    def unknown(self, decisions: Sequence[Decision]) -> int:
        """How many of the segments show nothing that the model knows."""
        judged = JudgedWindows()
        waiting, count = [*self.judged], 0
        for decision in sorted(decisions, key=lambda each: each.end_s):
            while waiting and waiting[0][0] <= decision.end_s:
                time_s, unknown, weight = waiting.pop(0)
                judged.add(time_s, unknown, weight=weight)
            count += bool(judged.unknown(decision.start_s, decision.end_s))
        return count


def find_sensitivity(
    model: Model,
    recording: str | Path,
    profile: DeviceProfile,
    *,
    per_minute: float,
    query: str | None = None,
    seconds: float | None = None,
    on_time: Callable[[float], object] = lambda time_s: None,
) -> Expected:
    """Look at a recording once, and choose the most sensitive setting that stays within so many segments a minute.

    Args:
        model: That the profile is of.
        recording: What `open_source` takes.
        profile: How the model runs: stride and tokens.
        per_minute: Segments, which are decodings where the model knows what they show.
        query: Asked of every window; None is the bundle's caption prompt.
        seconds: Of the recording; None looks at all of it.
        on_time: Called with how far it is.

    Raises:
        InputError: it has fewer than two windows.
    """
    windows = watch(model, recording, profile, query=query, seconds=seconds, on_time=on_time)
    if len(windows.seen) < 2:
        raise InputError(
            f"expected a recording of 2 windows or more, {recording} has {len(windows.seen)}: a longer one"
        )
    asked = query or model.prompts["caption"]
    known = model.boundaries.nets_of(asked) if model.boundaries is not None else ()
    nets = tuple(net for net in known if net.fits(profile.stride_s))
    policy = calibrate_observed(windows.seen, per_minute, base=OnlineSelection(boundaries=nets))
    limit = policy.boundary if nets else policy.least_change
    found = windows.told_by(policy)
    minutes = (windows.seen[-1].end_s - windows.seen[0].start_s) / 60
    return Expected(
        selection=TunedSelection(
            query=asked,
            threshold=None if nets else limit,
            boundary=limit if nets else None,
            per_minute=per_minute,
            found_per_minute=len(found) / minutes,
        ),
        minutes=minutes,
        segments=len(found),
        unknown=windows.unknown([decision for decision, _ in found]),
        rate=rate_of(len(found), minutes),
        told_after_s=float(np.median([told_s - each.start_s for each, told_s in found])) if found else None,
        next_per_minute=len(windows.told_by(policy.limited(max(LEAST_LIMIT, NEXT * limit)))) / minutes,
        most_per_minute=len(windows.told_by(policy.limited(LEAST_LIMIT))) / minutes,
    )


def watch(
    model: Model,
    recording: str | Path,
    profile: DeviceProfile,
    *,
    query: str | None,
    seconds: float | None,
    on_time: Callable[[float], object],
) -> Recording:
    """The windows of a recording, as a session of the profile cuts and embeds them."""
    kept = Recording()

    def take(window: Window, asked: str, row: Float32) -> None:
        kept.take(window, row)
        on_time(window.end_s)

    options = {"stride_s": profile.stride_s, "tokens": profile.tokens, "carry_s": profile.carry_s}
    with model.session(query=query, decode="never", select="uniform:3600", **options) as session:  # type: ignore[arg-type]
        for _ in session.run(recording, max_seconds=seconds, on_window=take):
            pass
    return kept


def told(found: Expected) -> list[str]:
    """What was found and what to expect, for people."""
    chosen, rate = found.selection, found.rate
    setting = (
        f"threshold {chosen.threshold:.4f}" if chosen.boundary is None else f"boundary {chosen.boundary:.4f}"
    )
    interval = f"95 %: {rate_text(rate.low)} to {rate_text(rate.high)}"
    lines = [
        f"selection: {setting}, for {rate_text(chosen.per_minute)}",
        f"  {found.segments} segments in {found.minutes:.1f} minutes: expect {rate_text(rate.value)} ({interval})",
    ]
    if found.told_after_s is not None:
        lines.append(f"  told {found.told_after_s:.1f} s after they begin (median)")
    if found.unknown:
        lines.append(
            f"  {found.unknown} of them show nothing that the model knows, and are not put into words"
        )
    if found.most_per_minute < 0.9 * chosen.per_minute:
        lines.append(
            f"  the recording never changes more often than {rate_text(found.most_per_minute)}: the budget is no "
            "limit there"
        )
    elif found.rate.value < FAR * chosen.per_minute and found.next_per_minute > chosen.per_minute:
        lines.append(
            f"  the next more sensitive setting gives {rate_text(found.next_per_minute)}, which is too many"
        )
    if chosen.per_minute * found.minutes < 1:
        wanted = 1 / chosen.per_minute
        lines.append(
            f"  so short a recording cannot show so few: at least {wanted:.0f} minutes would be needed, "
            f"{ENOUGH * wanted:.0f} to be sure"
        )
    elif found.segments < ENOUGH:
        lines.append("  so few segments leave the rate open: a longer recording says more")
    return lines


def rate_text(per_minute: float) -> str:
    """`6 a minute`, or of less than one `30 an hour`."""
    return f"{per_minute:.3g} a minute" if per_minute >= 1 else f"{60 * per_minute:.3g} an hour"
