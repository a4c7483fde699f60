"""What a log lets go as it grows old: windows that repeat the one before them, then whole parts."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vljepa_log.store import Store
from vljepa_runtime import InputError

__all__ = ["Freed", "Retention", "apply_retention"]

SHARE = 1 / 32  # of a log's time that goes at once while it is too large
MOST_S = 86_400.0  # so much at most, unless nothing lies there: the time of a log may have jumped by years


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long what is kept.

    Attributes:
        max_age_s: Windows, events and thumbnails older than this go; None keeps them.
        max_bytes: The oldest go until the log takes no more than this; None sets no limit.
        thin_after_s: Windows older than this are thinned; None thins none.
        thin_within: Cosine distance from the first of a run within which the windows after it say the same.
    """

    max_age_s: float | None = None
    max_bytes: int | None = None
    thin_after_s: float | None = None
    thin_within: float = 0.02

    def __post_init__(self) -> None:
        for name in ("max_age_s", "max_bytes", "thin_after_s"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise InputError(f"expected {name} above 0, or None for no limit, got {value!r}")
        if not 0 <= self.thin_within < 1:
            raise InputError(f"expected thin_within from 0 to below 1, got {self.thin_within!r}")

    @property
    def shortest_s(self) -> float | None:
        """After so long something is let go for its age; None where nothing is."""
        return min((age for age in (self.max_age_s, self.thin_after_s) if age is not None), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Freed:
    """What was let go.

    Attributes:
        windows: How many went, over all.
        thinned: How many of these because a window before them says the same.
        bytes: Less on disk than before.
    """

    windows: int
    thinned: int
    bytes: int


def apply_retention(store: Store, retention: Retention, *, now: float) -> Freed:
    """Let go what is too old or too much, in steps that a killed process leaves whole.

    Args:
        store: Opened to be written.
        retention: What is kept.
        now: Wall clock, in seconds since 1970.
    """
    before = store.bytes()
    thinned = removed = 0
    if retention.max_age_s is not None:
        removed += store.forget(now - retention.max_age_s)
    if retention.thin_after_s is not None:
        thinned = store.thin(until=now - retention.thin_after_s, within=retention.thin_within)
    store.tidy()
    if retention.max_bytes is not None:
        removed += _shrink(store, retention.max_bytes)
    return Freed(windows=removed + thinned, thinned=thinned, bytes=max(0, before - store.bytes()))


def _shrink(store: Store, most: int) -> int:
    """Remove the oldest until it is small enough."""
    removed, times = 0, 1
    while store.bytes() > most and (held := store.held()):
        first, last = min(each.first for each in held), max(each.last for each in held)
        step_s = times * min(SHARE * (last - first), MOST_S)
        gone = store.forget(first + step_s if step_s < last - first else math.nextafter(last, math.inf))
        store.tidy()
        removed += gone
        times = 1 if gone else 2 * times  # a part goes where half of it does
    return removed
