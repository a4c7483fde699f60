"""Files: every frame, right times, right colours, upright; damage told in one sentence."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest

from vljepa_runtime.errors import SourceError
from vljepa_runtime.preprocessing.preprocess import Preprocess
from vljepa_runtime.preprocessing.sampling import Window, WindowSampler, hints_for
from vljepa_runtime.sources import EVERY_FRAME, Frame, Hints, Source, SourceStatus, open_source
from vljepa_runtime.sources.pictures.pixels import upright
from vljepa_runtime.sources.pictures.stills import read_image
from vljepa_runtime.sources.video.files import open_file

Image = npt.NDArray[np.uint8]


def collect(source: Source, hints: Hints = EVERY_FRAME) -> tuple[list[Frame], list[SourceStatus]]:
    with source:
        items = list(source.frames(hints))
    frames = [item for item in items if isinstance(item, Frame)]
    return frames, [item for item in items if isinstance(item, SourceStatus)]


def gradient(index: int, height: int = 64, width: int = 96) -> Image:
    """Red grows to the right, green downwards, blue with time."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.linspace(20, 230, width, dtype=np.uint8)
    image[..., 1] = np.linspace(20, 230, height, dtype=np.uint8)[:, None]
    image[..., 2] = index * 5 % 200
    return image


def write_video(
    path: Path,
    times: list[float],
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    matrix: int | None = None,
    full_range: bool = False,
    rotation: int = 0,
    size: tuple[int, int] = (64, 96),
    options: dict[str, str] | None = None,
) -> Path:
    """A small video of gradients with the given times."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            codec, rate=25, options=options or {"crf": "5"} if codec == "libx264" else {}
        )
        stream.height, stream.width = size
        stream.pix_fmt = pix_fmt
        stream.codec_context.time_base = Fraction(1, 1000)
        if rotation:
            if not hasattr(stream, "set_display_rotation"):
                pytest.skip("this PyAV cannot write a display matrix")
            stream.set_display_rotation(rotation)
        if matrix is not None:
            stream.codec_context.colorspace = matrix
            stream.codec_context.color_range = 2 if full_range else 1
        for index, time_s in enumerate(times):
            frame = av.VideoFrame.from_ndarray(gradient(index, *size), format="rgb24")
            if matrix is not None:
                ranged = 2 if full_range else 1
                frame = frame.reformat(format=pix_fmt, dst_colorspace=matrix, dst_color_range=ranged)
                frame.colorspace, frame.color_range = matrix, ranged
            frame.pts, frame.time_base = round(time_s * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


class TestTimes:
    @pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
    @pytest.mark.parametrize(
        "times",
        [[i / 25 for i in range(20)], [0.0, 0.1, 0.15, 0.9, 2.5, 2.54], [5.0, 5.5, 5.75]],
        ids=["regular", "variable", "starts late"],
    )
    def test_follow_the_timestamps(self, tmp_path: Path, suffix: str, times: list[float]) -> None:
        path = write_video(tmp_path / f"clip.{suffix}", times)
        frames, remarks = collect(open_source(path))
        assert [f.time_s for f in frames] == pytest.approx([t - times[0] for t in times], abs=2e-3)
        assert [f.index for f in frames] == list(range(len(times)))
        assert remarks == []

    def test_raw_stream_without_timestamps(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "clip.h264", [i / 25 for i in range(12)])
        frames, _ = collect(open_source(path))
        steps = np.diff([f.time_s for f in frames])
        assert len(frames) == 12
        assert steps == pytest.approx(np.full(11, steps[0]))
        assert steps[0] > 0

    def test_loop_goes_on_in_time(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "clip.mp4", [0.0, 0.04, 0.08])
        with open_source(path, loop=True) as source:
            items = [item for _, item in zip(range(8), source)]
        frames = [item for item in items if isinstance(item, Frame)]
        assert [f.time_s for f in frames] == pytest.approx([i * 0.04 for i in range(8)])
        assert [f.index for f in frames] == list(range(8))


class TestColours:
    @pytest.mark.parametrize("full_range", [False, True], ids=["limited", "full"])
    @pytest.mark.parametrize("matrix", [1, 5, 6], ids=["bt709", "bt470bg", "bt601"])
    @pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p"])
    def test_matrix_and_range(self, tmp_path: Path, matrix: int, full_range: bool, pix_fmt: str) -> None:
        path = write_video(tmp_path / "c.mp4", [0.0], matrix=matrix, full_range=full_range, pix_fmt=pix_fmt)
        ((frame,), _) = collect(open_source(path))
        difference = np.abs(frame.image.astype(int) - gradient(0))
        assert difference.mean() < 3

    @pytest.mark.parametrize(
        ("pix_fmt", "size"),
        [("yuv420p10le", (64, 96)), ("yuv444p", (63, 97)), ("yuv422p", (63, 96)), ("gray", (64, 96))],
        ids=["10 bit", "odd", "4:2:2", "gray"],
    )
    def test_pixel_formats(self, tmp_path: Path, pix_fmt: str, size: tuple[int, int]) -> None:
        path = write_video(tmp_path / "c.mkv", [0.0, 0.04], pix_fmt=pix_fmt, size=size)
        frames, _ = collect(open_source(path))
        assert [f.image.shape for f in frames] == [(*size, 3)] * 2
        assert all(f.image.dtype == np.uint8 and f.image.flags.c_contiguous for f in frames)
        if pix_fmt != "gray":
            assert np.abs(frames[0].image.astype(int) - gradient(0, *size)).mean() < 4


class TestOrientation:
    @pytest.mark.parametrize("angle", [90, 180, 270])
    def test_rotation_metadata(self, tmp_path: Path, angle: int) -> None:
        path = write_video(tmp_path / "turned.mp4", [0.0, 0.04], rotation=angle)
        with av.open(str(path)) as container:
            told = next(container.decode(video=0)).rotation
        frames, _ = collect(open_source(path))
        expected = np.rot90(gradient(0), told // 90)
        for frame in frames:
            assert frame.image.shape == expected.shape
        assert np.abs(frames[0].image.astype(int) - expected).mean() < 4

    @pytest.mark.parametrize(
        ("rows", "expected"),
        [
            ([[1, 0], [0, 1]], lambda x: x),
            ([[-1, 0], [0, 1]], lambda x: x[:, ::-1]),
            ([[1, 0], [0, -1]], lambda x: x[::-1]),
            ([[-1, 0], [0, -1]], lambda x: x[::-1, ::-1]),
            ([[0, 1], [1, 0]], lambda x: x.transpose(1, 0, 2)),
            ([[0, 1], [-1, 0]], lambda x: np.rot90(x, -1)),  # a turn to the right
            ([[0, -1], [1, 0]], lambda x: np.rot90(x, 1)),
            ([[0, -1], [-1, 0]], lambda x: np.rot90(x, 2).transpose(1, 0, 2)),
        ],
        ids=["none", "mirror", "flip", "half", "transpose", "right", "left", "anti-transpose"],
    )
    def test_all_eight(self, rows: list[list[int]], expected: Callable[[Image], Image]) -> None:
        image = gradient(0, 3, 5)
        matrix = np.zeros((3, 3), np.int32)
        matrix[:2, :2] = np.array(rows) * 65536
        np.testing.assert_array_equal(upright(image, matrix), expected(image))

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_exif_of_a_photograph(self, tmp_path: Path, orientation: int) -> None:
        path = tmp_path / "photo.jpg"
        ok, data = cv2.imencode(".jpg", gradient(0)[..., ::-1])
        assert ok
        entry = b"\x12\x01\x03\x00\x01\x00\x00\x00" + bytes([orientation, 0, 0, 0])
        exif = b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x01\x00" + entry + b"\x00\x00\x00\x00"
        segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
        path.write_bytes(bytes(data[:2]) + segment + bytes(data[2:]))
        ((frame,), _) = collect(open_source(path))
        stored = gradient(0)
        across = stored.transpose(1, 0, 2)
        shown = [stored, stored[:, ::-1], stored[::-1, ::-1], stored[::-1]]
        shown += [across, across[:, ::-1], across[::-1, ::-1], across[::-1]]
        assert frame.image.shape == shown[orientation - 1].shape
        assert np.abs(frame.image.astype(int) - shown[orientation - 1]).mean() < 5


class TestDamage:
    @pytest.mark.parametrize(
        ("name", "data"),
        [
            ("empty.mp4", b""),
            ("empty.jpg", b""),
            ("words.mp4", b"these are words, not frames\n" * 50),
            ("notes.txt", b"these are words, not frames\n" * 50),
            ("noise.mkv", bytes(range(256)) * 64),
            ("noise.png", bytes(range(256)) * 64),
        ],
    )
    def test_one_clear_sentence(self, tmp_path: Path, name: str, data: bytes) -> None:
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(SourceError, match=name) as caught:
            collect(open_source(path))
        assert "\n" not in str(caught.value)

    def test_sound_alone_is_no_video(self, tmp_path: Path) -> None:
        path = tmp_path / "sound.wav"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("pcm_s16le", rate=8000)
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
            frame.rate = 8000
            container.mux(stream.encode(frame))
        with pytest.raises(SourceError, match="holds no video"):
            open_source(path)

    def test_truncated_file_gives_what_is_left(self, tmp_path: Path) -> None:
        options = {"crf": "5", "g": "5"}
        whole = write_video(tmp_path / "whole.mkv", [i / 25 for i in range(50)], options=options)
        cut = tmp_path / "cut.mkv"
        cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
        frames, _ = collect(open_source(cut))
        assert 5 < len(frames) < 45

    def test_cut_mp4_is_told(self, tmp_path: Path) -> None:
        options = {"crf": "5", "g": "5"}
        whole = write_video(tmp_path / "whole.mp4", [i / 25 for i in range(50)], options=options)
        front = tmp_path / "front.mp4"
        with av.open(str(whole)) as old, av.open(str(front), "w", options={"movflags": "faststart"}) as new:
            copy = new.add_stream_from_template(old.streams.video[0])
            for packet in old.demux(video=0):
                if packet.dts is not None:
                    packet.stream = copy
                    new.mux(packet)
        front.write_bytes(front.read_bytes()[: front.stat().st_size // 2])
        frames, remarks = collect(open_source(front))
        assert 5 < len(frames) < 45
        assert [r.kind for r in remarks] == ["warning"]
        assert "front.mp4" in remarks[0].message

    def test_damage_in_the_middle(self, tmp_path: Path) -> None:
        options = {"crf": "5", "g": "5"}
        path = write_video(tmp_path / "clip.mkv", [i / 25 for i in range(50)], options=options)
        data = bytearray(path.read_bytes())
        middle = len(data) // 2
        data[middle : middle + 400] = np.random.default_rng(0).bytes(400)
        path.write_bytes(bytes(data))
        frames, _ = collect(open_source(path))
        assert len(frames) > 20
        assert all(b.time_s > a.time_s for a, b in itertools.pairwise(frames))

    def test_absurd_size_is_refused(self, tmp_path: Path) -> None:
        ok, data = cv2.imencode(".jpg", gradient(0))
        assert ok
        raw = bytearray(bytes(data))
        at = raw.index(b"\xff\xc0") + 5
        raw[at : at + 4] = b"\x3f\xff\x3f\xff"
        path = tmp_path / "bomb.jpg"
        path.write_bytes(bytes(raw))
        with pytest.raises(SourceError, match=r"claims 16383x16383 pixels|damaged"):
            read_image(path)

    def test_truncated_photograph(self, tmp_path: Path) -> None:
        ok, data = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
        assert ok
        path = tmp_path / "half.jpg"
        path.write_bytes(bytes(data[: len(data) // 2]))
        with pytest.raises(SourceError, match="damaged or not a picture"):
            read_image(path)


class TestHints:
    def test_same_windows_with_fewer_conversions(self, tmp_path: Path) -> None:
        times = list(np.cumsum(np.random.default_rng(3).exponential(0.03, 150)))
        path = write_video(tmp_path / "clip.mkv", [round(t, 3) for t in times])
        pre = Preprocess(size=48)
        plain, all_frames = windows(path, Hints(), pre)
        hinted, few_frames = windows(path, hints_for(pre), pre)
        assert few_frames < all_frames / 3
        assert len(plain) == len(hinted) > 1
        for a, b in zip(plain, hinted):
            assert (a.start_s, a.end_s) == (b.start_s, b.end_s)
            np.testing.assert_array_equal(a.clip.frames, b.clip.frames)

    def test_a_files_pictures_are_fitted_beside_the_consumer(self, tmp_path: Path) -> None:
        path, threads = write_video(tmp_path / "clip.mkv", [i / 25 for i in range(50)]), set[str]()

        def make(image: Image) -> float:
            threads.add(threading.current_thread().name)
            return float(image.mean())

        frames, _ = collect(open_source(path), Hints(min_interval_s=0.25, prepare=make))
        assert [each.prepared for each in frames] == [float(each.image.mean()) for each in frames]
        assert threads == {"read ahead"}
        assert all(each.prepared is None for each in collect(open_source(path))[0])

    def test_what_cannot_be_prepared_ends_the_stream_where_it_is(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "clip.mkv", [i / 25 for i in range(10)])
        seen: list[Frame] = []

        def make(image: Image) -> None:
            if image[0, 0, 2] > 20:  # blue grows with time
                raise ZeroDivisionError

        with open_source(path) as source, pytest.raises(ZeroDivisionError):
            seen.extend(item for item in source.frames(Hints(prepare=make)) if isinstance(item, Frame))
        assert not seen or seen[-1].index < 9

    def test_side_data_are_read_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Reading them from every frame kept every frame in memory: 344 instead of 88 MB for 5 s of 540p."""
        calls: list[int] = []
        monkeypatch.setattr(
            "vljepa_runtime.sources.pictures.pixels._display_matrix", lambda _: calls.append(1)
        )
        path = write_video(tmp_path / "clip.mp4", [i / 25 for i in range(10)])
        assert len(collect(open_source(path))[0]) == 10
        assert len(calls) == 1

    @pytest.mark.parametrize("rotation", [0, 90])
    def test_short_side(self, tmp_path: Path, rotation: int) -> None:
        path = write_video(tmp_path / "clip.mp4", [0.0, 0.04], rotation=rotation)
        full, _ = collect(open_source(path))
        small, _ = collect(open_source(path), Hints(short_side=32))
        assert sorted(small[0].image.shape) == [3, 32, 48]
        rows, columns = small[0].image.shape[:2]
        expected = cv2.resize(full[0].image, (columns, rows), interpolation=cv2.INTER_AREA)
        assert np.abs(small[0].image.astype(int) - expected).mean() < 3

    @pytest.mark.parametrize("hints", [{"min_interval_s": 0.0}, {"short_side": 0}], ids=str)
    def test_are_checked(self, hints: dict[str, float]) -> None:
        with pytest.raises(ValueError, match=f"{next(iter(hints))}: expected"):
            Hints(**hints)  # type: ignore[arg-type]


