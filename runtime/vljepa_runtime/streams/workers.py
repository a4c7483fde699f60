"""Threads that predict, and the windows that they are given. Knows no stream; what waits for whom is the group's."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeVar

from vljepa_runtime.predicting import PredictedWindow, PreparedWindow, predict_windows

if TYPE_CHECKING:
    from vljepa_runtime.model import Model

__all__ = ["Outcome", "Workers", "predict_each"]

T = TypeVar("T")
Outcome = PredictedWindow | Exception


class Workers(Generic[T]):
    """A few threads that do one job after another and say so.

    Args:
        count: How many.
        changed: Notified after each job.
        name: Of the threads.
    """

    def __init__(self, count: int, changed: threading.Condition, *, name: str = "predict") -> None:
        self._changed = changed
        self._jobs: SimpleQueue[Callable[[], T] | None] = SimpleQueue()
        self._done: deque[T] = deque()
        self.idle = self._count = count
        for number in range(
            count
        ):  # they must not keep the interpreter from its end, whatever an engine does
            threading.Thread(target=self._work, name=f"{name} {number}", daemon=True).start()

    @property
    def busy(self) -> bool:
        """Whether a job is in work, or done and not taken."""
        return self.idle < self._count or bool(self._done)

    def submit(self, job: Callable[[], T]) -> None:
        """Have a job done; while holding `changed`."""
        self._jobs.put(job)
        self.idle -= 1

    def take(self) -> T | None:
        """The result of a job that is done; while holding `changed`."""
        return self._done.popleft() if self._done else None

    def close(self) -> None:
        """Let the threads end after the job they are at."""
        for _ in range(self._count):
            self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            result = job()
            with self._changed:
                self.idle += 1
                self._done.append(result)
                self._changed.notify_all()


def predict_each(model: Model, windows: Sequence[PreparedWindow], queries: Sequence[str]) -> list[Outcome]:
    """A prediction or its failure per window; what fails as a batch is tried window by window."""
    try:
        return [*predict_windows(model, windows, queries)]
    except Exception as error:  # the group's to tell
        if len(windows) == 1:
            return [error]
        return [outcome for window in windows for outcome in predict_each(model, [window], queries)]
