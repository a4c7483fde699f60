"""The runs of a graph inside an engine's library, which have a time limit. Knows no engine."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from vljepa_runtime.errors import RunError
from vljepa_runtime.interruptible import interruptible

__all__ = ["Watch"]

T = TypeVar("T")

# Longer than any run here that came to an end: the largest X-encoder that was exported takes 20 s a window on one core.
RUN_LIMIT_S = 600.0
# What takes less is called directly from the second time on: a thread costs 0.05-0.1 ms, a decoder step 0.5 ms.
SLOW_S = 0.2


class Watch:
    """The runs of one graph: those of a graph that was quick last time are called directly.

    Args:
        what: Graph and engine, for the message.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._quick = False

    def run(self, work: Callable[[], T], stop: Callable[[], object]) -> T:
        """Do `work`, and call `stop` from another thread when it is not wanted any more.

        Raises:
            RunError: it did not return within `RUN_LIMIT_S`.
        """
        started = time.monotonic()
        if self._quick:
            result = work()
        else:
            result = interruptible(work, stop, limit_s=RUN_LIMIT_S, late=self._late, name=self._what)
        self._quick = time.monotonic() - started < SLOW_S
        return result

    def _late(self, limit_s: float) -> RunError:
        return RunError(
            f"{self._what} did not return within {limit_s:g} s: use a smaller model or window, or another --engine"
        )
