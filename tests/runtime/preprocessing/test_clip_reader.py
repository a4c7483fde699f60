"""Which pictures of a source become its clip: by time on show, or by number, whatever the file says of itself."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from vljepa_runtime.errors import InputError, SourceError
from vljepa_runtime.preprocessing import clip_reader
from vljepa_runtime.preprocessing.clip_reader import read_clip, require_frame
from vljepa_runtime.preprocessing.patches import Clip, fit_frames, patchify, pick_numbers
from vljepa_runtime.preprocessing.preprocess import Preprocess, Unfitted
from vljepa_runtime.preprocessing.timeline import Part, choose_numbers
from vljepa_runtime.sources import EVERY_FRAME, Frame, Hints, Item, Source, SourceStatus, open_source
from vljepa_runtime.sources.protocol import Announced

TIME = Preprocess(frames=8, fps=4.0, size=12, patch=6)
FRAMES = Preprocess(frames=8, fps=4.0, size=12, patch=6, sampling="frames", picks="floor")
WHOLE = Part()


class Listed(Source):
    """A source of grey pictures at given times; it may announce anything."""

    live = False

    def __init__(
        self,
        times_s: list[float],
        announced: Announced | None = None,
        *,
        live: bool = False,
        asks: bool = True,
    ) -> None:
        self.name, self.times_s, self.live, self.asks = "listed", times_s, live, asks
        self._announced = announced
        self.passes = 0
        self.closed = False

    def announced(self) -> Announced | None:
        return self._announced

    def frames(self, hints: Hints = EVERY_FRAME) -> Iterator[Item]:
        self.passes += 1
        yield SourceStatus(kind="warning", message="odd")
        for number, time_s in enumerate(self.times_s):
            ahead = self.times_s[number + 1 : number + 2]
            duration_s = None if self.live else ahead[0] - time_s if ahead else 0.04
            if self.asks and hints.wanted and not hints.wanted(number, time_s, duration_s):
                continue
            image = np.full((12, 12, 3), number % 256, np.uint8)
            yield Frame(image=image, time_s=time_s, index=number, duration_s=duration_s)

    def close(self) -> None:
        self.closed = True


def numbers(source: Listed, pre: Preprocess = TIME, **part: float) -> list[int]:
    return [int(frame[0, 0, 0]) for frame in read_clip(source, pre, **part).frames]


class TestByTime:
    @pytest.mark.parametrize("picks", ["nearest", "floor"])
    @pytest.mark.parametrize("rate", [4.0, 25.0, 30000 / 1001])
    @pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 50, 301])
    def test_a_constant_rate_gives_what_an_array_gives(self, count: int, rate: float, picks: str) -> None:
        pre = Preprocess(frames=8, size=12, patch=6, picks=picks)
        times_s = 10.0 + np.arange(count) / rate
        got = choose_numbers(times_s, 10.0 + count / rate, pre, WHOLE)
        assert got is not None
        assert got.tolist() == pick_numbers(count, pre).tolist()

    @pytest.mark.parametrize("frames", [2, 8, 16, 64])
    @pytest.mark.parametrize("seed", range(4))
    def test_left_out_repetitions_change_nothing(self, seed: int, frames: int) -> None:
        """The same film at 25 a second, and without the pictures that repeat the one before."""
        pre = Preprocess(frames=frames, size=12, patch=6)
        rng = np.random.default_rng(seed)
        runs = [1, *rng.integers(1, [4, 30, 200, 2][seed], 20)]
        shown = np.repeat(np.arange(len(runs)), runs)
        constant = choose_numbers(np.arange(len(shown)) / 25, len(shown) / 25, pre, WHOLE)
        begins_s = np.concatenate(([0], np.cumsum(runs)[:-1])) / 25
        variable = choose_numbers(begins_s, len(shown) / 25, pre, WHOLE)
        assert constant is not None
        assert variable is not None
        assert shown[constant].tolist() == variable.tolist()

    @pytest.mark.parametrize(
        ("times_s", "end_s", "expected"),
        [
            ([0, 5], 10, [0] * 4 + [1] * 4),
            ([0, 8, 9], 10, [0] * 6 + [1, 2]),
            ([0, 1, 2], 3600, [0] + [2] * 7),
            ([0, 0, 0, 4], 8, [2] * 4 + [3] * 4),
            ([0, 3599], 3600, [0] * 7 + [1]),
            ([4], 4.04, [0] * 8),
        ],
        ids=["slides", "a long first one", "a long last one", "repeated stamps", "a hole", "one picture"],
    )
    def test_pictures_count_by_their_time_on_show(
        self, times_s: list[float], end_s: float, expected: list[int]
    ) -> None:
        got = choose_numbers(times_s, end_s, TIME, WHOLE)
        assert got is not None
        assert got.tolist() == expected

    @pytest.mark.parametrize(
        ("part", "expected"),
        [
            (Part(6, 8), [1] * 8),
            (Part(4, 6), [0] * 4 + [1] * 4),
            (Part(14.9), [2] * 8),
            (Part(5, 10), [1] * 8),
            (Part(15), None),
            (Part(0, 2), [0] * 8),
        ],
        ids=["inside one", "across an edge", "the last bit", "edge to edge", "past the end", "the first one"],
    )
    def test_a_part_begins_with_the_picture_on_show(self, part: Part, expected: list[int] | None) -> None:
        got = choose_numbers([0, 5, 10], 15, TIME, part)
        assert (None if got is None else got.tolist()) == expected


class TestByNumber:
    @pytest.mark.parametrize("count", [1, 5, 8, 9, 100, 297])
    def test_all_frames_whatever_their_times(self, count: int) -> None:
        times_s = np.cumsum(np.random.default_rng(count).exponential(0.3, count))
        got = choose_numbers(times_s, times_s[-1] + 1, FRAMES, WHOLE)
        assert got is not None
        assert got.tolist() == np.linspace(0, count - 1, 8, dtype=int).tolist()

    def test_of_a_part_those_on_show_in_it(self) -> None:
        got = choose_numbers(np.arange(100) / 10, 10, FRAMES, Part(2, 5))
        assert got is not None
        assert got.tolist() == np.linspace(20, 49, 8, dtype=int).tolist()


class TestReading:
    TIMES = [0.0, 0.1, 0.2, 0.9, 1.0, 1.5, 3.0, 3.1, 3.2, 4.0]  # noqa: RUF012

    @pytest.mark.parametrize("pre", [TIME, FRAMES], ids=["time", "frames"])
    @pytest.mark.parametrize("asks", [True, False])
    @pytest.mark.parametrize(
        "announced",
        [
            None,
            *(Announced(frames=n, step_s=0.4) for n in (1, 9, 10, 11, 5000)),
            Announced(frames=0, step_s=1),
        ],
        ids=str,
    )
    def test_a_header_may_say_anything(
        self, announced: Announced | None, asks: bool, pre: Preprocess
    ) -> None:
        source, told = Listed(self.TIMES, announced, asks=asks), list[str]()
        expected = choose_numbers(self.TIMES, 4.04, pre, WHOLE)
        clip = read_clip(source, pre, on_warning=told.append)
        assert expected is not None
        assert clip.frames[:, 0, 0, 0].tolist() == expected.tolist()
        assert source.closed
        assert source.passes <= 2
        assert told == ["odd"]

    def test_a_true_header_saves_the_second_reading(self) -> None:
        times = [number / 25 for number in range(90)]
        source = Listed(times, Announced(frames=90, step_s=0.04))
        assert numbers(source) == pick_numbers(90, TIME).tolist()
        assert source.passes == 1

    def test_only_what_is_kept_is_fitted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        fitted: list[int] = []
        plain = clip_reader.fit_frame
        monkeypatch.setattr(
            clip_reader, "fit_frame", lambda image, pre: (fitted.append(1), plain(image, pre))[1]
        )
        numbers(Listed([number / 25 for number in range(2000)], Announced(frames=1990, step_s=0.04)))
        assert len(fitted) <= 2 * TIME.frames

    def test_reading_stops_at_the_end_of_the_part(self) -> None:
        source = Listed([number / 10 for number in range(10**6)])
        assert numbers(source, start_s=1.0, seconds=0.8) == list(range(10, 18))

    @pytest.mark.parametrize(
        ("part", "message"),
        [
            ({"start_s": 9.0}, "listed has no frame from 9 s on: it ends at 3.04 s"),
            ({"seconds": 1.0}, "listed has no frame before 1 s: its first one comes at 2 s"),
        ],
    )
    def test_a_part_without_a_picture(self, part: dict[str, float], message: str) -> None:
        for read in (lambda source: read_clip(source, TIME, **part), lambda s: require_frame(s, **part)):
            with pytest.raises(SourceError, match=message):
                read(Listed([2.0, 3.0]))

    def test_an_endless_file_needs_a_part(self, lossless: ModuleType, tmp_path: Path) -> None:
        times_s = [0.0, 0.25, 0.5, 0.75]
        path = lossless.write_lossless(tmp_path / "film.mkv", lossless.numbered(4), times_s, last_s=0.25)
        with pytest.raises(InputError, match=r"expected a source that ends, .*film.mkv loops: pass seconds="):
            read_clip(open_source(path, loop=True), TIME)
        clip = read_clip(open_source(path, loop=True), TIME, seconds=2.0)
        assert lossless.numbers_of(clip.frames) == [0, 1, 2, 3] * 2

    @pytest.mark.parametrize(
        ("part", "message"),
        [
            ({"start_s": float("nan")}, "start_s"),
            ({"start_s": -1.0}, "start_s"),
            ({"seconds": 0.0}, "seconds"),
            ({"seconds": "2"}, "seconds"),
        ],
    )
    def test_odd_parts_are_refused(self, part: dict[str, Any], message: str) -> None:
        with pytest.raises(InputError, match=message):
            read_clip(Listed([0.0]), TIME, **part)
        with pytest.raises(InputError, match="wanted as a function"):
            Hints(wanted=3)  # type: ignore[arg-type]

    def test_a_frame_is_found_where_one_is_on_show(self) -> None:
        source = Listed([0.0, 5.0, 10.0])
        require_frame(source, start_s=6.0, seconds=1.0)
        assert source.closed

    def test_a_file_that_shrinks_meanwhile(self) -> None:
        class Shrinking(Listed):
            def frames(self, hints: Hints = EVERY_FRAME) -> Iterator[Item]:
                yield from super().frames(hints)
                self.times_s = self.times_s[:10]

        with pytest.raises(SourceError, match="gave 10 frames when it was read again and lacks number 10"):
            read_clip(Shrinking([number / 4 for number in range(20)]), TIME)

    def test_a_live_source_gives_one_window_of_the_session(self) -> None:
        times = [number / 8 for number in range(100)]
        assert numbers(Listed(times, live=True)) == list(range(0, 16, 2))
        assert numbers(Listed(times, live=True), start_s=2.0) == list(range(16, 32, 2))
        assert numbers(Listed(times, live=True), seconds=8.0) == list(range(0, 64, 8))
        assert numbers(Listed(times[:3], live=True)) == [0, 2, 2, 2, 2, 2, 2, 2]
        with pytest.raises(SourceError, match="gave no frame in the part asked for"):
            numbers(Listed([], live=True))


class TestFiles:
    @pytest.mark.parametrize("pre", [TIME, FRAMES], ids=["time", "frames"])
    @pytest.mark.parametrize(
        "times_s",
        [
            [number / 25 for number in range(60)],
            [number / 4 for number in range(8)],
            [0.0, 0.04, 0.08, 1.0, 1.04, 2.5, 2.54, 4.0, 4.04, 4.08, 6.0, 6.04],
            [0.0, 5.0, 10.0],
            [0.0],
        ],
        ids=["constant", "one window", "variable", "slides", "one"],
    )
    def test_equal_to_the_rule_on_the_written_times(
        self, times_s: list[float], pre: Preprocess, lossless: ModuleType, tmp_path: Path
    ) -> None:
        path = lossless.write_lossless(tmp_path / "film.mkv", lossless.numbered(len(times_s)), times_s)
        expected = choose_numbers(times_s, times_s[-1] + 0.04, pre, WHOLE)
        assert expected is not None
        for source in (path, str(path), path.as_uri()):
            assert lossless.numbers_of(read_clip(source, pre).frames) == expected.tolist()

    def test_the_clip_of_a_file_is_that_of_its_frames(self, lossless: ModuleType, tmp_path: Path) -> None:
        frames = np.random.default_rng(0).integers(0, 256, (50, 20, 36, 3), dtype=np.uint8)
        times_s = [number / 25 for number in range(50)]
        path = lossless.write_lossless(tmp_path / "film.mkv", frames, times_s)
        np.testing.assert_array_equal(read_clip(path, TIME).frames, fit_frames(frames, TIME).frames)

    def test_repetitions_left_out_of_a_file(self, lossless: ModuleType, tmp_path: Path) -> None:
        runs = [1, 3, 12, 1, 40, 2, 2, 9, 1, 1, 30, 4]
        shown = np.repeat(np.arange(len(runs)), runs)
        begins = np.concatenate(([0], np.cumsum(runs)[:-1]))
        pictures = lossless.numbered(len(runs))
        times_s = [number / 25 for number in range(len(shown))]
        constant = lossless.write_lossless(tmp_path / "constant.mkv", pictures[shown], times_s)
        variable = lossless.write_lossless(
            tmp_path / "variable.mkv", pictures, [times_s[i] for i in begins], last_s=runs[-1] / 25
        )
        clips = [read_clip(path, TIME).frames for path in (constant, variable)]
        np.testing.assert_array_equal(*clips)
        assert len(set(lossless.numbers_of(clips[0]))) > 3

    @pytest.mark.parametrize(
        ("suffix", "codec"),
        [
            ("mp4", ["-c:v", "libx264rgb", "-qp", "0"]),
            ("mov", ["-c:v", "libx264rgb", "-qp", "0", "-bf", "3"]),
            ("mkv", ["-c:v", "ffv1"]),
        ],
        ids=["mp4", "mov with B-frames", "mkv"],
    )
    def test_what_ffmpeg_makes_variable(
        self, suffix: str, codec: list[str], lossless: ModuleType, tmp_path: Path
    ) -> None:
        """`mpdecimate` drops the pictures that repeat the one before; the clip stays the same."""
        if shutil.which("ffmpeg") is None:
            pytest.skip("no ffmpeg here")
        runs = [1, 25, 3, 60, 2, 1, 18, 7, 40, 1]
        shown = np.repeat(np.arange(len(runs)), runs)
        pictures = (
            np.zeros((len(runs), 64, 64, 3), np.uint8)
            + 20 * np.arange(len(runs), dtype=np.uint8)[:, None, None, None]
        )
        constant = lossless.write_lossless(
            tmp_path / "constant.mkv", pictures[shown], [number / 25 for number in range(len(shown))]
        )
        variable = tmp_path / f"variable.{suffix}"
        command = ["ffmpeg", "-v", "error", "-i", constant, "-vf", "mpdecimate=max=0", "-fps_mode", "vfr"]
        subprocess.run([*command, *codec, variable], check=True, timeout=60)
        assert sum(isinstance(item, Frame) for item in open_source(variable)) < 20
        levels = [read_clip(path, TIME).frames.mean(axis=(1, 2, 3)) for path in (constant, variable)]
        np.testing.assert_allclose(*levels, atol=2)
        assert len(np.unique(levels[0])) >= 4


def test_pictures_keep_the_size_of_the_source_where_nothing_fits_them(
    lossless: ModuleType, tmp_path: Path
) -> None:
    images = lossless.numbered(9, 24, 40)
    path = lossless.write_lossless(tmp_path / "a.mkv", images, (np.arange(9) / 4).tolist(), last_s=0.25)
    pre = Unfitted(frames=4, fps=4.0)
    clip = read_clip(path, pre)
    np.testing.assert_array_equal(clip.frames, images[pick_numbers(9, pre)])
    fitted = Preprocess(frames=4, fps=4.0, size=12, patch=6)
    np.testing.assert_array_equal(fit_frames(clip.frames, fitted).frames, read_clip(path, fitted).frames)
    with pytest.raises(InputError, match="expected a clip fitted to a model's preprocessing"):
        patchify(clip)
    with pytest.raises(
        InputError, match=r"expected fitted frames \(4, 24, 40, 3\) uint8, got \(9, 24, 40, 3\)"
    ):
        Clip(images, pre)
