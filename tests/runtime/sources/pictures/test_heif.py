"""HEIC and AVIF stills: tiles put together, turned and mirrored right, told apart from animations."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest

from vljepa_runtime.errors import SourceError
from vljepa_runtime.sources import Frame, Hints, open_source
from vljepa_runtime.sources.pictures.stills import read_image

Image = npt.NDArray[np.uint8]
COLOURS = np.array([[[220, 20, 20], [20, 200, 20]], [[20, 20, 220], [200, 200, 20]]], np.uint8)
CODECS = {"libx265": (b"hvc1", b"hvcC", b"heic"), "libsvtav1": (b"av01", b"av1C", b"avif")}
Property = tuple[bytes, bytes]

needs_x265 = pytest.mark.skipif("libx265" not in av.codecs_available, reason="this PyAV has no libx265")


def rotation(quarters: int) -> Property:
    """Turn the picture counter-clockwise."""
    return b"irot", bytes([quarters])


def mirror(*, left_right: bool) -> Property:
    """Exchange left and right, or top and bottom."""
    return b"imir", bytes([left_right])


def clean_aperture(width: int, height: int, right: int, down: int) -> Property:
    """Cut out a part, whose centre is that far from the picture's."""
    return b"clap", struct.pack(">iIiIiIiI", width, 1, height, 1, right, 1, down, 1)


