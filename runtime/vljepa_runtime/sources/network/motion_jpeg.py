"""Motion JPEG and snapshots over HTTP: pictures are found by the JPEG's own markers, not by what is around them.

Cameras leave out the first boundary, its dashes or the lengths, or send wrong ones; a JPEG always says itself where it
ends (ITU-T T.81, B.1.1).
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from functools import partial
from typing import cast

import av
import numpy as np
import numpy.typing as npt
from av.video.codeccontext import VideoCodecContext

from vljepa_runtime.sources.address import Address
from vljepa_runtime.sources.live.deadline import ConnectionLostError, Deadline
from vljepa_runtime.sources.live.source import LIVE_LIMITS, Backoff
from vljepa_runtime.sources.network.web_file import CHUNK, RefusedError, WebFile
from vljepa_runtime.sources.pictures.pixels import Picture, shrink, to_array

__all__ = ["JpegSplitter", "MotionJpeg", "Snapshots", "is_motion_jpeg", "is_snapshot"]

MAX_BYTES = 32 << 20  # of one picture
POLL_S = 0.5  # between snapshots when nobody says how many are wanted
FAILURES = 4  # requests in a row
FASTEST_S, SLOWEST_S = 0.1, 5.0  # also after requests that failed

SOI, EOI, SOS = 0xD8, 0xD9, 0xDA
_BEGIN = b"\xff\xd8\xff"
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # inside a scan, 00 stuffs a byte and D0 to D7 restart
_BARE = frozenset({0x01, *range(0xD0, 0xD8)})  # markers without a length
_PART = re.compile(  # a boundary, headers, and a picture or at least the name of its type
    rb"\s*(?:[^\r\n:]{1,200}\r?\n)?(?:[\w-]+:[^\r\n]*\r?\n)*?(?:content-type:\s*image/jpe?g|\r?\n\xff\xd8\xff)",
    re.IGNORECASE,
)
_STILLS = frozenset({"image/jpeg", "image/jpg", "image/pjpeg", "image/png", "image/bmp", "image/webp"})
_DECODERS = {b"\x89PNG": "png", b"BM": "bmp", b"RIFF": "webp"}  # FFmpeg's, by the first bytes


def is_motion_jpeg(file: WebFile) -> bool:
    """Whether a server sends JPEG after JPEG in parts, by its media type or its first bytes."""
    return file.mime.startswith("multipart/") or _PART.match(file.head()) is not None


def is_snapshot(file: WebFile) -> bool:
    """Whether a server gives one picture for each request, or pushes JPEG after JPEG with nothing in between.

    Many call them `application/octet-stream` or `text/plain`; a file of Motion JPEG has a length and its own name.
    """
    is_file = file.length is not None and file.name.lower().endswith((".mjpeg", ".mjpg"))
    return file.mime in _STILLS or (not is_file and file.head().startswith(_BEGIN))


class JpegSplitter:
    """Takes bytes as they come and gives whole JPEG pictures; anything between them is left out."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._at = 0  # the next marker of the picture that begins at 0; 0 while there is none
        self._scan = False  # `_at` is inside entropy-coded data

    def push(self, data: bytes) -> Iterator[bytes]:
        """Add bytes; give the pictures that are complete now."""
        self._data += data
        while True:
            if not self._at and not self._find(0):
                return
            end = self._end()
            if end is None:
                if len(self._data) > MAX_BYTES:
                    self._find(2)
                    continue
                return
            if end:
                yield bytes(self._data[:end])
            self._find(max(end, 2))

    def _find(self, start: int) -> bool:
        """Begin the next picture at or after `start`, dropping what is before it."""
        begin = self._data.find(_BEGIN, start)
        self._scan = False
        self._at = 0 if begin < 0 else 2
        del self._data[: begin if begin >= 0 else max(start, len(self._data) - 2)]
        return begin >= 0

    def _end(self) -> int | None:
        """Where the picture ends; None: it goes on, 0: it is broken."""
        data = self._data
        while len(data) >= self._at + 4 or data[self._at : self._at + 2] == b"\xff\xd9":
            if self._scan:
                match = _MARKER.search(data, self._at)
                if match is None:
                    self._at = len(data) - 1
                    return None
                self._at, self._scan = match.start(), False
                continue
            if data[self._at] != 0xFF:
                return 0
            marker = data[self._at + 1]
            if marker == EOI:
                return self._at + 2
            if marker == SOI:
                return self._at  # the one before has no end of its own
            if marker == 0xFF:
                self._at += 1
            elif marker in _BARE:
                self._at += 2
            else:
                self._at += 2 + int.from_bytes(data[self._at + 2 : self._at + 4], "big")
                self._scan = marker == SOS
        return None


