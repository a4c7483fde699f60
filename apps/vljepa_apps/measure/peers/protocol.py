"""What a peer's file gives: its graphs, each as a function of values in the order of the contract."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from vljepa_runtime import SessionStats

__all__ = ["Backend", "Float32", "Run", "UInt8"]

Float32 = npt.NDArray[np.float32]
UInt8 = npt.NDArray[np.uint8]
Run = Callable[[Sequence[Any]], Sequence[Any]]
"""Values of a graph's inputs, in their order -> those of its outputs, where and in the type that the library keeps."""


class Backend(Protocol):
    """Graphs of one workload in one library; as it stands here, of one that takes and gives NumPy's arrays."""

    detail: str
    """What runs: library, version, type, threads."""
    names: Collection[str]
    """The graphs that it has."""

    def graph(self, name: str) -> Run:
        """Load a graph."""

    def native(self, array: npt.NDArray[Any]) -> Any:
        """An array as the library takes it."""
        return array

    def numpy(self, value: Any) -> Float32:
        """The reverse; waits for the device."""
        return np.asarray(value, np.float32)

    def embed(self, frames: UInt8) -> Float32 | None:
        """A window through a way of its own; None takes the graphs one after the other."""
        return None

    def stream(self, path: str) -> SessionStats | None:
        """What a session makes of a video; None where the library has no such thing."""
        return None
