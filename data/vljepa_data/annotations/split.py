"""Part of one's own clips is held out by video: pieces of one video look alike, and would tell what they are."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path

from vljepa_data.annotations.example import Example
from vljepa_data.errors import AnnotationError

__all__ = ["split_by_video"]


def split_by_video(examples: Sequence[Example], share: float) -> tuple[list[Example], list[Example]]:
    """Hold whole videos out, from the text that most of the videos left begin with, so that few are told apart by luck.

    Which ones depends on names alone, so the same table gives the same parts again, wherever it lies.

    Args:
        examples: Texts about segments of at least two videos.
        share: Of the videos, above 0 and below 1; one at least is held out, and one is left.

    Returns:
        What is left, and what is held out, both in the order of `examples`.

    Raises:
        AnnotationError: there is one video only, or the share is none.

    Examples:
        >>> from pathlib import Path
        >>> from vljepa_data.annotations import Example, Segment, split_by_video
        >>> pieces = [(video, start_s) for video in "abcde" for start_s in (0, 2)]
        >>> examples = [Example(segment=Segment(Path(f"{v}.mp4"), s), text="a fall") for v, s in pieces]
        >>> learned, held_out = split_by_video(examples, 0.2)
        >>> len(learned), len(held_out), {example.segment.path.name for example in held_out}
        (8, 2, {'...mp4'})
    """
    videos = dict.fromkeys(example.segment.path for example in examples)
    if not 0 < share < 1:
        raise AnnotationError(f"expected a share of the videos above 0 and below 1, got {share:g}")
    if len(videos) < 2:
        raise AnnotationError(
            f"expected at least two videos, of which one can be held out, got {len(videos)}: add clips of others"
        )
    first = {example.segment.path: example.text for example in reversed(examples)}
    groups: dict[str, list[Path]] = {}
    for path in sorted(videos, key=_lot):
        groups.setdefault(first[path], []).append(path)
    held: set[Path] = set()
    for _ in range(min(max(1, math.floor(share * len(videos) + 0.5)), len(videos) - 1)):
        held.add(max(groups.values(), key=len).pop())
    return (
        [example for example in examples if example.segment.path not in held],
        [example for example in examples if example.segment.path in held],
    )


def _lot(path: Path) -> tuple[str, str]:
    """In an order that has to do with nothing."""
    return hashlib.sha256(path.name.encode("utf-8", "surrogateescape")).hexdigest(), str(path)
