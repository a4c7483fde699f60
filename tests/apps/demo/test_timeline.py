"""The timeline picture: rows, tracks, marks and letters, judged by their pixels."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from vljepa_apps.demo import lettering
from vljepa_apps.demo.lettering import text_width, wrapped, write
from vljepa_apps.demo.timeline import Bar, Match, Thumbnails, Timeline, draw_timeline, save_png
from vljepa_apps.demo.timeline.picture import MAX_ROWS
from vljepa_apps.demo.timeline.row import GUTTER, MARGIN, WIDTH
from vljepa_apps.demo.timeline.signs import GREY, LOOKS
from vljepa_apps.demo.timeline.thumbnails import THUMB


def count(image: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((image == np.array(colour)).all(axis=2).sum())


def timeline(seconds: float = 20.0, **changes: object) -> Timeline:
    bars = [Bar(start_s=0, end_s=seconds / 2, text="a red ball rolls", match=Match.EXACT)]
    values: dict[str, object] = {"title": "a title", "seconds": seconds, "decoded": bars}
    return Timeline(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seconds", "rows"),
    [(0.0, 1), (0.2, 1), (36.0, 1), (37.0, 2), (90.0, 3), (180.0, 6), (181.0, 4), (600.0, 5), (1e6, 6)],
)
def test_rows_grow_with_the_length_up_to_a_limit(seconds: float, rows: int) -> None:
    one = draw_timeline(timeline(1.0)).shape[0]
    two = draw_timeline(timeline(40.0)).shape[0]
    image = draw_timeline(timeline(seconds))
    assert image.shape == (one + (rows - 1) * (two - one), WIDTH, 3)
    assert rows <= MAX_ROWS


@pytest.mark.parametrize("match", list(Match), ids=lambda match: match.name.lower())
def test_a_bar_has_the_colour_of_its_match_and_its_share_of_the_width(match: Match) -> None:
    bar = Bar(start_s=5, end_s=15, text="", match=match)
    image = draw_timeline(timeline(decoded=[bar]))
    wide = (WIDTH - 2 * MARGIN - GUTTER) / 2
    others = sum(count(image, LOOKS[other].fill) for other in Match if other is not match)
    assert count(image, LOOKS[match].fill) == pytest.approx(wide * 56, rel=0.03)
    assert others == 0


def test_truth_is_a_track_of_its_own() -> None:
    without = draw_timeline(timeline())
    with_truth = draw_timeline(timeline(truth=[Bar(start_s=0, end_s=20, text="a red ball rolls")]))
    assert with_truth.shape[0] > without.shape[0]
    assert count(without, GREY.fill) < 1000 < count(with_truth, GREY.fill)


def test_a_bar_over_two_rows_is_drawn_in_both() -> None:
    bar = Bar(start_s=0, end_s=60, text="a blue box stays still", match=Match.EXACT)
    image = draw_timeline(timeline(60.0, decoded=[bar]))
    rows = np.flatnonzero((image == np.array(LOOKS[Match.EXACT].fill)).all(axis=2).any(axis=1))
    assert np.diff(rows).max() > 50


def test_each_decoding_and_each_window_leaves_a_sign() -> None:
    none = draw_timeline(timeline(windows_s=[], decodings_s=[1.0]))
    one = draw_timeline(timeline(windows_s=[10.0], decodings_s=[1.0]))
    two = draw_timeline(timeline(windows_s=[10.0], decodings_s=[1.0, 20.0]))
    assert (none != one).any()
    assert (one != two).any()


def test_a_wide_file_name_or_a_crowd_of_bars_is_no_error() -> None:
    bars = [
        Bar(start_s=i / 50, end_s=(i + 1) / 50, text="word " * 30, match=Match.MISSED) for i in range(1000)
    ]
    image = draw_timeline(timeline(title="x" * 400, decoded=bars))
    assert image.shape[1] == WIDTH


def test_thumbnails_stay_bounded_and_near_in_time() -> None:
    kept = Thumbnails(interval_s=1.0, limit=8)
    assert kept.nearest(3.0) is None
    for second in range(200):
        kept.offer(np.full((90, 160, 3), second, np.uint8), float(second))
    shown = kept.nearest(100.0)
    assert shown is not None
    assert shown.shape == (THUMB, 128, 3)
    assert abs(int(shown[0, 0, 0]) - 100) <= 32
    assert len({kept.nearest(float(second)).tobytes() for second in range(200)}) <= 8


@pytest.mark.parametrize("shape", [(10, 3000), (3000, 10), (1, 1)], ids=["flat", "tall", "dot"])
def test_pictures_of_any_shape_fit(shape: tuple[int, int]) -> None:
    kept = Thumbnails()
    kept.offer(np.zeros((*shape, 3), np.uint8), 0.0)
    assert draw_timeline(timeline(picture=kept.nearest)).shape[1] == WIDTH


def test_saved_png_reads_back_the_same_and_is_small(tmp_path: Path) -> None:
    image = draw_timeline(timeline(90.0))
    save_png(image, tmp_path / "t.png")
    save_png(image, tmp_path / "t.png")
    assert (cv2.imread(str(tmp_path / "t.png"))[..., ::-1] == image).all()
    assert (tmp_path / "t.png").stat().st_size < 60_000
    assert [path.name for path in tmp_path.iterdir()] == ["t.png"]


@pytest.fixture(params=["newest", "before 5"])
def opencv(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both fonts: OpenCV 5 brings TrueType letters, older ones only strokes."""
    if request.param == "before 5":
        monkeypatch.setattr(lettering, "_face", lambda: None)


@pytest.mark.usefixtures("opencv")
def test_letters_stay_within_their_measured_width() -> None:
    for text in ("a red ball rolls to the left", "WWW", "i", "naïve · 97% – 猫"):
        image = np.full((40, 500, 3), 255, np.uint8)
        write(image, text, 10, 25, size=16)
        columns = np.flatnonzero((image < 128).any(axis=(0, 2)))
        assert len(columns)
        assert columns.max() <= 10 + text_width(text, size=16) + 2


@pytest.mark.usefixtures("opencv")
def test_wrapping_keeps_to_width_and_lines() -> None:
    text = "an orange box moves left and hits a red star"
    for width in (8, 40, 90, 150, 2000):
        lines = wrapped(text, width, size=14, lines=3)
        assert len(lines) <= 3
        assert all(text_width(line, size=14) <= width for line in lines)
    assert wrapped(text, 2000, size=14, lines=3) == [text]
    assert wrapped(text, 90, size=14, lines=2)[-1].endswith("...")
    assert wrapped("", 90, size=14, lines=2) == []
