"""`Watched` hands on what the source gives, shows it on the way, and ends when told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from vljepa_apps.watched import Watched
from vljepa_runtime.errors import SourceError
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


def test_a_part_without_a_frame_is_an_error() -> None:
    class Late:
        name, live, hints = "late", False, Hints()

        def __iter__(self) -> Iterator[Frame]:
            yield Frame(image=np.zeros((2, 2, 3), np.uint8), time_s=4.0, index=0, duration_s=0.04)

        def close(self) -> None:
            pass

    with pytest.raises(SourceError, match="late gave no frame in 2 s"):
        list(Watched(Late(), max_seconds=2.0))  # type: ignore[arg-type]


def test_a_thinned_source_ends_to_the_frame() -> None:
    """The frames between the last one given and the end were left out."""

    class Thinned:
        name, live, hints = "thinned", False, Hints(min_interval_s=0.25)

        def __iter__(self) -> Iterator[Frame]:
            for index in range(8):
                yield Frame(
                    image=np.zeros((2, 2, 3), np.uint8), time_s=index * 0.25, index=index * 6, duration_s=0.04
                )

        def close(self) -> None:
            pass

        __enter__ = __exit__ = None

    with_end = [i for i in Watched(Thinned(), max_seconds=1.2) if isinstance(i, Frame)]  # type: ignore[arg-type]
    assert (with_end[-1].time_s, with_end[-1].duration_s) == (1.0, pytest.approx(0.2))
    assert [i.duration_s for i in with_end[:-1]] == [0.04] * 4
