"""What the first bytes of a file say: which kind of picture it is and how large, before anything is decoded."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import BinaryIO

__all__ = ["Header", "read_header"]

HEAD_BYTES = 4096
MAX_SEGMENTS = 1000  # of a JPEG before its size; cameras write a dozen
MAX_TAGS = 4096  # of a TIFF directory; the format has a few hundred
_PNM = re.compile(rb"P[1-6](?:\s+|#[^\n]*\n)+(\d+)(?:\s+|#[^\n]*\n)+(\d+)\s")
_PAM = re.compile(rb"P7\s(?:.*\n)*?WIDTH (\d+)\s+HEIGHT (\d+)\s")
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"mif2", b"msf1"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_VIDEO_STARTS = (b"GIF8", b"\x1aE\xdf\xa3", b"OggS", b"FLV\x01", b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3")


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a file says of itself.

    Attributes:
        kind: `png`, `jpeg`, `bmp`, `tiff`, `bigtiff`, `webp`, `animated webp`, `pnm`, `jp2`, `heif`, `video`, or
            `""` for anything else.
        width: Pixels; 0 where another module has to read it (`heif`) or the file does not say.
        height: Likewise.
        orientation: Of EXIF, 1 to 8, where OpenCV does not always see it (`webp`); else 1, as stored.
        scan: Where the first scan of a JPEG begins.
    """

    kind: str
    width: int = 0
    height: int = 0
    orientation: int = 1
    scan: int = 0


def read_header(file: BinaryIO) -> Header:
    """Read the kind and size of a picture from a few thousand bytes, by ISO/IEC 15948, 10918-1 and 15444-1, TIFF 6.0
    and the container specification of WebP."""
    head = file.read(HEAD_BYTES)
    try:
        return _parse(file, head)
    except (struct.error, IndexError, ValueError):  # it ends in the middle
        return Header(kind="")


def _parse(file: BinaryIO, head: bytes) -> Header:
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        width, height = struct.unpack(">II", head[16:24])
        return Header(kind="png", width=width, height=height)
    if head.startswith(b"\xff\xd8"):
        return _jpeg(file)
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return _tiff(file, head)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return _webp(file, head)
    if head.startswith(b"BM"):
        wide = struct.unpack("<I", head[14:18])[0] != 12  # the first version of the format had short numbers
        width, height = struct.unpack("<ii" if wide else "<HH", head[18:26] if wide else head[18:22])
        return Header(kind="bmp", width=abs(width), height=abs(height))
    if match := _PNM.match(head) or _PAM.match(head):
        return Header(kind="pnm", width=int(match[1][:10]), height=int(match[2][:10]))
    if head.startswith(b"\0\0\0\x0cjP  "):
        height, width = struct.unpack_from(">II", head, head.index(b"ihdr") + 4)
        return Header(kind="jp2", width=width, height=height)
    if head[4:8] == b"ftyp":
        brands = {head[8:12], *(head[at : at + 4] for at in range(16, min(len(head), _u32(head)), 4))}
        return Header(kind="heif" if brands & (_HEIF_BRANDS | _AVIF_BRANDS) else "video")
    is_avi = head[:4] == b"RIFF" and head[8:12] == b"AVI "
    return Header(kind="video" if is_avi or head.startswith(_VIDEO_STARTS) else "")


def _jpeg(file: BinaryIO) -> Header:
    """Walk over the segments up to the first scan."""
    width = height = 0
    file.seek(2)
    for _ in range(MAX_SEGMENTS):
        marker = file.read(4)
        if marker[0] != 0xFF:
            break
        if marker[1] == 0xFF:  # any number of these may stand before a marker
            file.seek(-3, 1)
            continue
        begin, length = file.tell() - 2, struct.unpack(">H", marker[2:])[0]
        if marker[1] == 0xDA:
            return Header(kind="jpeg", width=width, height=height, scan=begin)
        if marker[1] in _START_OF_FRAME:
            height, width = struct.unpack(">HH", file.read(5)[1:])
        file.seek(begin + length)
    return Header(kind="jpeg")


def _tiff(file: BinaryIO, head: bytes) -> Header:
    tags = _tags(file, 0)
    return Header(
        kind="bigtiff" if b"+" in head[2:4] else "tiff", width=tags.get(256, 0), height=tags.get(257, 0)
    )


def _tags(file: BinaryIO, begin: int) -> dict[int, int]:
    """The whole numbers in the first directory of a TIFF, or of EXIF, that starts at `begin`."""
    file.seek(begin)
    head = file.read(16)
    order, big = "<" if head.startswith(b"II") else ">", b"+" in head[2:4]
    number, tag, count = ("Q", "HHQ8s", "Q") if big else ("I", "HHI4s", "H")
    file.seek(begin + struct.unpack_from(order + number, head, 8 if big else 4)[0])
    entries = struct.unpack(order + count, file.read(struct.calcsize(order + count)))[0]
    tags: dict[int, int] = {}
    for _ in range(min(entries, MAX_TAGS)):
        name, kind, _, value = struct.unpack(order + tag, file.read(struct.calcsize(order + tag)))
        if form := {3: "H", 4: "I", 16: "Q"}.get(kind):
            tags.setdefault(name, struct.unpack_from(order + form, value)[0])
    return tags


def _webp(file: BinaryIO, head: bytes) -> Header:
    if head[12:16] == b"VP8X":
        width, height = (int.from_bytes(head[at : at + 3], "little") + 1 for at in (24, 27))
        kind = "animated webp" if head[20] & 2 else "webp"
        orientation = _webp_orientation(file) if head[20] & 8 else 1
        return Header(kind=kind, width=width, height=height, orientation=orientation)
    if head[12:16] == b"VP8L":
        bits = struct.unpack("<I", head[21:25])[0]
        return Header(kind="webp", width=(bits & 0x3FFF) + 1, height=(bits >> 14 & 0x3FFF) + 1)
    width, height = struct.unpack("<HH", head[26:30])
    return Header(kind="webp", width=width & 0x3FFF, height=height & 0x3FFF)


def _webp_orientation(file: BinaryIO) -> int:
    at = 12
    for _ in range(MAX_SEGMENTS):
        file.seek(at)
        chunk = file.read(14)
        if len(chunk) < 14:
            return 1
        if chunk[:4] == b"EXIF":
            found = _tags(file, at + (14 if chunk[8:] == b"Exif\0\0" else 8)).get(274, 1)
            return found if 1 <= found <= 8 else 1
        size = struct.unpack("<I", chunk[4:8])[0]
        at += 8 + size + size % 2
    return 1


def _u32(data: bytes) -> int:
    return int.from_bytes(data[:4], "big")
