"""What a sink is. Each writes a file that can be used at any moment of the run, and after a kill."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, runtime_checkable

from vljepa_runtime.events import Event

__all__ = ["Sink"]


@runtime_checkable
class Sink(Protocol):
    """Takes events until it is closed; used in a `with` block."""

    def write(self, event: Event) -> None: ...

    def close(self) -> None: ...

    def __enter__(self) -> Sink: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
