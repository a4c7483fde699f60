"""What a line beside a bundle offers: what the tasks ask of a model, what can be timed, and what is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from vljepa_evaluation.tasks import Evaluable
from vljepa_runtime.preprocessing import Clip, Preprocess

if TYPE_CHECKING:
    from vljepa_apps.measure.latency import Cells

__all__ = ["Baseline", "Float32", "UInt8", "pictures"]

Float32 = npt.NDArray[np.float32]
UInt8 = npt.NDArray[np.uint8]


class Baseline(Evaluable, Protocol):
    """One line's model."""

    engine_name: str
    """What runs: library, version, type, threads."""
    has_decoder: bool
    """Whether it words anything."""

    @property
    def preprocess(self) -> Preprocess:
        """Which frames of a clip it takes and how they are fitted; `Unfitted` where it has a processor of its own."""

    def embed(self, frames: UInt8 | Clip, query: str | None = None) -> Float32:
        """A window: frames (T, H, W, 3) and a query -> what `predict` gives."""

    def cells(self, frames: UInt8) -> Cells:
        """What can be timed, named as a bundle's cells where it does the same work."""

    def facts(self) -> Mapping[str, Any]:
        """`parameters`, `size_bytes`, `precision` by part."""


def pictures(frames: UInt8 | Clip, count: int) -> UInt8:
    """`count` frames of a clip (T, H, W, 3), evenly spaced by number from first to last."""
    array = frames.frames if isinstance(frames, Clip) else frames
    taken: UInt8 = array[np.linspace(0, len(array) - 1, count).round().astype(int)]
    return taken
