"""Whole videos are held out, the same ones wherever the table lies, of every label where there are enough."""

from __future__ import annotations

from pathlib import Path

import pytest

from vljepa_data.annotations import Example, Segment, split_by_video
from vljepa_data.errors import AnnotationError


def pieces(videos: int, labels: int, folder: str = "clips") -> list[Example]:
    """Three pieces of each video, which have one label."""
    return [
        Example(segment=Segment(Path(folder) / f"{video:03}.mp4", start_s), text=f"label {video % labels}")
        for start_s in (0.0, 1.0, 2.0)
        for video in range(videos)
    ]


@pytest.mark.parametrize(("videos", "share", "held"), [(2, 0.1, 1), (2, 0.9, 1), (10, 0.2, 2), (13, 0.25, 3)])
def test_a_video_is_in_one_part(videos: int, share: float, held: int) -> None:
    examples = pieces(videos, labels=2)
    learned, kept = split_by_video(examples, share)
    assert sorted([*learned, *kept], key=lambda e: e.segment) == sorted(examples, key=lambda e: e.segment)
    paths = [{example.segment.path for example in part} for part in (learned, kept)]
    assert not paths[0] & paths[1]
    assert (len(paths[1]), len(kept)) == (held, 3 * held)


def test_every_label_is_in_both_parts_where_there_are_enough_videos() -> None:
    for part in split_by_video(pieces(20, labels=4), 0.2):
        assert {example.text for example in part} == {f"label {i}" for i in range(4)}


def test_a_rare_label_stays_to_be_learned() -> None:
    examples = [*pieces(9, labels=1), Example(segment=Segment(Path("rare.mp4")), text="a rare one")]
    assert "a rare one" in {example.text for example in split_by_video(examples, 0.5)[0]}


def test_neither_order_nor_folder_decides() -> None:
    examples = pieces(10, labels=10)
    names = {example.segment.path.name for example in split_by_video(examples, 0.3)[1]}
    for other in (examples[::-1], pieces(10, labels=10, folder="elsewhere")):
        assert {example.segment.path.name for example in split_by_video(other, 0.3)[1]} == names
    others = {
        tuple(sorted({e.segment.path.name for e in split_by_video(pieces(n, 1), 0.3)[1]}))
        for n in (9, 10, 11)
    }
    assert len(others) > 1  # and it is not always the first ones


@pytest.mark.parametrize(
    ("examples", "share", "message"),
    [
        (pieces(1, 1), 0.5, "expected at least two videos, of which one can be held out, got 1"),
        (pieces(3, 1), 1.0, "expected a share of the videos above 0 and below 1, got 1"),
        (pieces(3, 1), 0.0, "above 0 and below 1, got 0"),
    ],
)
def test_what_cannot_be_split_is_refused(examples: list[Example], share: float, message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        split_by_video(examples, share)
