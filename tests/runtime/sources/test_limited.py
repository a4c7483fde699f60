"""A source read up to a time hands on what it gives, shows it on the way, and ends when told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from vljepa_runtime.errors import SourceError
from vljepa_runtime.sources import EVERY_FRAME, Frame, Hints, Source, open_source
from vljepa_runtime.sources.limited import limited_frames

IMAGE = np.zeros((2, 2, 3), np.uint8)


class Given(Source):
    """These frames; remembers what was asked for."""

    name = "given"

    def __init__(self, *frames: Frame) -> None:
        self.asked: list[Hints] = []
        self._frames = frames

    def frames(self, hints: Hints = EVERY_FRAME) -> Iterator[Frame]:
        self.asked.append(hints)
        return iter(self._frames)

    def close(self) -> None:
        pass


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of twelve pictures: a source of 3 seconds at 4 a second."""
    for index in range(12):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.full((8, 12, 3), 10 * index, np.uint8))
    return tmp_path


def frames(source: Source, hints: Hints = EVERY_FRAME, **options: Any) -> list[Frame]:
    with source:
        return [i for i in limited_frames(source, hints, **options) if isinstance(i, Frame)]


def test_gives_what_the_source_gives(pictures: Path) -> None:
    assert [frame.index for frame in frames(open_source(pictures))] == list(range(12))


def test_shows_each_frame_before_it_goes_on(pictures: Path) -> None:
    seen: list[int] = []
    for item in limited_frames(open_source(pictures), EVERY_FRAME, on_frame=lambda f: seen.append(f.index)):
        assert isinstance(item, Frame)
        assert seen[-1] == item.index
    assert seen == list(range(12))


@pytest.mark.parametrize(("watching", "asked"), [(False, 0.5), (True, None)], ids=["alone", "watched"])
def test_hints_go_down_unless_every_frame_is_wanted(watching: bool, asked: float | None) -> None:
    source, hints = Given(), Hints(min_interval_s=0.5, wake_s=0.25)
    frames(source, hints, on_frame=(lambda frame: None) if watching else None)
    assert source.asked == [Hints(min_interval_s=asked, wake_s=0.25)]


@pytest.mark.parametrize(("seconds", "count"), [(0.1, 1), (1.0, 4), (100.0, 12), (None, 12)])
def test_ends_after_so_many_seconds(seconds: float | None, count: int, pictures: Path) -> None:
    assert len(frames(open_source(pictures), max_seconds=seconds)) == count


def test_the_last_picture_is_cut_where_the_time_is_up(pictures: Path) -> None:
    """Else a picture held for hours would last hours."""
    shown = frames(open_source(pictures, fps=0.01), max_seconds=150.0)
    assert [(frame.time_s, frame.duration_s) for frame in shown] == [(0.0, 100.0), (100.0, 50.0)]


def test_a_part_without_a_frame_is_an_error() -> None:
    late = Given(Frame(image=IMAGE, time_s=4.0, index=0, duration_s=0.04))
    with pytest.raises(SourceError, match="given gave no frame in 2 s"):
        frames(late, max_seconds=2.0)


def test_a_thinned_source_ends_to_the_frame() -> None:
    """The frames between the last one given and the end were left out."""
    thinned = Given(*(Frame(image=IMAGE, time_s=n * 0.25, index=n * 6, duration_s=0.04) for n in range(8)))
    shown = frames(thinned, Hints(min_interval_s=0.25), max_seconds=1.2)
    assert (shown[-1].time_s, shown[-1].duration_s) == (1.0, pytest.approx(0.2))
    assert [frame.duration_s for frame in shown[:-1]] == [0.04] * 4