def write_heif(
    path: Path,
    image: Image,
    *,
    tile: int | None = None,
    properties: tuple[Property, ...] = (),
    codec: str = "libx265",
    claimed: tuple[int, int] | None = None,
    in_file: bool = False,
) -> Path:
    """Write one picture.

    Args:
        path: Where to.
        image: (H, W, 3) uint8 RGB.
        tile: Side of square tiles; None stores the picture as one item.
        properties: Turns and cuts, in order.
        codec: `libx265` or `libsvtav1`.
        claimed: Width and height that a grid says it has; None for the true ones.
        in_file: Store the description of the grid beside the pictures instead of inside the box.
    """
    kind, config_name, brand = CODECS[codec]
    height, width = image.shape[:2]
    side_w, side_h = (tile, tile) if tile else (width, height)
    rows, columns = -(-height // side_h), -(-width // side_w)
    padded = np.pad(image, ((0, rows * side_h - height), (0, columns * side_w - width), (0, 0)), mode="edge")
    parts = [
        _encoded(path, padded[r * side_h :][:side_h, c * side_w :][:, :side_w], codec, config_name)
        for r in range(rows)
        for c in range(columns)
    ]
    numbers = list(range(1, len(parts) + 1))
    extra = [box(name, data) for name, data in properties]
    w, h = claimed or (width, height)
    sizes = [_ispe(side_w, side_h), _ispe(w, h), *extra]
    known = [*sizes, *(box(config_name, config) for config, _ in parts)]
    linked = {n: [1, len(sizes) + n] for n in numbers}
    infos = [_infe(n, kind) for n in numbers]
    primary, references, chunks = 1, b"", [data for _, data in parts]
    inside = b""
    turns = list(range(3, 3 + len(extra)))
    if tile:
        primary = len(numbers) + 1
        described = struct.pack(">BBBBII", 0, 1, rows - 1, columns - 1, w, h)
        inside, chunks = (b"", [*chunks, described]) if in_file else (described, chunks)
        infos.append(_infe(primary, b"grid"))
        dimg = box(b"dimg", struct.pack(f">HH{len(numbers)}H", primary, len(numbers), *numbers))
        references = full(b"iref", dimg)
        linked[primary] = [2, *turns]
    else:
        linked[1] += turns
    associations = b"".join(struct.pack(f">HB{len(v)}B", k, len(v), *v) for k, v in linked.items())
    properties_box = box(
        b"iprp", box(b"ipco", b"".join(known)) + full(b"ipma", struct.pack(">I", len(linked)) + associations)
    )
    head = box(b"ftyp", brand + b"\0\0\0\0" + b"mif1" + brand)

    def meta(first: int) -> bytes:
        at, places = first, b""
        for number, chunk in zip([*numbers, primary], chunks):
            places += struct.pack(">HHHHII", number, 0, 0, 1, at, len(chunk))
            at += len(chunk)
        if inside:
            places += struct.pack(">HHHHII", primary, 1, 0, 1, 0, len(inside))
        count = len(chunks) + bool(inside)
        iloc = full(b"iloc", b"\x44\x00" + struct.pack(">H", count) + places, version=1)
        iinf = full(b"iinf", struct.pack(">H", len(infos)) + b"".join(infos))
        handler = full(b"hdlr", b"\0\0\0\0pict" + b"\0" * 13)
        body = handler + full(b"pitm", struct.pack(">H", primary)) + iloc + iinf + properties_box + references
        return full(b"meta", body + (box(b"idat", inside) if inside else b""))

    start = len(head) + len(meta(0)) + 8
    path.write_bytes(head + meta(start) + box(b"mdat", b"".join(chunks)))
    return path


def box(name: bytes, data: bytes) -> bytes:
    """A box of ISO/IEC 14496-12."""
    return struct.pack(">I", len(data) + 8) + name + data


def full(name: bytes, data: bytes, version: int = 0) -> bytes:
    """A box with version and flags."""
    return box(name, struct.pack(">I", version << 24) + data)


def _ispe(width: int, height: int) -> bytes:
    return full(b"ispe", struct.pack(">II", width, height))


def _infe(number: int, kind: bytes) -> bytes:
    return full(b"infe", struct.pack(">HH", number, 0) + kind + b"\0", version=2)


def _encoded(path: Path, image: Image, codec: str, config: bytes) -> tuple[bytes, bytes]:
    """Decoder configuration and coded picture, taken out of an MP4 file of one frame."""
    film = path.with_suffix(".mp4")
    options = {"crf": "8", "x265-params": "log-level=none:keyint=1"} if codec == "libx265" else {"crf": "10"}
    with av.open(str(film), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.height, stream.width = image.shape[:2]
        stream.pix_fmt = "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        container.mux(stream.encode(frame.reformat(format="yuv420p")))
        container.mux(stream.encode(None))
    data = film.read_bytes()
    at = data.index(config)
    with av.open(str(film)) as container:
        packet = bytes(next(container.demux(video=0)))
    film.unlink()
    return data[at + 4 : at - 4 + int.from_bytes(data[at - 4 : at], "big")], packet


def quarters(width: int, height: int) -> Image:
    """Red, green, blue and yellow."""
    rows, columns = np.arange(height) * 2 // height, np.arange(width) * 2 // width
    return COLOURS[rows[:, None], columns[None]]


def assert_alike(image: Image, expected: Image) -> None:
    assert image.shape == expected.shape
    assert np.abs(image.astype(int) - expected).mean() < 4


@needs_x265
@pytest.mark.parametrize("in_file", [False, True], ids=["in the box", "in the file"])
@pytest.mark.parametrize(
    ("width", "height", "tile"),
    [(240, 176, 64), (128, 128, 64), (300, 64, 128), (70, 200, 64)],
    ids=["cut at both edges", "exact", "one row", "narrow"],
)
def test_tiles(tmp_path: Path, width: int, height: int, tile: int, in_file: bool) -> None:
    image = quarters(width, height)
    path = write_heif(tmp_path / "a.heic", image, tile=tile, in_file=in_file)
    assert_alike(read_image(path).image, image)
    with open_source(path) as source:
        (frame,) = source.frames(Hints(short_side=32))
    assert isinstance(frame, Frame)
    assert min(frame.image.shape[:2]) == 32


@pytest.mark.skipif("libsvtav1" not in av.codecs_available, reason="this PyAV has no SVT-AV1")
def test_tiles_of_avif(tmp_path: Path) -> None:
    image = quarters(200, 136)
    assert_alike(read_image(write_heif(tmp_path / "a.avif", image, tile=128, codec="libsvtav1")).image, image)


@needs_x265
@pytest.mark.parametrize("tile", [None, 64], ids=["one item", "tiles"])
@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ((rotation(1),), lambda i: np.rot90(i)),
        ((rotation(3),), lambda i: np.rot90(i, 3)),
        ((mirror(left_right=True),), lambda i: i[:, ::-1]),
        ((mirror(left_right=False),), lambda i: i[::-1]),
        ((rotation(1), mirror(left_right=True)), lambda i: np.rot90(i)[:, ::-1]),
        ((mirror(left_right=True), rotation(1)), lambda i: np.rot90(i[:, ::-1])),
        ((clean_aperture(100, 60, 10, -8),), lambda i: i[10:70, 30:130]),
        ((clean_aperture(100, 60, 0, 0), rotation(2)), lambda i: i[18:78, 20:120][::-1, ::-1]),
    ],
    ids=["left", "right", "mirrored", "upside down", "turn, mirror", "mirror, turn", "cut", "cut, turn"],
)
def test_turns(tmp_path: Path, tile: int | None, properties: tuple[Property, ...], expected: object) -> None:
    image = quarters(140, 96)
    assert callable(expected)
    path = write_heif(tmp_path / "a.heic", image, tile=tile, properties=properties)
    assert_alike(read_image(path).image, expected(image))


