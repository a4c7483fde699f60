"""What a selection policy sees and gives. Knows embeddings and times; no model, no frames, no text."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vljepa_runtime.arguments import array
from vljepa_runtime.errors import InputError

__all__ = [
    "Decision",
    "Floats",
    "Observation",
    "Policy",
    "State",
    "change_since",
    "distance",
    "observe",
    "unit",
]

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Observation:
    """One window of a stream.

    Attributes:
        index: Number of the window.
        start_s: Time of its first frame.
        end_s: Time of its last frame.
        embedding: (S,) predicted embedding.
        held: 0 where it shows several pictures. Else one picture is on show from `start_s` to `end_s`, however
            long, and this many windows that show nothing else were made one.
        tokens: (Dv,) its visual tokens, see `pool_tokens`, for a policy whose `feature` is `tokens`.
    """

    index: int
    start_s: float
    end_s: float
    embedding: npt.NDArray[np.floating]
    held: int = 0
    tokens: Floats | None = None

    @property
    def time_s(self) -> float:
        """Middle of the window."""
        return (self.start_s + self.end_s) / 2

    @property
    def weight(self) -> int:
        """How many windows of the stride it stands for."""
        return max(1, self.held)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decision:
    """A segment whose embedding is to be decoded, or that comes with its text.

    Attributes:
        start_s: Where the segment starts: that of its first window, or for a causal policy where the last window
            without it ended, which is nearer to the change.
        end_s: Where the last window known when it was decided ends; a causal policy decides before the
            segment is over.
        time_s: What moment the embedding stands for.
        embedding: (S,) float32, L2-normalised.
        change: Cosine distance to the embedding decoded before; None for the first, and of labels and states.
        score: How well `text` was found to fit; None where nothing was compared.
        text: What it means, where no decoding is needed to say it.
        merged: Further segments that a budget folded into this one.
    """

    start_s: float
    end_s: float
    time_s: float
    embedding: Floats
    change: float | None = None
    score: float | None = None
    text: str | None = None
    merged: int = 0


class State(Protocol):
    """The policy's memory of one stream and one query."""

    def push(self, observation: Observation) -> list[Decision]:
        """Take the next window, in time order; give the segments to decode now."""
        ...

    def finish(self) -> list[Decision]:
        """The stream ended; give what is pending."""
        ...


class Policy(Protocol):
    """Options shared by all streams; immutable."""

    def start(self) -> State:
        """A fresh state for one stream."""
        ...


def unit(vector: npt.NDArray[np.floating]) -> Floats:
    """The vector at length 1, in float32; a zero vector stays zero."""
    norm = math.sqrt(float(vector @ vector))
    return np.asarray(vector / norm if norm > 0 else vector, np.float32)


def distance(one: Floats, other: Floats | None) -> float:
    """Cosine distance of two unit vectors, 0..2; 1.0 when there is no other."""
    return 1.0 if other is None else max(0.0, 1.0 - float(one @ other))


def change_since(one: Floats, before: Floats | None) -> float | None:
    """Cosine distance to what was decoded before; None for the first."""
    return None if before is None else distance(one, before)


def observe(
    embeddings: npt.NDArray[np.floating], times_s: npt.NDArray[np.floating], *, window_s: float = 0.0
) -> Iterator[Observation]:
    """Turn a recorded sequence into observations.

    Args:
        embeddings: (T, S).
        times_s: (T,) middles of the windows, ascending.
        window_s: Length of each window.

    Raises:
        InputError: the shapes do not belong together, or times go back.
    """
    embeddings, times_s = array(embeddings, "embeddings"), array(times_s, "times_s")
    if embeddings.ndim != 2 or times_s.shape != (len(embeddings),):
        raise InputError(
            f"expected embeddings (T, S) and times (T,), got {embeddings.shape} and {times_s.shape}"
        )
    if len(times_s) and bool((np.diff(times_s) < 0).any()):
        raise InputError("expected times in ascending order: sort the sequence by time")
    for index, (time_s, embedding) in enumerate(zip(times_s.tolist(), embeddings)):
        half = window_s / 2
        yield Observation(index=index, start_s=time_s - half, end_s=time_s + half, embedding=embedding)
