"""All tubelets of a window, or as many as a budget says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vljepa_runtime.arguments import number
from vljepa_runtime.errors import InputError
from vljepa_runtime.preprocessing.changes import Noise
from vljepa_runtime.preprocessing.patches import Clip
from vljepa_runtime.preprocessing.saliency import saliency

__all__ = ["AllTokens", "SalientTokens"]

Float32 = npt.NDArray[np.float32]
UInt8 = npt.NDArray[np.uint8]
Int32 = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class AllTokens:
    """Every tubelet."""

    def rank(self, clip: Clip, patches: UInt8, positions: Int32, noise: Noise) -> tuple[Float32, int]:
        """See `TokenPolicy`."""
        return np.ones(len(patches), np.float32), len(patches)


@dataclass(frozen=True, slots=True)
class SalientTokens:
    """As many tubelets as a budget says, those with structure or motion first.

    V-JEPA 2's encoder was trained on partial token sets; the shipped model was trained on random subsets and on subsets
    three quarters of which `saliency` chose.

    Args:
        budget: How many, or below 1 which share of the window's.

    Examples:
        >>> import vljepa_runtime as vj
        >>> model = vj.load("tiny")
        >>> [len(model.encode("clip.mp4", tokens=vj.SalientTokens(budget))) for budget in (96, 0.5)]
        [96, 128]
    """

    budget: float

    def __post_init__(self) -> None:
        budget = number(self.budget, "budget", above=0)
        if budget >= 1 and budget != int(budget):
            raise InputError(f"expected a budget of whole tokens, or a share below 1, got {budget:g}")

    def rank(self, clip: Clip, patches: UInt8, positions: Int32, noise: Noise) -> tuple[Float32, int]:
        """See `TokenPolicy`."""
        return saliency(patches, positions), self.count(len(patches))

    def count(self, of: int) -> int:
        """How many of so many tubelets.

        Raises:
            InputError: the budget is larger.
        """
        count = round(self.budget) if self.budget >= 1 else max(1, round(self.budget * of))
        if count > of:
            raise InputError(f"expected a budget of at most the window's {of} tokens, got {count}")
        return count
