"""Decoded frames: square pixels, right colours and bounds, with ffmpeg as the oracle."""

from __future__ import annotations

import shutil
import struct
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest

from vljepa_runtime.errors import SourceError
from vljepa_runtime.sources import EVERY_FRAME, Frame, Hints, SourceStatus, open_source
from vljepa_runtime.sources.pictures import pixels

Image = npt.NDArray[np.uint8]

pytestmark = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg on PATH")


def ffmpeg(*arguments: object) -> bytes:
    command = ["ffmpeg", "-v", "error", "-y", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, timeout=60).stdout


def make(path: Path, source: str, *options: object) -> Path:
    """A short film of a test picture; `source` is what lavfi takes."""
    ffmpeg("-f", "lavfi", "-i", source, *options, path)
    return path


def shown(path: Path, filters: str) -> Image:
    """The first frame as ffmpeg's filters show it."""
    data = ffmpeg("-i", path, "-frames:v", 1, "-vf", filters, "-c:v", "ppm", "-f", "image2pipe", "-")
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1], np.uint8)


def read(path: Path, hints: Hints = EVERY_FRAME) -> list[Frame]:
    with open_source(path) as source:
        return [item for item in source.frames(hints) if isinstance(item, Frame)]


def difference(a: Image, b: Image) -> float:
    assert a.shape == b.shape
    return float(np.abs(a.astype(int) - b).mean())


X264 = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-qp", 0, "-preset", "ultrafast")


