"""Picture files of every kind against Pillow; what is too large or no picture costs one sentence."""

from __future__ import annotations

import contextlib
import os
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from vljepa_runtime.errors import SourceError
from vljepa_runtime.sources import Frame, SourceStatus, open_source
from vljepa_runtime.sources.pictures.stills import read_image

Image = npt.NDArray[np.uint8]
THERMAL = np.linspace(30_000, 31_000, 48 * 80).reshape(48, 80).astype(np.uint16)


def quarters() -> Image:
    """Red, green, blue and yellow, 80x48."""
    image = np.zeros((48, 80, 3), np.uint8)
    image[:24, :40], image[:24, 40:] = (220, 20, 20), (20, 200, 20)
    image[24:, :40], image[24:, 40:] = (20, 20, 220), (200, 200, 20)
    return image


def assert_alike(image: Image, expected: Image) -> None:
    assert image.shape == expected.shape
    assert np.abs(image.astype(int) - expected).mean() < 1.5


@pytest.mark.parametrize(
    ("name", "mode", "options"),
    [
        ("a.png", "RGB", {}),
        ("a.png", "P", {}),
        ("a.png", "1", {}),
        ("a.png", "LA", {}),
        ("a.png", "RGBA", {}),
        ("animated.png", "RGB", {"save_all": True}),
        ("a.jpg", "RGB", {"quality": 95, "progressive": True}),
        ("a.jpg", "L", {"quality": 95}),
        ("a.jpg", "CMYK", {"quality": 95}),
        ("a.bmp", "RGB", {}),
        ("a.bmp", "P", {}),
        ("a.bmp", "1", {}),
        ("a.pbm", "1", {}),
        ("a.pgm", "L", {}),
        ("a.ppm", "RGB", {}),
        ("a.tif", "RGB", {"compression": "tiff_lzw"}),
        ("a.tif", "RGB", {"compression": "packbits"}),
        ("a.tif", "1", {"compression": "group4"}),
        ("a.tif", "RGB", {"big_tiff": True}),
        ("pages.tif", "RGB", {"save_all": True}),
        ("a.webp", "RGB", {}),
        ("a.webp", "RGBA", {"lossless": True}),
        ("a.jp2", "RGB", {}),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else value,
)
def test_pillow_agrees(tmp_path: Path, name: str, mode: str, options: dict[str, Any]) -> None:
    pil = pytest.importorskip("PIL.Image")
    image = pil.fromarray(quarters())
    if options.get("save_all"):
        options = options | {"append_images": [image.rotate(180)]}
    image.convert(mode).save(tmp_path / name, **options)
    with pil.open(tmp_path / name) as expected:
        assert_alike(read_image(tmp_path / name).image, np.asarray(expected.convert("RGB")))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_orientation(tmp_path: Path, suffix: str, orientation: int) -> None:
    pil = pytest.importorskip("PIL.Image")
    exif = pil.Exif()
    exif[274] = orientation
    path = tmp_path / f"a.{suffix}"
    pil.fromarray(quarters()).save(path, exif=exif, quality=95)
    expected = np.asarray(pytest.importorskip("PIL.ImageOps").exif_transpose(pil.open(path)).convert("RGB"))
    assert_alike(read_image(path).image, expected)


def test_animated_webp_gives_its_first_picture(tmp_path: Path) -> None:
    pil = pytest.importorskip("PIL.Image")
    first, path = pil.fromarray(quarters()), tmp_path / "a.webp"
    first.save(path, save_all=True, append_images=[first.rotate(180)], duration=100, lossless=True)
    try:
        image = read_image(path).image
    except SourceError as error:  # OpenCV before 4.11
        assert "a kind of animated webp that OpenCV cannot read" in str(error)  # noqa: PT017
    else:
        assert_alike(image, quarters())


class TestNames:
    def test_the_bytes_decide_between_kinds_of_pictures(self, tmp_path: Path) -> None:
        assert cv2.imwrite(str(tmp_path / "a.png"), quarters()[..., ::-1])
        path = (tmp_path / "a.png").rename(tmp_path / "a.jpg")
        assert_alike(read_image(path).image, quarters())

    def test_a_gif_called_png_is_read_as_the_film_it_is(self, tmp_path: Path) -> None:
        pil = pytest.importorskip("PIL.Image")
        pil.fromarray(quarters()).save(tmp_path / "a.gif")
        path = (tmp_path / "a.gif").rename(tmp_path / "a.png")
        (frame,) = open_source(path)
        assert isinstance(frame, Frame)
        assert frame.image.shape == (48, 80, 3)
        with pytest.raises(SourceError, match="none of the 1 pictures"):
            list(open_source(tmp_path))

    @pytest.mark.parametrize("cut", [False, True], ids=["whole", "cut"])
    def test_a_small_picture_inside_a_jpeg_and_a_film_behind_it(self, tmp_path: Path, cut: bool) -> None:
        whole, small = (cv2.imencode(".jpg", quarters()[::s, ::s, ::-1])[1].tobytes() for s in (1, 4))
        notes = (
            b"\xff\xe1" + struct.pack(">H", len(small) + 8) + b"Exif\0\0" + small
        )  # unreadable ones at that
        data = whole[:2] + notes + whole[2:]
        path = tmp_path / "a.jpg"
        path.write_bytes(data[:-2] if cut else data + b"\0\0\0\x18ftypmp42" + b"\xff\xda" * 9)
        if cut:
            with pytest.raises(SourceError, match="is damaged"):
                read_image(path)
        else:
            assert np.abs(read_image(path).image.astype(int) - quarters()).mean() < 4

    def test_a_name_that_is_no_utf8(self, tmp_path: Path) -> None:
        try:
            path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png"))
            path.write_bytes(cv2.imencode(".png", quarters())[1].tobytes()[:100])
        except OSError:
            pytest.skip("this file system takes UTF-8 only")
        with pytest.raises(SourceError, match=r"\\xff.png is damaged"):
            read_image(path)


class TestDeepGrey:
    @pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
    def test_is_told_and_stretched_on_request(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"a.{suffix}"
        assert cv2.imwrite(str(path), THERMAL)
        remark, frame = open_source(path)
        assert isinstance(remark, SourceStatus)
        assert isinstance(frame, Frame)
        assert "grey of more than 8 bits" in remark.message
        assert np.array_equal(frame.image[..., 0], THERMAL >> 8)
        (frame,) = open_source(path, stretch=True)
        assert isinstance(frame, Frame)
        low, high = np.percentile(THERMAL, (1, 99))
        expected = ((THERMAL - low) / (high - low)).clip(0, 1) * 255
        assert np.abs(frame.image - expected[..., None]).max() <= 0.51

    def test_a_folder_says_it_once(self, tmp_path: Path) -> None:
        for name in ("1.png", "2.png"):
            assert cv2.imwrite(str(tmp_path / name), THERMAL)
        assert [type(item) for item in open_source(tmp_path)] == [SourceStatus, Frame, Frame]
        assert [type(item) for item in open_source(tmp_path, stretch=True)] == [Frame, Frame]

    def test_numbers_without_a_range(self, tmp_path: Path) -> None:
        celsius = THERMAL.astype(np.float32) / 100 - 273.15
        celsius[0, 0] = np.nan
        path = tmp_path / "a.tif"
        assert cv2.imwrite(str(path), celsius)
        with pytest.raises(SourceError, match=r"float32 numbers without a range.*stretch=True"):
            read_image(path)
        image = read_image(path, stretch=True).image
        assert image[0, 0, 0] == 0
        assert image.max() == 255

    def test_one_value(self, tmp_path: Path) -> None:
        assert cv2.imwrite(str(tmp_path / "a.png"), np.full((4, 4), 30_000, np.uint16))
        assert not read_image(tmp_path / "a.png", stretch=True).image.any()

    def test_colour_of_16_bits_and_grey_of_8_are_as_ever(self, tmp_path: Path) -> None:
        deep = quarters()[..., ::-1].astype(np.uint16) * 257
        alpha = np.dstack([deep, np.full((48, 80), 65_535, np.uint16)])
        for name, pixels in (("a.png", deep), ("b.png", alpha), ("c.tif", deep)):
            assert cv2.imwrite(str(tmp_path / name), pixels)
            for stretch in (False, True):
                still = read_image(tmp_path / name, stretch=stretch)
                assert_alike(still.image, quarters())
                assert still.note == ""
        assert cv2.imwrite(str(tmp_path / "d.png"), np.full((4, 4), 100, np.uint8))
        assert (read_image(tmp_path / "d.png", stretch=True).image == 100).all()


def png_header(width: int, height: int) -> bytes:
    return (
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", width, height) + b"\x08\x02\0\0\0" + b"\0" * 64
    )


def tiff_header(width: int, height: int, *, big: bool) -> bytes:
    tags = [(256, 4, width), (257, 4, height), (258, 3, 8), (262, 3, 1), (277, 3, 1)]
    if big:
        rows = b"".join(struct.pack("<HHQQ", name, kind, 1, value) for name, kind, value in tags)
        return b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, len(tags)) + rows + b"\0" * 8
    rows = b"".join(struct.pack("<HHII", name, kind, 1, value) for name, kind, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + rows + b"\0" * 4


def jpeg_header(width: int, height: int) -> bytes:
    data = bytearray(cv2.imencode(".jpg", np.zeros((16, 16, 3), np.uint8))[1].tobytes())
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


HUGE = {
    "a.png": png_header(60_000, 60_000),
    "a.jpg": jpeg_header(60_000, 60_000),
    "a.tif": tiff_header(60_000, 60_000, big=False),
    "b.tif": tiff_header(60_000, 60_000, big=True),
    "a.bmp": b"BM" + b"\0" * 12 + struct.pack("<Iii", 40, 60_000, -60_000) + b"\0" * 64,
    "a.ppm": b"P6 # by hand\n60000 60000\n255\n" + b"\0" * 64,
    "a.webp": b"RIFF\0\1\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + (59_999).to_bytes(3, "little") * 2 + b"\0" * 64,
    "a.jp2": b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypjp2 \0\0\0\0jp2 \0\0\0\x2djp2h\0\0\0\x16ihdr"
    + struct.pack(">II", 60_000, 60_000),
}


class TestBounds:
    @pytest.mark.parametrize("name", list(HUGE))
    def test_a_header_that_claims_gigabytes(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).write_bytes(HUGE[name])
        with pytest.raises(SourceError, match="claims 60000x60000 pixels, more than 134,217,728"):
            read_image(tmp_path / name)

    @pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp", "heic", "bmp", "ppm"])
    def test_a_sparse_file_of_4_gigabytes(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"a.{suffix}"
        with path.open("wb") as file:
            file.truncate(2**32)
        with pytest.raises(SourceError, match="damaged or not a picture"):
            list(open_source(path))

    def test_a_good_header_and_4_gigabytes_behind_it(self, tmp_path: Path) -> None:
        path = tmp_path / "a.png"
        assert cv2.imwrite(str(path), quarters())
        with path.open("r+b") as file:
            file.truncate(2**32)
        with pytest.raises(SourceError, match="4,294,967,296 bytes, more than the 1,073,741,824"):
            read_image(path)

    @pytest.mark.parametrize(
        "name", ["a.ppm", "a.bmp", "a.png", "a.jpg", "a.tif", "a.webp", "a.jp2"], ids=lambda name: name[2:]
    )
    def test_a_file_cut_off(self, tmp_path: Path, name: str) -> None:
        rng = np.random.default_rng(0)
        whole = cv2.imencode(name[1:], rng.integers(0, 255, (48, 80, 3), np.uint8))[1].tobytes()
        for size in (3, 10, 20, 30, len(whole) // 2, len(whole) * 9 // 10):
            (tmp_path / name).write_bytes(whole[:size])
            with pytest.raises(SourceError, match="is damaged"):
                read_image(tmp_path / name)

    @pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp", "bmp", "pgm", "jp2"])
    def test_flipped_bytes_end_in_a_picture_or_a_sentence(self, tmp_path: Path, suffix: str) -> None:
        grey = quarters()[..., 0] if suffix == "pgm" else quarters()
        whole = cv2.imencode(f".{suffix}", grey)[1].tobytes()
        rng = np.random.default_rng(0)
        path = tmp_path / f"a.{suffix}"
        for _ in range(80):
            broken = bytearray(whole)
            for _ in range(int(rng.integers(1, 4))):
                broken[int(rng.integers(min(len(whole), 200)))] = int(rng.choice([0, 1, 127, 255]))
            path.write_bytes(broken)
            with contextlib.suppress(SourceError):
                assert read_image(path, stretch=True).image.shape[2] == 3

    def test_one_bad_picture_does_not_end_a_folder(self, tmp_path: Path) -> None:
        for number in (1, 9):
            assert cv2.imwrite(str(tmp_path / f"{number}.png"), quarters())
        (tmp_path / "2.png").write_bytes(HUGE["a.png"])
        (tmp_path / "3.jpg").write_bytes(b"")
        os.mkfifo(tmp_path / "4.png")
        (tmp_path / "5.png").symlink_to("5.png")
        (tmp_path / "6.png").symlink_to("nowhere.png")
        (tmp_path / "7.png").mkdir()
        items = list(open_source(tmp_path))
        assert [item.time_s for item in items if isinstance(item, Frame)] == [0, 0.25]
        told = [item.message for item in items if isinstance(item, SourceStatus)]
        expected = ["claims 60000x60000", "is empty", "not a regular file", "symbolic links", "No such file"]
        assert len(told) == len(expected)
        assert all(part in message for part, message in zip(expected, told))
