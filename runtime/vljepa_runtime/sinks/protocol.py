"""What a sink is. Each writes a file that can be used at any moment of the run, and after a kill."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from vljepa_runtime.closing import Closing
from vljepa_runtime.events import Event
from vljepa_runtime.sources.protocol import Frame

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from vljepa_runtime.preprocessing import Window

__all__ = ["Sink"]


class Sink(Closing):
    """Takes events until it is closed, and frames or windows where it wants them.

    Examples:
        >>> from vljepa_runtime import Event
        >>> from vljepa_runtime.sinks import Sink
        >>> class Printer(Sink):
        ...     def write(self, event):
        ...         print(event.kind, event.text)
        ...
        ...     def close(self):
        ...         print("closed")
        >>> with Printer() as sink:
        ...     sink.write(Event(stream="door", kind="alert", text="a ball falls"))
        alert a ball falls
        closed
    """

    @property
    def takes_frames(self) -> bool:
        """Whether every frame is to be given to `write_frame`."""
        return False

    @property
    def takes_windows(self) -> bool:
        """Whether every window is to be given to `write_window`."""
        return False

    @abstractmethod
    def write(self, event: Event) -> None:
        """Take an event.

        Raises:
            OutputError: it cannot be written.
        """

    def write_frame(self, frame: Frame) -> None:
        """Take a frame, before the events that it leads to.

        Raises:
            OutputError: it cannot be written.
        """

    def write_window(
        self, stream: str, window: Window, query: str, embedding: npt.NDArray[np.float32]
    ) -> None:
        """Take a window of a stream with its embedding (S,) for a query, before the events that it leads to.

        Raises:
            OutputError: it cannot be written.
        """