class TestPixelAspect:
    @pytest.mark.parametrize(
        ("name", "size", "aspect", "expected"),
        [
            ("a.mp4", "180x120", Fraction(2), (120, 360)),
            ("a.mkv", "176x144", Fraction(12, 11), (144, 192)),
            ("a.mpg", "176x144", Fraction(12, 11), (144, 192)),
            ("a.mov", "176x144", Fraction(10, 11), (158, 176)),
            ("a.ts", "192x96", Fraction(1, 2), (192, 192)),
            ("a.ts", "176x144", Fraction(4, 3), (144, 235)),
            ("a.mp4", "96x96", Fraction(1), (96, 96)),
        ],
        ids=["anamorphic", "PAL", "MPEG-2", "NTSC", "tall", "broadcast", "square"],
    )
    def test_frames_are_those_of_a_player(
        self, tmp_path: Path, name: str, size: str, aspect: Fraction, expected: tuple[int, int]
    ) -> None:
        codec = ("-c:v", "mpeg2video", "-q:v", 2) if name == "a.mpg" else X264
        film = f"testsrc=size={size}:duration=0.2:rate=25,setsar={aspect.numerator}/{aspect.denominator}"
        path = make(tmp_path / name, film, *codec)
        frames = read(path)
        height, width = expected
        assert [frame.image.shape for frame in frames] == [(height, width, 3)] * len(frames)
        assert len(frames) == 5
        assert difference(frames[0].image, shown(path, f"scale={width}:{height}:flags=bicubic")) < 4

    def test_short_side_counts_square_pixels(self, tmp_path: Path) -> None:
        path = make(tmp_path / "a.mp4", "testsrc=size=192x192:duration=0.1,setsar=2/1", *X264)
        assert read(path, hints=Hints(short_side=64))[0].image.shape == (64, 128, 3)
        assert read(path, hints=Hints(short_side=192))[0].image.shape == (192, 384, 3)

    def test_before_it_is_turned(self, tmp_path: Path) -> None:
        flat = make(tmp_path / "flat.mp4", "testsrc=size=120x120:duration=0.1,setsar=2/1", *X264)
        path = tmp_path / "a.mp4"
        ffmpeg("-i", flat, "-c", "copy", "-metadata:s:v:0", "rotate=90", path)
        with av.open(str(path)) as container:
            turned = next(container.decode(video=0)).rotation
        if turned == 0:
            pytest.skip("this ffmpeg writes no rotation")
        assert read(path)[0].image.shape == (240, 120, 3)

    def test_an_aspect_that_changes_in_the_stream(self, tmp_path: Path) -> None:
        parts = [
            make(tmp_path / f"{number}.ts", f"testsrc=size=96x96:duration=0.4,setsar={number}/1", *X264)
            for number in (1, 2)
        ]
        path = tmp_path / "a.ts"
        path.write_bytes(b"".join(part.read_bytes() for part in parts))
        widths = [frame.image.shape[1] for frame in read(path)]
        assert widths == [96] * 10 + [192] * 10

    @pytest.mark.parametrize("aspect", ["1/1000", "1000/1", "11/1", "0/1"])
    def test_an_absurd_one_is_not_believed(self, tmp_path: Path, aspect: str) -> None:
        path = make(tmp_path / "a.mp4", f"testsrc=size=96x64:duration=0.1,setsar={aspect}", *X264)
        assert read(path)[0].image.shape == (64, 96, 3)

    def test_square_pixels_never_take_more_than_the_limit(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = make(tmp_path / "a.mp4", "testsrc=size=96x64:duration=0.1,setsar=8/1", *X264)
        monkeypatch.setattr(pixels, "MAX_PIXELS", 96 * 64)
        assert read(path)[0].image.shape == (8, 96, 3)


class TestColours:
    @pytest.mark.parametrize(
        ("size", "matrix"),
        [
            ("320x180", "bt601"),
            ("720x576", "bt601"),
            ("960x718", "bt601"),
            ("1280x720", "bt709"),
            ("404x720", "bt709"),
            ("640x1136", "bt709"),
        ],
    )
    def test_untagged_ones_go_by_their_lines(self, tmp_path: Path, size: str, matrix: str) -> None:
        path = make(tmp_path / "a.mkv", f"testsrc2=size={size}:duration=0.04", *X264)
        assert difference(read(path)[0].image, shown(path, f"scale=in_color_matrix={matrix}")) < 0.1

    @pytest.mark.parametrize(
        ("size", "tag", "matrix"),
        [
            ("320x180", "bt709", "bt709"),
            ("320x180", "smpte240m", "smpte240m"),
            ("320x180", "bt2020nc", "bt2020"),
            ("320x180", "fcc", "fcc"),
            ("404x720", "smpte170m", "bt601"),
            ("404x720", "bt470bg", "bt601"),
        ],
    )
    def test_tags_win(self, tmp_path: Path, size: str, tag: str, matrix: str) -> None:
        tagged = ("-x264-params", f"colormatrix={tag}")
        path = make(tmp_path / "a.mkv", f"testsrc2=size={size}:duration=0.04", *X264, *tagged)
        assert difference(read(path)[0].image, shown(path, f"scale=in_color_matrix={matrix}")) < 0.1

    @pytest.mark.parametrize(
        ("options", "filters"),
        [
            (("-c:v", "ffv1", "-pix_fmt", "yuv422p10le"), "scale=in_color_matrix=bt709"),
            ((*X264, "-color_range", "pc"), "scale=in_color_matrix=bt709:in_range=pc"),
            (("-c:v", "mjpeg", "-pix_fmt", "yuvj420p"), "scale=in_color_matrix=bt601:in_range=pc"),
            (("-c:v", "ffv1", "-pix_fmt", "gray"), "null"),
            (("-c:v", "ffv1", "-pix_fmt", "bgra"), "null"),
            (("-c:v", "ffv1", "-pix_fmt", "gbrp"), "null"),
        ],
        ids=["10 bits", "full range", "motion JPEG", "grey", "alpha", "planar RGB"],
    )
    def test_formats_of_hd(self, tmp_path: Path, options: tuple[object, ...], filters: str) -> None:
        path = make(tmp_path / "a.mkv", "testsrc2=size=404x720:duration=0.04", *options)
        assert difference(read(path)[0].image, shown(path, filters)) < 1

    def test_colours_that_ffmpeg_cannot_turn_are_told(self, tmp_path: Path) -> None:
        tagged = ("-x264-params", "colormatrix=YCgCo")
        path = make(tmp_path / "a.mkv", "testsrc2=size=96x64:duration=0.04", *X264, *tagged)
        with pytest.raises(SourceError, match=r"colour matrix 8 .* cannot be turned into RGB.*BT.709"):
            read(path)


class TestDeepGrey:
    def film(self, path: Path, pixels: str = "gray16le") -> Path:
        narrow = "format=gray16le,geq=lum=30000+X*10"
        return make(path, f"color=size=96x64:duration=0.2:rate=25,{narrow},format={pixels}", "-c:v", "ffv1")

    def test_is_told_once_and_stretched_on_request(self, tmp_path: Path) -> None:
        path = self.film(tmp_path / "a.mkv")
        items = list(open_source(path))
        assert [type(item) for item in items] == [SourceStatus] + [Frame] * 5
        assert isinstance(items[0], SourceStatus)
        assert "grey of more than 8 bits" in items[0].message
        assert isinstance(items[1], Frame)
        assert np.ptp(items[1].image) <= 4
        items = list(open_source(path, stretch=True).frames(Hints(short_side=32)))
        assert [type(item) for item in items] == [Frame] * 5
        assert isinstance(items[0], Frame)
        assert items[0].image.shape == (32, 48, 3)
        assert np.ptp(items[0].image) == 255

    def test_grey_of_8_bits_is_not(self, tmp_path: Path) -> None:
        path = self.film(tmp_path / "a.mkv", "gray")
        assert [type(item) for item in open_source(path)] == [Frame] * 5

    def test_live_network_streams_are_not_stretched(self) -> None:
        with pytest.raises(SourceError, match="cannot be stretched: leave stretch out"):
            open_source("rtsp://127.0.0.1:9/", stretch=True)


class TestBounds:
    @pytest.fixture(autouse=True)
    def small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Films of 64x48 are allowed here, larger ones are not."""
        monkeypatch.setitem(pixels.DECODER_LIMITS, "max_pixels", str(64 * 48 + 1000))

    def film(self, path: Path, sizes: list[tuple[int, int]]) -> Path:
        """Motion JPEG whose pictures have other sizes than the container says."""
        with av.open(str(path), "w") as container:
            stream = container.add_stream("mjpeg", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
            for number, (width, height) in enumerate(sizes):
                packet = av.Packet(
                    cv2.imencode(".jpg", np.full((height, width, 3), 90, np.uint8))[1].tobytes()
                )
                packet.stream, packet.time_base = stream, Fraction(1, 25)
                packet.pts = packet.dts = number
                packet.is_keyframe = True
                container.mux(packet)
        return path

    @pytest.mark.parametrize("name", ["a.mkv", "a.avi"])
    def test_a_frame_that_grows_costs_itself(self, tmp_path: Path, name: str) -> None:
        path = self.film(tmp_path / name, [(64, 48)] * 5 + [(320, 240)] * 2 + [(32, 24)] * 5)
        items = list(open_source(path))
        frames = [item for item in items if isinstance(item, Frame)]
        (told,) = [item.message for item in items if isinstance(item, SourceStatus)]
        assert [frame.image.shape for frame in frames] == [(48, 64, 3)] * 5 + [(24, 32, 3)] * 5
        assert "2 damaged packets were skipped" in told
        assert "more than 134,217,728 pixels" in told

    def test_nothing_but_large_frames(self, tmp_path: Path) -> None:
        path = self.film(tmp_path / "a.mkv", [(320, 240)] * 3)
        with pytest.raises(SourceError, match=r"no frame of .* more than 134,217,728 pixels"):
            list(open_source(path))

    def test_a_coded_stream_larger_than_its_container_says(self, tmp_path: Path) -> None:
        path = make(tmp_path / "a.mp4", "testsrc=size=320x240:duration=0.1", *X264)
        data = path.read_bytes()
        at = data.index(b"avc1", data.index(b"stsd")) + 28
        path.write_bytes(data[:at] + struct.pack(">HH", 64, 48) + data[at + 4 :])
        with pytest.raises(SourceError, match="no frame of"):
            list(open_source(path))

    def test_a_container_that_claims_gigabytes(self, tmp_path: Path) -> None:
        path = make(tmp_path / "a.mp4", "testsrc=size=96x64:duration=0.1", "-c:v", "mpeg4")
        data = path.read_bytes()
        at = data.index(b"mp4v", data.index(b"stsd")) + 28
        assert struct.unpack(">HH", data[at : at + 4]) == (96, 64)
        path.write_bytes(data[:at] + struct.pack(">HH", 60_000, 60_000) + data[at + 4 :])
        with pytest.raises(SourceError, match="more than 134,217,728 pixels"):
            list(open_source(path))
