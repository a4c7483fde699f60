"""What holds files, threads or connections, and lets them go at the end of a `with` block."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import TypeVar

__all__ = ["Closing"]

T = TypeVar("T", bound="Closing")


class Closing(ABC):
    """Used in a `with` block, at whose end it is closed; after an error, abandoned."""

    @abstractmethod
    def close(self) -> None:
        """Let go of everything; a second time does nothing."""

    def abandon(self) -> None:
        """Let go of everything after an error, where that is something else than to close."""
        self.close()

    def __enter__(self: T) -> T:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()