class _Decoder:
    """The bytes of a picture to a frame, by FFmpeg's decoder of that name."""

    def __init__(self, name: str = "mjpeg") -> None:
        self._codec = cast(VideoCodecContext, av.CodecContext.create(name, "r"))
        self._codec.thread_count = 1  # others hold pictures back
        self._codec.options = dict(LIVE_LIMITS)

    def decode(self, data: bytes) -> av.VideoFrame | None:
        """None when the picture is damaged or too large."""
        try:
            frames = self._codec.decode(av.Packet(data))
        except (av.FFmpegError, ValueError):
            return None
        frame = frames[-1] if frames else None
        return frame if isinstance(frame, av.VideoFrame) else None


class MotionJpeg:
    """JPEG pictures one after another in one endless answer; see `Connection`."""

    note = ""

    def __init__(self, file: WebFile, deadline: Deadline) -> None:
        self._file = file
        self._deadline = deadline

    def pictures(self, interval_s: float | None = None) -> Iterator[Picture]:
        """Every picture that can be decoded."""
        decoder, splitter = _Decoder(), JpegSplitter()
        while data := self._file.read(CHUNK):
            for jpeg in splitter.push(data):
                self._deadline.check()
                if (frame := decoder.decode(jpeg)) is not None:
                    self._deadline.renew()
                    yield partial(_to_rgb, frame)

    def close(self) -> None:
        """Hang up."""
        self._file.close()


class Snapshots:
    """One picture for each request, asked for as often as the consumer wants one; see `Connection`.

    Args:
        address: Where they are.
        file: The answer to the first request.
        deadline: Ends every wait.
    """

    note = ""

    def __init__(self, address: Address, file: WebFile, deadline: Deadline) -> None:
        self._address = address
        self._file: WebFile | None = file
        self._deadline = deadline

    def pictures(self, interval_s: float | None = None) -> Iterator[Picture]:
        """A picture for each request; the last one again where the server says that it has not changed.

        Cameras fail to answer now and then: several failures in a row are a lost connection, one is not.
        """
        wait_s = min(max(interval_s or POLL_S, FASTEST_S), SLOWEST_S)
        backoff = Backoff(first_s=wait_s, cap_s=SLOWEST_S, jitter=0)
        newest: Picture | None = None
        tag: str | None = None
        failed = 0
        while True:
            begun = time.monotonic()
            try:
                if self._file is None:
                    headers = {"If-None-Match": tag} if tag and newest is not None else {}
                    self._file = WebFile(self._address, self._deadline, headers=headers)
                for picture in self._answer(self._file) if self._file.changed else filter(None, [newest]):
                    self._deadline.renew()
                    newest, failed = picture, 0
                    yield picture
                tag = self._file.headers.get("ETag") or (None if self._file.changed else tag)
            except (ConnectionLostError, RefusedError) as error:
                failed += 1
                if failed == FAILURES or self._deadline.is_over:
                    raise ConnectionLostError(str(error)) from error
            self.close()
            self._deadline.sleep(backoff.wait_s(failed + 1) - (time.monotonic() - begun))

    def _answer(self, file: WebFile) -> Iterator[Picture]:
        head = file.head()
        decoder = next((name for magic, name in _DECODERS.items() if head.startswith(magic)), None)
        if decoder is None:
            yield from MotionJpeg(file, self._deadline).pictures()
        elif (frame := _Decoder(decoder).decode(file.read_all(MAX_BYTES))) is not None:
            yield partial(_to_rgb, frame)

    def close(self) -> None:
        """Hang up."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _to_rgb(frame: av.VideoFrame, short_side: int | None) -> npt.NDArray[np.uint8]:
    pixels = to_array(frame, (frame.width, frame.height), hd=False)  # of any size, a still is BT.601
    if frame.rotation:
        pixels = np.rot90(pixels, round(frame.rotation / 90))
    return shrink(np.ascontiguousarray(pixels), short_side)
