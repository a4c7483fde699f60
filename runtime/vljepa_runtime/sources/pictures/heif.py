"""HEIC and AVIF stills: which coded items make up the picture, and how it is turned (ISO/IEC 23008-12).

FFmpeg gives each coded item as a stream and leaves it to the caller to put the tiles of a grid together.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
import numpy.typing as npt

from vljepa_runtime.errors import SourceError
from vljepa_runtime.sources.naming import shown_path
from vljepa_runtime.sources.pictures.pixels import DECODER_LIMITS, check_size, to_array

__all__ = ["is_sequence", "read_heif"]

UInt8 = npt.NDArray[np.uint8]

MAX_META_BYTES = 2**24  # boxes of a 12-megapixel photograph in tiles take some ten thousand
MAX_BOXES = 10_000
MAX_DERIVED = 4  # an item that only turns another one may be made of such a one


@dataclass(frozen=True, slots=True, kw_only=True)
class _Item:
    kind: str
    inputs: list[int]
    properties: list[tuple[str, bytes]]
    data: bytes


def is_sequence(path: Path) -> bool:
    """Whether a HEIF file holds a track: an animation, which is a video."""
    with path.open("rb") as file:
        return any(kind == "moov" for kind, _, _ in _file_boxes(file))


def read_heif(path: Path) -> UInt8:
    """Decode the primary picture of a HEIC or AVIF file, upright.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        SourceError: it is damaged, too large, or put together in a way not known here.
    """
    name = shown_path(path)
    try:
        with path.open("rb") as file:
            meta = _Meta(file, name)
            pixels, turns = _compose(file, meta, name)
        for kind, data in turns:
            pixels = _turned(pixels, kind, data)
    except (av.FFmpegError, OSError, struct.error, ValueError, LookupError, ZeroDivisionError) as error:
        raise SourceError(f"{name} is damaged or not a picture: check the file or leave it out") from error
    return np.ascontiguousarray(pixels)


def _compose(file: BinaryIO, meta: _Meta, name: str) -> tuple[UInt8, list[tuple[str, bytes]]]:
    number = meta.primary
    item = meta.item(number)
    turns: list[tuple[str, bytes]] = []
    for _ in range(MAX_DERIVED):
        if item.kind != "iden":
            break
        turns = item.properties + turns
        number = item.inputs[0]
        item = meta.item(number)
    turns = item.properties + turns
    if item.kind == "grid":
        return _grid(file, item, name), turns
    return _decode(file, [number], name)[0], turns


def _grid(file: BinaryIO, item: _Item, name: str) -> UInt8:
    """Put tiles together, row by row; what reaches over the right and lower edge is cut."""
    rows, columns = item.data[2] + 1, item.data[3] + 1
    width, height = struct.unpack_from(">II" if item.data[1] & 1 else ">HH", item.data, 4)
    check_size(width, height, name)
    tiles = _decode(file, item.inputs, name)
    high, wide = tiles[0].shape[:2]
    alike = all(tile.shape == tiles[0].shape for tile in tiles)
    if not alike or len(tiles) != rows * columns or rows * high < height or columns * wide < width:
        raise ValueError("the tiles do not fill the picture")
    picture = np.zeros((height, width, 3), np.uint8)
    for index, tile in enumerate(tiles):
        top, left = index // columns * high, index % columns * wide
        room = picture[top : top + high, left : left + wide]
        room[:] = tile[: room.shape[0], : room.shape[1]]
    return picture


def _decode(file: BinaryIO, numbers: list[int], name: str) -> list[UInt8]:
    """The pictures of coded items, in order; FFmpeg names a stream after its item."""
    file.seek(0)
    with av.open(file, "r", format="mov", options=dict(DECODER_LIMITS)) as container:
        streams = {stream.id: stream for stream in container.streams.video}
        if missing := sorted(set(numbers) - set(streams)):
            raise SourceError(
                f"{name} is put together in a way that is not known here (items {missing[:4]} are no coded "
                "pictures): convert it to JPEG or PNG"
            )
        check_size(sum(streams[number].width * streams[number].height for number in numbers), 1, name)
        wanted = [streams[number] for number in sorted(set(numbers))]
        for stream in wanted:
            stream.codec_context.options = dict(DECODER_LIMITS)
            stream.thread_type = "NONE"
        found: dict[int, UInt8] = {}
        for packet in container.demux(wanted):
            for frame in packet.decode():
                if isinstance(frame, av.VideoFrame):
                    check_size(frame.width * (len(found) + 1), frame.height, name)
                    pixels = to_array(frame, (frame.width, frame.height), hd=False)
                    found.setdefault(packet.stream.id, pixels)
        return [found[number] for number in numbers]


def _turned(pixels: UInt8, name: str, data: bytes) -> UInt8:
    if name == "irot":
        return np.rot90(pixels, data[0] & 3)
    if name == "imir":  # 0 exchanges top and bottom, 1 left and right
        return pixels[:, ::-1] if data[0] & 1 else pixels[::-1]
    if name == "clap":
        height, width = pixels.shape[:2]
        wide, high, right, down = (n / d for n, d in struct.iter_unpack(">iI", data[:32]))
        left, top = round((width - wide) / 2 + right), round((height - high) / 2 + down)
        cut = pixels[max(0, top) : top + round(high), max(0, left) : left + round(wide)]
        return cut if cut.size else pixels
    return pixels


class _Meta:
    """The `meta` box of a file; see ISO/IEC 14496-12 8.11."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        body = b""
        for kind, start, end in _file_boxes(file):
            if kind == "meta":
                file.seek(start)
                body = file.read(min(end - start, MAX_META_BYTES))
                break
        boxes = dict(_boxes(body[4:]))
        if "pitm" not in boxes:
            raise SourceError(f"{name} holds no still picture: check the file or leave it out")
        self.primary = _number(boxes["pitm"][4:], wide=boxes["pitm"][0] > 0)
        self._kinds = dict(_kinds(boxes.get("iinf", b"")))
        self._inputs = dict(_references(boxes.get("iref", b"\0" * 4)))
        self._properties = _properties(boxes.get("iprp", b""))
        self._data = {}
        for number, stored, start, length in _locations(boxes.get("iloc", b"")):
            if self._kinds.get(number) == "grid":
                self._data[number] = self._read(boxes.get("idat", b""), stored, start, length)

    def item(self, number: int) -> _Item:
        return _Item(
            kind=self._kinds[number],
            inputs=self._inputs.get(number, []),
            properties=self._properties.get(number, []),
            data=self._data.get(number, b""),
        )

    def _read(self, inside: bytes, stored: int, start: int, length: int) -> bytes:
        length = min(length, 64)  # a grid takes 8 or 12
        if stored == 1:
            return inside[start : start + length]
        self._file.seek(start)
        return self._file.read(length)