def windows(path: Path, hints: Hints, pre: Preprocess) -> tuple[list[Window], int]:
    sampler = WindowSampler(pre, 1.0)
    frames, _ = collect(open_source(path), hints)
    found = [window for frame in frames for window in sampler.push(frame)]
    return found + list(sampler.flush()), len(frames)


# name -> frames, (height, width), seconds of the last frame: counted once with a bare PyAV loop;
# ffprobe, where there is one, is asked below.
CLIPS = {
    "torchcodec/nasa_13013.mp4": (390, (270, 480), 12.98),
    "torchcodec/nasa_13013_rotated.mp4": (17, (480, 270), 0.534),
    "torchcodec/av1_video.mkv": (125, (360, 640), 4.96),
    "torchcodec/h265_video.mp4": (10, (128, 128), 0.9),
    "torchcodec/h264_10bits.mp4": (30, (200, 200), 0.967),
    "torchcodec/bt709_full_range.mp4": (30, (720, 1280), 0.967),
    "torchcodec/test_non_zero_start.mp4": (12, (112, 200), 0.367),
    "torchcodec/testsrc2_vp8.webm": (30, (720, 1280), 0.967),
    "torchcodec/testsrc2_mpeg4.avi": (30, (720, 1280), 0.967),
    "torchcodec/testsrc2_odd_height_and_width_444.mp4": (25, (241, 321), 0.96),
    "torchcodec/testsrc2_odd_height_vp9.mp4": (25, (241, 320), 0.96),
    "torchcodec/testsrc2_12bit_hdr.mp4": (60, (180, 320), 1.967),
    "torchcodec/animated.gif": (4, (48, 64), 0.3),
    "torchcodec/frame_exceeds_screen.gif": (1, (4, 4), 0.0),
    "torchcodec/cmyk.jpg": (1, (720, 1280), 0.0),
    "torchcodec/grayscale.jpg": (1, (720, 1280), 0.0),
    "intel/again.mkv": (77, (480, 640), 2.534),
    "intel/people-detection.gif": (23, (270, 480), 1.83),
}


