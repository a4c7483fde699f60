"""The trace of one camera: how like each window is to what was put into words last."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt

from vljepa_runtime import Event
from vljepa_runtime.selection import THRESHOLD

__all__ = ["Trace"]

KEPT = 64  # windows, until they are taken

Float32 = npt.NDArray[np.float32]


class Trace:
    """Fed by the thread that runs the cameras, taken by the ticker."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._told: Float32 | None = None

    def add(self, *, at: float, embedding: Float32, unknown: bool | None) -> None:
        """Take the next window.

        Args:
            at: Wall clock of its end.
            embedding: (S,) of the first query.
            unknown: Whether it shows nothing that the model knows.
        """
        similarity = 1.0 if self._told is None else round(float(self._told @ embedding), 4)
        window = {
            "at": round(at, 3),
            "similarity": similarity,
            "opened": self._told is None or 1 - similarity > THRESHOLD,
            "decided": False,
            "unknown": unknown,
        }
        with self._lock:
            self._waiting.append(window)

    def decide(self, event: Event) -> None:
        """The newest window led to a segment: what comes is compared with what that one means."""
        if event.embedding is not None:
            self._told = np.array(event.embedding, np.float32)
        with self._lock:
            if self._waiting:
                self._waiting[-1]["decided"] = event.decoded

    def take(self) -> list[dict[str, Any]]:
        """What came since the last time."""
        with self._lock:
            found = [*self._waiting]
            self._waiting.clear()
        return found