def pillow_with_avif() -> Any:
    pil, features = pytest.importorskip("PIL.Image"), pytest.importorskip("PIL.features")
    if "avif" not in features.get_supported():
        pytest.skip("this Pillow writes no AVIF")
    return pil


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pillow_agrees_on_avif(tmp_path: Path, orientation: int) -> None:
    pil = pillow_with_avif()
    exif = pil.Exif()
    exif[274] = orientation
    path = tmp_path / "a.avif"
    pil.fromarray(quarters(80, 48)).save(path, exif=exif, quality=95)
    expected = np.asarray(pytest.importorskip("PIL.ImageOps").exif_transpose(pil.open(path)).convert("RGB"))
    assert_alike(read_image(path).image, expected)


def test_an_animation_is_a_video_and_its_first_picture_a_still(tmp_path: Path) -> None:
    pil = pillow_with_avif()
    first, path = pil.fromarray(quarters(80, 48)), tmp_path / "a.avif"
    first.save(path, save_all=True, append_images=[first.rotate(180)] * 2, duration=200)
    with open_source(path) as source:
        frames = [item for item in source if isinstance(item, Frame)]
    assert [frame.time_s for frame in frames] == pytest.approx([0, 0.2, 0.4])
    with open_source(tmp_path) as source:
        (frame,) = source
    assert isinstance(frame, Frame)
    assert_alike(frame.image, quarters(80, 48))


@needs_x265
class TestRefusals:
    def test_a_grid_larger_than_memory(self, tmp_path: Path) -> None:
        path = write_heif(tmp_path / "a.heic", quarters(64, 64), tile=64, claimed=(60_000, 60_000))
        with pytest.raises(SourceError, match="claims 60000x60000 pixels"):
            read_image(path)

    def test_a_grid_with_holes(self, tmp_path: Path) -> None:
        path = write_heif(tmp_path / "a.heic", quarters(64, 64), tile=64, claimed=(640, 480))
        with pytest.raises(SourceError, match="damaged"):
            read_image(path)

    def test_an_unknown_derivation(self, tmp_path: Path) -> None:
        path = write_heif(tmp_path / "a.heic", quarters(64, 64), tile=64)
        path.write_bytes(path.read_bytes().replace(b"grid", b"iovl"))
        with pytest.raises(SourceError, match=r"not known here.*convert it to JPEG or PNG"):
            read_image(path)

    def test_a_box_that_ends_beyond_every_disk(self, tmp_path: Path) -> None:
        whole = write_heif(tmp_path / "a.heic", quarters(64, 64)).read_bytes()
        at = struct.unpack(">I", whole[:4])[0]
        path = tmp_path / "b.heic"
        path.write_bytes(whole[:at] + b"\0\0\0\1free" + b"\xff" * 8 + whole[at:])
        with pytest.raises(SourceError, match="holds no still picture"):
            list(open_source(path))

    def test_every_cut_and_many_flips_end_in_a_picture_or_a_sentence(self, tmp_path: Path) -> None:
        whole = write_heif(tmp_path / "a.heic", quarters(100, 64), tile=64).read_bytes()
        rng = np.random.default_rng(0)
        end = whole.index(b"mdat") + 40
        cuts = [whole[:n] for n in range(12, end, 23)]
        flips = []
        for _ in range(60):
            broken = bytearray(whole)
            broken[int(rng.integers(12, end))] = int(rng.integers(256))
            flips.append(bytes(broken))
        path = tmp_path / "b.heic"
        for data in cuts + flips:
            path.write_bytes(data)
            with contextlib.suppress(SourceError):
                assert read_image(path).image.shape[2] == 3