def _file_boxes(file: BinaryIO) -> Iterator[tuple[str, int, int]]:
    """Type, start and end of the content of each box of a file."""
    file.seek(0, 2)
    size, at = file.tell(), 0
    for _ in range(MAX_BOXES):
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            return
        length, start = struct.unpack(">I", head[:4])[0], at + 8
        if length == 1:
            length, start = int.from_bytes(head[8:16], "big"), at + 16
        end = at + length if length else size
        yield head[4:8].decode("latin-1"), start, min(end, size)
        if not at < end < size:
            return
        at = end


def _boxes(data: bytes) -> Iterator[tuple[str, bytes]]:
    at = 0
    for _ in range(MAX_BOXES):
        if at + 8 > len(data):
            return
        length = struct.unpack_from(">I", data, at)[0] or len(data) - at
        yield data[at + 4 : at + 8].decode("latin-1"), data[at + 8 : at + length]
        at += max(length, 8)


def _number(data: bytes, *, wide: bool) -> int:
    return int(struct.unpack_from(">I" if wide else ">H", data)[0])


def _kinds(data: bytes) -> Iterator[tuple[int, str]]:
    """Item number and type of each `infe`."""
    for kind, body in _boxes(data[8 if data[:1] > b"\0" else 6 :]):
        if kind == "infe" and body[0] >= 2:
            wide = body[0] > 2
            at = 10 if wide else 8  # after the number and the protection index
            yield _number(body[4:], wide=wide), body[at : at + 4].decode("latin-1")


def _references(data: bytes) -> Iterator[tuple[int, list[int]]]:
    """Item number and the items that it is derived from."""
    wide = data[0] > 0
    form, size = (">I", 4) if wide else (">H", 2)
    for kind, body in _boxes(data[4:]):
        if kind == "dimg":
            count = struct.unpack_from(">H", body, size)[0]
            inputs = [struct.unpack_from(form, body, size + 2 + size * i)[0] for i in range(count)]
            yield _number(body, wide=wide), inputs


def _properties(data: bytes) -> dict[int, list[tuple[str, bytes]]]:
    """The properties of each item, in the order in which they apply."""
    known: list[tuple[str, bytes]] = []
    found: dict[int, list[tuple[str, bytes]]] = {}
    for kind, body in _boxes(data):
        if kind == "ipco":
            known = list(_boxes(body))
        if kind == "ipma":
            for number, indices in _associations(body):
                found[number] = [known[index - 1] for index in indices if index]
    return found


def _associations(data: bytes) -> Iterator[tuple[int, list[int]]]:
    wide, long = data[0] > 0, data[3] & 1
    at = 8
    for _ in range(min(struct.unpack_from(">I", data, 4)[0], MAX_BOXES)):
        number = _number(data[at:], wide=wide)
        at += 4 if wide else 2
        count = data[at]
        at += 1
        step = 2 if long else 1
        indices = [int.from_bytes(data[at + step * i : at + step * (i + 1)], "big") for i in range(count)]
        at += step * count
        yield number, [index & (0x7FFF if long else 0x7F) for index in indices]


def _locations(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Item number, where it is stored (0: in the file, 1: in `idat`), start and length of its first extent."""
    if not data:
        return
    version = data[0]
    offset_size, length_size, base_size = data[4] >> 4, data[4] & 15, data[5] >> 4
    index_size = data[5] & 15 if version else 0
    wide = version > 1
    at = 10 if wide else 8
    for _ in range(min(_number(data[6:], wide=wide), MAX_BOXES)):
        number = _number(data[at:], wide=wide)
        at += 4 if wide else 2
        stored = 0
        if version:
            stored = data[at + 1] & 15
            at += 2
        at += 2  # data reference
        base = int.from_bytes(data[at : at + base_size], "big")
        at += base_size
        extents = struct.unpack_from(">H", data, at)[0]
        at += 2
        first = at + index_size
        start = int.from_bytes(data[first : first + offset_size], "big")
        length = int.from_bytes(data[first + offset_size : first + offset_size + length_size], "big")
        at += extents * (index_size + offset_size + length_size)
        yield number, stored, base + start, length
