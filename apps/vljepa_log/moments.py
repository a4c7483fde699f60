"""Windows that a search found, merged into moments: neighbours that say the same are one answer, not ten."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from vljepa_runtime.novelty import shown_text

__all__ = ["Moment", "merge"]

GAP_S = 2.0
"""Neighbours: the next one begins at most so long after the end, which covers a stride that was left out."""
MARGIN = 0.1
"""Of cosine: what is so much further from the words than the best window of a moment is no part of it."""


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

    def touches(self, other: Moment) -> bool:
        """Whether another one lies beside this moment, or in it, and says the same."""
        return (
            other.start_s <= self.end_s + GAP_S  # most are apart in time, so that comes first
            and self.start_s <= other.end_s + GAP_S
            and abs(self.score - other.score) <= MARGIN
            and self.stream == other.stream
            and self.query == other.query
        )

    def joined(self, other: Moment) -> Moment:
        """This moment with a lesser window of it."""
        return replace(
            self,
            start_s=min(self.start_s, other.start_s),
            end_s=max(self.end_s, other.end_s),
            time=max(self.time, other.time),
        )


def merge(windows: Iterable[Moment], *, limit: int) -> list[Moment]:
    """At most `limit` moments of windows, best first; no two of them touch."""
    found: list[Moment] = []
    for window in sorted(windows, key=lambda each: -each.score):
        joined = window
        while beside := next((each for each in found if each.touches(joined)), None):
            found.remove(beside)
            joined = beside.joined(joined) if beside.score >= joined.score else joined.joined(beside)
        found.append(joined)
    return sorted(found, key=lambda each: -each.score)[:limit]
