"""The time by which what is old goes: a wall clock that jumps has to be right for a while before anything goes by it.

A device without a battery for its clock has any time until the network tells it. What was recorded cannot be had
again, so a time that is far from what was expected is believed when it has stood for days of running; until then the
time goes on as it was.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from vljepa_runtime.errors import InputError, OutputError
from vljepa_runtime.files import check_record, parse_json, plain, read_record, replace_file

__all__ = ["RetentionClock"]

SETTLED_S = 7 * 86_400.0  # of running, or as long as things are kept where that is less
SLACK = 0.1  # of how long things are kept: a jump by less costs so much of their age at most


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    """What a restart has to know.

    Attributes:
        at: What the time is taken to be, in seconds since 1970.
        off_s: How far ahead of it the wall clock is; 0 where it is believed.
        left_s: How long it has to stand there yet.
    """

    at: float
    off_s: float = 0.0
    left_s: float = 0.0

    def __post_init__(self) -> None:
        check_record(self, error=InputError)


class RetentionClock:
    """Tells what the time is at least.

    Args:
        keep_s: How long things are kept, the shortest where there are several; decides what is a jump.
        newest: Wall clock of the newest thing that is kept, in seconds since 1970; None where there is none yet.
        file: Where it keeps what it knows over restarts; None knows nothing of what was before.
        wall: Wall clock, in seconds since 1970.
        steady: Seconds that nobody sets.

    Attributes:
        keep_s: See `keep_s`.

    Examples:
        >>> from vljepa_log import RetentionClock
        >>> wall, steady = [1000.0], [0.0]
        >>> clock = RetentionClock(keep_s=100, newest=None, wall=lambda: wall[0], steady=lambda: steady[0])
        >>> wall[0], steady[0] = 5000.0, 50.0  # it jumps ahead
        >>> clock.now()
        1050.0
        >>> wall[0], steady[0] = 5110.0, 160.0  # and stands
        >>> clock.now()
        5110.0
    """

    def __init__(
        self,
        *,
        keep_s: float,
        newest: float | None,
        file: Path | None = None,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self.keep_s = keep_s
        self._settled_s, self._slack_s = min(keep_s, SETTLED_S), SLACK * keep_s
        self._file, self._wall, self._steady = file, wall, steady
        found = self._read()
        self._state = self._written = found or _State(at=wall() if newest is None else newest)
        self._looked = steady()
        if found is None:
            self._write()

    def now(self) -> float:
        """The time, in seconds since 1970; never ahead of the wall clock."""
        wall, steady = self._wall(), self._steady()
        self._state = self._next(wall, max(0.0, steady - self._looked))
        self._looked = steady
        waits = self._state.left_s != self._written.left_s
        if waits or self._state.at - self._written.at > self._slack_s / 2:  # disks wear out
            self._write()
        return min(wall, self._state.at)

    def _next(self, wall: float, passed_s: float) -> _State:
        """What is known after so long."""
        at = self._state.at + passed_s
        off_s = wall - at
        if abs(off_s) <= self._slack_s:
            return _State(at=wall)
        is_same = self._state.left_s > 0 and abs(off_s - self._state.off_s) <= self._slack_s
        left_s = self._state.left_s - passed_s if is_same else self._settled_s
        return _State(at=wall) if left_s <= 0 else _State(at=at, off_s=off_s, left_s=left_s)

    def _read(self) -> _State | None:
        if self._file is not None:
            with suppress(OSError, InputError, ValueError):
                return read_record(_State, parse_json(self._file.read_bytes()), "clock", error=InputError)
        return None

    def _write(self) -> None:
        """A disk that is full lets a restart begin to wait anew, and nothing else."""
        self._written = self._state
        if self._file is not None:
            with suppress(OSError, OutputError):
                replace_file(self._file, json.dumps(plain(self._state)).encode())
