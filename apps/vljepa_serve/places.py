"""How many may do something at once; one more is told to come again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from vljepa_serve.errors import ServeError

__all__ = ["Places"]


class Places:
    """A number of places.

    Args:
        count: How many there are.
        what: Who takes them, for the sentence.
    """

    def __init__(self, count: int, what: str) -> None:
        self._count, self._what = count, what
        self._free, self._lock = count, threading.Lock()

    @property
    def used(self) -> int:
        """How many are taken."""
        return self._count - self._free

    def check(self) -> None:
        """See that one is free.

        Raises:
            ServeError: all are taken.
        """
        if self._free <= 0:
            sentence = f"There are {self._count} {self._what} already: close one, or try again later."
            raise ServeError(503, sentence, headers={"Retry-After": "5"})

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Take one while inside.

        Raises:
            ServeError: all are taken.
        """
        with self._lock:
            self.check()
            self._free -= 1
        try:
            yield
        finally:
            with self._lock:
                self._free += 1
