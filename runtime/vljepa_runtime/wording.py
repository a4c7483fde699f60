"""Words for one stream: of a live one, a Y-decoder that fails costs the words and not the stream.

Knows no model and no event; what decodes is given to it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from vljepa_runtime.errors import EngineError

__all__ = ["Wording"]

FIRST_S = (
    10.0  # until it is tried again; doubles each time, for loading a decoder takes its time and memory, too
)
LONGEST_S = 600.0


class Wording:
    """Puts embeddings into words; where it goes on without, tries again after a while.

    Args:
        decode: What makes words of an embedding (S,).
        goes_on: Whether a failure costs the words alone; else it is raised.
        clock: Seconds, never backwards.
    """

    def __init__(
        self,
        decode: Callable[[npt.NDArray[np.float32]], str],
        *,
        goes_on: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._decode, self._goes_on, self._clock = decode, goes_on, clock
        self._wait_s = 0.0
        self._failed_s = self._again_s = float("-inf")

    def words(self, embedding: npt.NDArray[np.float32]) -> tuple[str | None, str]:
        """Words, None where there are none now; and what is to be told, empty for most.

        Raises:
            EngineError: the Y-decoder failed, and there is no going on without.
        """
        if self._wait_s and self._clock() < self._again_s:
            return None, ""
        try:
            words = self._decode(embedding)
        except (EngineError, MemoryError) as error:
            if not self._goes_on:
                raise
            return None, self._failed(error)
        told = ""
        if self._wait_s:
            told = f"restored: the Y-decoder gives words again, after {self._clock() - self._failed_s:.0f} s"
            self._wait_s = 0.0
        return words, told

    def _failed(self, error: Exception) -> str:
        now_s = self._clock()
        if not self._wait_s:
            self._failed_s = now_s
        self._wait_s = min(2 * self._wait_s, LONGEST_S) or FIRST_S
        self._again_s = now_s + self._wait_s
        why = f"{type(error).__name__}: {error}".removesuffix(": ")
        return (
            "warning: the Y-decoder failed, so segments come without words while embedding goes on; it is tried "
            f"again in {self._wait_s:.0f} s at the earliest: {why}"
        )