class TestRealClips:
    @pytest.mark.parametrize("name", CLIPS)
    def test_frames_size_and_times(self, shared_data: Path, name: str) -> None:
        count, size, last_s = CLIPS[name]
        frames, remarks = collect(open_file(shared_data / "clips" / name))
        assert len(frames) == count
        assert {f.image.shape for f in frames} == {(*size, 3)}
        assert frames[0].time_s == 0
        assert frames[-1].time_s == pytest.approx(last_s, abs=0.01)
        assert remarks == []

    @pytest.mark.skipif(shutil.which("ffprobe") is None, reason="no ffprobe on PATH")
    @pytest.mark.parametrize("name", [name for name in CLIPS if not name.endswith((".jpg", ".gif"))])
    def test_ffprobe_agrees(self, shared_data: Path, name: str) -> None:
        path = shared_data / "clips" / name
        frames, _ = collect(open_file(path))
        stream = "3" if "nasa_13013.mp4" in name else "v:0"
        ask = ["ffprobe", "-v", "error", "-select_streams", stream, "-show_entries", "frame=pts_time"]
        told = subprocess.run([*ask, "-of", "csv=p=0", str(path)], capture_output=True, text=True, check=True)
        times = [float(line.strip(",")) for line in told.stdout.split()]
        assert [f.time_s for f in frames] == pytest.approx([t - times[0] for t in times], abs=1e-4)

    def test_damaged_photograph(self, shared_data: Path) -> None:
        with pytest.raises(SourceError, match="damaged"):
            collect(open_file(shared_data / "clips" / "torchcodec" / "corrupt.jpg"))


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_an_empty_file_is_called_so(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"clip.{suffix}"
    path.touch()
    with pytest.raises(SourceError, match=rf"{suffix} as video: it is empty$"):
        open_source(path)


@pytest.mark.parametrize("suffix", ["mp4", "mov"])
def test_a_recording_that_was_not_finished_is_called_so(tmp_path: Path, suffix: str) -> None:
    path = write_video(tmp_path / f"clip.{suffix}", [i / 25 for i in range(12)])
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"moov") - 4])
    with pytest.raises(
        SourceError, match=r"as video: its index \(moov\) is not in its place: was the recording finished"
    ):
        open_source(path)
