"""What is asked about besides a text of a clip: texts that mean the same or not, and what led from state to state."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vljepa_data.annotations.example import Example, Segment

__all__ = ["Contrast", "Item", "Transition", "segments_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """Two texts that say the same of a picture, and a third that says something else in nearly the same words.

    Attributes:
        segment: The picture; texts are compared with each other where it is missing.
        same: Two texts that fit.
        other: One that does not.
        kind: What was changed in it, such as `swap_obj`.
    """

    segment: Segment
    same: tuple[str, str]
    other: str
    kind: str = ""

    def __post_init__(self) -> None:
        if not all(text.strip() for text in (*self.same, self.other)):
            raise ValueError("expected three texts that are not empty")


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """Two pictures, before and after, and the clips one of which shows what happened in between.

    Attributes:
        before: Picture of the first state.
        after: Picture of the last state.
        actions: Clips to choose from.
        right: Index of the one that was done.
        kind: Where it comes from, or what it is about.
    """

    before: Segment
    after: Segment
    actions: tuple[Segment, ...]
    right: int
    kind: str = ""

    def __post_init__(self) -> None:
        if len(self.actions) < 2 or not 0 <= self.right < len(self.actions):
            raise ValueError(
                f"expected two clips or more with the right one among them, got {len(self.actions)} and number "
                f"{self.right}"
            )


Item = Example | Contrast | Transition
"""One thing that a model is asked about."""


def segments_of(item: Item) -> tuple[Segment, ...]:
    """The clips and pictures that an item is about.

    Examples:
        >>> from pathlib import Path
        >>> from vljepa_data.annotations import Contrast, Segment, Transition, segments_of
        >>> picture = Segment(Path("1.jpg"))
        >>> segments_of(Contrast(segment=picture, same=("a cat", "one cat"), other="a dog"))
        (Segment(path=...Path('1.jpg'), start_s=0.0, end_s=None),)
        >>> clips = (Segment(Path("a.mp4")), Segment(Path("b.mp4")))
        >>> len(segments_of(Transition(before=picture, after=picture, actions=clips, right=0)))
        4
    """
    if isinstance(item, Transition):
        return (item.before, item.after, *item.actions)
    return (item.segment,)


def is_there(item: Item, known: dict[Path, bool]) -> bool:
    """Whether its files exist; `known` keeps what was looked at."""
    for segment in segments_of(item):
        if segment.path not in known:
            known[segment.path] = segment.path.is_file()
    return all(known[segment.path] for segment in segments_of(item))
