"""Windows that a search found, merged into moments: neighbours that say the same are one answer, not ten."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from vljepa_runtime.novelty import shown_text

__all__ = ["Moment", "distinct", "join", "merge"]

GAP_S = 2.0
"""Neighbours: the next one begins at most so long after the end, which covers a stride that was left out."""
MARGIN = 0.1
"""Of cosine: what is so much further from the words than the best window of a moment is no part of it."""
SHARED = 0.5
"""Of the shorter of two moments: where they share more of their time, they are the same one."""
APART_S = 60.0
"""By which the clocks of a stream's windows may differ; beyond, it began anew in between."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A part of a stream, and how near it is to what was searched for.

    Attributes:
        stream: Name of the stream.
        query: What its embedding answers.
        start_s: Begin, in stream time.
        end_s: End, in stream time.
        time: Its end by the wall clock, in seconds since 1970.
        score: Cosine of its best window.
        key: Of that window in the log.
        text: Its words, where some window of it was decoded; empty otherwise.
        unknown: Whether that window showed nothing that the model knew; None where nobody could tell.
    """

    stream: str
    query: str
    start_s: float
    end_s: float
    time: float
    score: float
    key: int
    text: str = ""
    unknown: bool | None = None

    @property
    def shown(self) -> str:
        """What people read of it."""
        return shown_text(self.text, unknown=self.unknown)

    @property
    def began(self) -> float:
        """Its begin by the wall clock, in seconds since 1970."""
        return self.time - (self.end_s - self.start_s)

    def touches(self, other: Moment) -> bool:
        """Whether another one lies beside this moment, or in it, and says the same."""
        return (
            other.start_s <= self.end_s + GAP_S  # most are apart in time, so that comes first
            and self.start_s <= other.end_s + GAP_S
            and abs(self.score - other.score) <= MARGIN
            and self._is_beside(other)
        )

    def holds(self, other: Moment) -> bool:
        """Whether another one lies in this moment."""
        return self.start_s <= other.start_s and other.end_s <= self.end_s and self._is_beside(other)

    def repeats(self, other: Moment) -> bool:
        """Whether it shows the time that another one shows, whatever was asked of it."""
        shared_s = min(self.time, other.time) - max(self.began, other.began)
        shorter_s = min(self.end_s - self.start_s, other.end_s - other.start_s)
        return shared_s > SHARED * shorter_s and self.stream == other.stream

    def _is_beside(self, other: Moment) -> bool:
        """Whether stream times of both mean the same run of the same stream, asked the same."""
        late_s = (self.time - self.end_s) - (other.time - other.end_s)
        return abs(late_s) <= APART_S and self.stream == other.stream and self.query == other.query

    def joined(self, other: Moment) -> Moment:
        """This moment with a lesser window of it."""
        return replace(
            self,
            start_s=min(self.start_s, other.start_s),
            end_s=max(self.end_s, other.end_s),
            time=max(self.time, other.time),
        )


def merge(windows: Iterable[Moment]) -> list[Moment]:
    """The moments that windows make, best first; no two of them touch."""
    found: list[Moment] = []
    for window in sorted(windows, key=_score, reverse=True):
        join(found, window)
    return sorted(found, key=_score, reverse=True)


def join(found: list[Moment], moment: Moment) -> None:
    """Add a moment to others; those that it touches become one with it."""
    while beside := next((each for each in found if each.touches(moment)), None):
        found.remove(beside)
        moment = beside.joined(moment) if beside.score >= moment.score else moment.joined(beside)
    found.append(moment)


def distinct(found: Sequence[Moment], *, limit: int, each_query: bool) -> list[Moment]:
    """At most `limit` of them, best first, without those that repeat a better one: the slopes of a peak.

    Args:
        found: Moments.
        limit: How many.
        each_query: What was asked differently is no repetition.
    """
    kept: list[Moment] = []
    for moment in sorted(found, key=_score, reverse=True):
        others = [better for better in kept if better.query == moment.query or not each_query]
        if len(kept) < limit and not any(moment.repeats(better) for better in others):
            kept.append(moment)
    return kept


def _score(moment: Moment) -> float:
    return moment.score
