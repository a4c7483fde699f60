"""What makes taught states worse than they look: few examples, the same one twice, states that look alike."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import numpy.typing as npt

from vljepa_runtime import HeldOut
from vljepa_runtime.states import Feature
from vljepa_teach.windows import ENOUGH, Windows

__all__ = ["warnings_of"]

Floats = npt.NDArray[np.float64]
NEAR = 0.05
"""Of the median distance between examples: what is nearer shows the same moment."""
ALIKE = 0.35
"""Share of two states' examples that are taken for the other one; guessing gives a half."""


def warnings_of(windows: Windows, feature: Feature, held_out: HeldOut) -> Iterator[str]:
    """One sentence each, what matters most first."""
    for label, name in enumerate(windows.names):
        count = len(np.unique(windows.examples[windows.labels == label]))
        if count < ENOUGH:
            yield (
                f"{name} has {count} example{'s' if count > 1 else ''}: pieces of it are left out instead, which "
                "look alike, so it will do worse than is said here; show it at other times"
            )
    yield from _near(windows, windows.features[feature])
    yield from _alike(windows, held_out)


def _near(windows: Windows, rows: Floats) -> Iterator[str]:
    """Examples that are nearly the same: twice the work, or two names for one thing."""
    distances = np.sqrt(np.maximum(2 - 2 * rows @ rows.T, 0))
    other = windows.examples[:, None] != windows.examples[None, :]
    if not other.any():
        return
    near = other & (distances <= NEAR * np.median(distances[other]))
    same = windows.labels[:, None] == windows.labels[None, :]
    for one, two in combinations(range(len(windows.names)), 2):
        found = near & (windows.labels[:, None] == one) & (windows.labels[None, :] == two)
        if count := len(np.unique(windows.examples[found.any(1)])):
            yield (
                f"{count} of {windows.names[one]} nearly equal examples of {windows.names[two]}: "
                "is one of them in the wrong place?"
            )
    for label, name in enumerate(windows.names):
        own = windows.labels == label
        if count := len(np.unique(windows.examples[(near & same).any(1) & own])):
            yield f"{count} examples of {name} are nearly the same as another of it: they count as one"


def _alike(windows: Windows, held_out: HeldOut) -> Iterator[str]:
    """Pairs of states that leaving out cannot tell apart."""
    table = np.array(held_out.confusion)
    for one, two in combinations(range(len(windows.names)), 2):
        mixed = table[one, two] + table[two, one]
        told = mixed + table[one, one] + table[two, two]
        if told and mixed / told >= ALIKE:
            yield (
                f"{windows.names[one]} and {windows.names[two]} cannot be told apart ({mixed} of {told} mixed up): "
                "make them one state, or show what differs larger in the picture"
            )
