"""What a timeline shows, as data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
import numpy.typing as npt

__all__ = ["Bar", "Match", "Timeline"]

UInt8 = npt.NDArray[np.uint8]


class Match(str, Enum):
    """How well a decoded text agrees with the truth; `NONE` where there is no truth."""

    EXACT = "exactly"
    PARTLY = "partly"
    MISSED = "no"
    NONE = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A text that holds from `start_s` to `end_s`."""

    start_s: float
    end_s: float
    text: str
    match: Match = Match.NONE
    unknown: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Everything that is drawn.

    Attributes:
        title: The first line.
        notes: Lines below it.
        seconds: Length of the stream.
        truth: What really happened; empty when unknown.
        decoded: What was said, with how well it matches.
        decodings_s: When the Y-decoder ran.
        windows_s: When a window was complete: what decoding each of them would cost.
        picture: Gives the small picture nearest to a time, None without one.
    """

    title: str
    notes: Sequence[str] = ()
    seconds: float
    truth: Sequence[Bar] = ()
    decoded: Sequence[Bar] = ()
    decodings_s: Sequence[float] = ()
    windows_s: Sequence[float] = ()
    picture: Callable[[float], UInt8 | None] = field(default=lambda time_s: None)
