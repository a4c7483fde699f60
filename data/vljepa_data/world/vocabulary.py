"""The words of the procedural world, and which combinations of them are never trained on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = [
    "ACTIONS", "COLOURS", "COUNTS", "DIGITS", "DIRECTED", "PAIRED", "PROMPTS", "SHAPES", "SIZES",
    "SWIFT", "TEXTURES", "Event", "Split", "Thing", "is_held_out",
]  # fmt: skip

SHAPES = ("ball", "box", "triangle", "star", "cross", "ring", "heart", "moon")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "white", "black")
SIZES = ("small", "large")
TEXTURES = ("plain", "striped", "spotted")
ACTIONS = (
    "enter",
    "leave",
    "roll",
    "bounce",
    "jump",
    "fall",
    "turn",
    "grow",
    "collide",
    "pass",
    "stack",
    "stay",
)
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
COUNTS = ("one", "two", "three", "four")

DIRECTED = frozenset({"enter", "leave", "roll", "collide", "pass"})
"""Actions whose caption names a direction."""
PAIRED = frozenset({"collide", "pass", "stack"})
"""Actions that need a second object."""
SWIFT = ("enter", "leave", "jump", "fall", "turn", "grow")
"""Actions that fit into half a window, for clips in which two things happen."""

PROMPTS = {
    "caption": "Describe this video in one sentence.",
    "classify": "What is the action shown?",
    "retrieval": "Describe this video in detail.",
}
"""The paper's printed prompts (arXiv 2512.10942, Fig. 2), one per kind of text."""


class Split(str, Enum):
    """Where a clip belongs. Splits never share a seed; `COMPOSITION` holds only combinations never trained on."""

    TRAIN = "train"
    TEST = "test"
    COMPOSITION = "composition"

    @property
    def stream(self) -> int:
        """A number that keeps the random streams of the splits apart."""
        return list(Split).index(self)


@dataclass(frozen=True, slots=True)
class Thing:
    """One object; fields index SHAPES, COLOURS, SIZES and TEXTURES."""

    shape: int
    colour: int
    size: int = 1
    texture: int = 0


@dataclass(frozen=True, slots=True)
class Event:
    """Something an actor does.

    Attributes:
        actor: Who does it.
        action: One of ACTIONS.
        direction: `left` or `right`, the way the actor moves, where the action is directed; else empty.
        other: The second object of a paired action.
    """

    actor: Thing
    action: str
    direction: str = ""
    other: Thing | None = None


def is_held_out(thing: Thing, action: str) -> bool:
    """Whether shape x colour x action is one of the 96 of 768 combinations left out of training.

    Every pair (shape, colour), (shape, action) and (colour, action) still occurs in training.
    """
    return (thing.shape + 3 * thing.colour + 5 * ACTIONS.index(action)) % 8 == 0
