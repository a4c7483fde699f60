"""How each stream of a group fares. Knows no source."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from vljepa_runtime.preprocessing.health import PictureState
from vljepa_runtime.statistics import SessionStats

__all__ = ["StreamState", "StreamStats"]

StreamState = Literal["opening", "running", "reconnecting", "ended", "stopped", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamStats:
    """What one stream of a group did so far, and how it is.

    Attributes:
        state: `opening` until its first picture, then `running`; `reconnecting` while it is lost; at last `ended`,
            `stopped` (before its end) or `failed`.
        live: Whether it has no end of its own; None until it is open.
        dropped: Windows of a live stream that a newer one replaced before their turn came.
        left_out: Windows of a live stream that were not predicted because the group was slowed (`SessionGroup.slow`).
        reconnects: How often it was lost, or was not there yet.
        delay_p50_ms: Median time from when a window was complete to when its prediction was there.
        delay_p95_ms: 95th percentile of the same.
        session: Counts and times, as of a stream alone; `busy_s` is the sum of its stages.
        error: Why it failed, empty if it did not.
        picture: Whether the pictures of a live stream are frozen or black.
        attempt: Of a connection that is lost or was not there yet, how often it was tried; 0 while it is there.
        retry_at: When it is tried again, in seconds since 1970; None while it is there.
        lost: Why it is tried again, empty while it is there.
    """

    state: StreamState
    live: bool | None
    dropped: int
    reconnects: int
    delay_p50_ms: float
    delay_p95_ms: float
    session: SessionStats
    error: str = ""
    picture: PictureState = field(default_factory=PictureState)
    attempt: int = 0
    retry_at: float | None = None
    lost: str = ""
    left_out: int = 0
