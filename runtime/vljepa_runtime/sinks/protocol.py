"""What a sink is. Each writes a file that can be used at any moment of the run, and after a kill."""

from __future__ import annotations

from abc import abstractmethod

from vljepa_runtime.closing import Closing
from vljepa_runtime.events import Event

__all__ = ["Sink"]


class Sink(Closing):
    """Takes events until it is closed."""

    @abstractmethod
    def write(self, event: Event) -> None:
        """Take an event.

        Raises:
            OutputError: it cannot be written.
        """
