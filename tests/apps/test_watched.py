"""`Watched` hands on what the source gives, shows it on the way, and ends when told."""

from __future__ import annotations

from pathlib import Path

import pytest

from vljepa_apps.watched import Watched
from vljepa_runtime.sources import Frame, Hints, Source, open_source


def indices(source: Source) -> list[int]:
    return [item.index for item in source if isinstance(item, Frame)]


def test_gives_what_the_source_gives(pictures: Path) -> None:
    with open_source(str(pictures)) as plain, Watched(open_source(str(pictures))) as watched:
        assert (watched.name, watched.live) == (plain.name, plain.live)
        assert indices(watched) == indices(plain) == list(range(12))


def test_shows_each_frame_before_it_goes_on(pictures: Path) -> None:
    seen: list[int] = []
    with Watched(open_source(str(pictures)), on_frame=lambda frame: seen.append(frame.index)) as watched:
        for item in watched:
            assert isinstance(item, Frame)
            assert seen[-1] == item.index
    assert seen == list(range(12))


@pytest.mark.parametrize(("watching", "asked"), [(False, 0.5), (True, None)], ids=["alone", "watched"])
def test_hints_go_down_unless_every_frame_is_wanted(
    watching: bool, asked: float | None, pictures: Path
) -> None:
    below = open_source(str(pictures))
    with Watched(below, on_frame=(lambda frame: None) if watching else None) as watched:
        watched.hints = Hints(min_interval_s=0.5)
        list(watched)
    assert below.hints.min_interval_s == asked


@pytest.mark.parametrize(("seconds", "count"), [(0.1, 1), (1.0, 4), (100.0, 12), (None, 12)])
def test_ends_after_so_many_seconds(seconds: float | None, count: int, pictures: Path) -> None:
    with Watched(open_source(str(pictures)), max_seconds=seconds) as watched:
        assert len(indices(watched)) == count


def test_the_last_picture_is_cut_where_watching_ends(pictures: Path) -> None:
    """Else a picture held for hours would last hours."""
    with Watched(open_source(str(pictures), fps=0.01), max_seconds=150.0) as watched:
        shown = [(i.time_s, i.duration_s) for i in watched if isinstance(i, Frame)]
    assert shown == [(0.0, 100.0), (100.0, 50.0)]
