"""A moment's name: camera, begin and end in whole milliseconds since 1970. Whoever has it can ask for it again."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vljepa_serve.errors import ServeError

__all__ = ["LATEST", "LONGEST_S", "MomentId"]

LATEST = 253_402_300_799.0  # the last second of the year 9999
LONGEST_S = 86_400.0
NAME = re.compile(r"([^@/\x00-\x1f\x7f]{1,200})@([0-9]{1,15})-([0-9]{1,15})")


@dataclass(frozen=True, slots=True, kw_only=True)
class MomentId:
    """A part of a camera's time.

    Attributes:
        camera: Its id, which is the stream's name in the log.
        start: Begin, in seconds since 1970.
        end: End.

    Examples:
        >>> from vljepa_serve.archive import MomentId
        >>> moment = MomentId(camera="door", start=1700000000.25, end=1700000004.0)
        >>> str(moment), MomentId.parse(str(moment)) == moment
        ('door@1700000000250-1700000004000', True)
    """

    camera: str
    start: float
    end: float

    @classmethod
    def parse(cls, name: str) -> MomentId:
        """Read a name.

        Raises:
            ServeError: it is none, ends before it begins, or is longer than a day.
        """
        found = NAME.fullmatch(name)
        if not found:
            raise ServeError(
                404,
                f"Expected a moment such as door@1700000000000-1700000004000, got {name[:80]!r}.",
                field="moment",
            )
        start, end = int(found[2]) / 1000, int(found[3]) / 1000
        if not start <= end <= min(start + LONGEST_S, LATEST):
            raise ServeError(404, "A moment ends after it begins, within a day.", field="moment")
        return cls(camera=found[1], start=start, end=end)

    @property
    def middle(self) -> float:
        """Between begin and end."""
        return (self.start + self.end) / 2

    def __str__(self) -> str:
        return f"{self.camera}@{_milliseconds(self.start)}-{_milliseconds(self.end)}"


def _milliseconds(seconds: float) -> int:
    return max(0, round(seconds * 1000))
