"""Motion JPEG as cameras really send it: the pictures come out equal, whatever is between them."""

from __future__ import annotations

import io
import random
import socket
import struct
import time
import tracemalloc
from collections.abc import Callable
from types import ModuleType

import av
import cv2
import numpy as np
import pytest

from vljepa_runtime.errors import SourceError
from vljepa_runtime.sources import Frame, Hints, SourceStatus, open_source
from vljepa_runtime.sources.live.source import LiveSource
from vljepa_runtime.sources.network.motion_jpeg import MAX_BYTES, JpegSplitter, _Decoder

Wrap = Callable[[list[bytes]], bytes]
TYPE = b"Content-Type: image/jpeg\r\n"


def sized(picture: bytes, more: int = 0) -> bytes:
    return TYPE + b"Content-Length: %d\r\n\r\n" % (len(picture) + more) + picture


BODIES: dict[str, tuple[bytes, Wrap]] = {
    "standard": (b"x", lambda p: b"".join(b"--x\r\n" + sized(j) + b"\r\n" for j in p) + b"--x--\r\n"),
    "no first boundary": (b"x", lambda p: b"\r\n--x\r\n".join(map(sized, p))),
    "no dashes": (b"x", lambda p: b"".join(b"x\r\n" + sized(j) + b"\r\n" for j in p)),
    "quoted": (b'"a b"', lambda p: b"".join(b"--a b\r\n" + sized(j) + b"\r\n" for j in p)),
    "dashes declared": (b"--x", lambda p: b"".join(b"--x\r\n" + sized(j) + b"\r\n" for j in p)),
    "dashes inside": (b"a--b-", lambda p: b"".join(b"--a--b-\r\n" + sized(j) + b"\r\n" for j in p)),
    "another boundary": (b"x", lambda p: b"".join(b"--y\r\n" + sized(j) + b"\r\n" for j in p)),
    "no lengths": (b"x", lambda p: b"".join(b"--x\r\n" + TYPE + b"\r\n" + j + b"\r\n" for j in p)),
    "lengths too small": (b"x", lambda p: b"".join(b"--x\r\n" + sized(j, -100) + b"\r\n" for j in p)),
    "lengths too large": (b"x", lambda p: b"".join(b"--x\r\n" + sized(j, 100) + b"\r\n" for j in p)),
    "line feeds": (
        b"x",
        lambda p: b"".join(b"--x\n" + sized(j).replace(b"\r\n", b"\n", 3) + b"\n" for j in p),
    ),
    "more headers": (
        b"x",
        lambda p: b"".join(b"--x\r\nX-Time: 7\r\nServer: c:\xe9\r\n" + sized(j) + b"\r\n" for j in p),
    ),
    "preamble": (b"x", lambda p: b"hello\r\n\xff\r\n" * 300 + b"".join(b"--x\r\n" + sized(j) for j in p)),
    "one after another": (b"x", b"".join),
    "fill bytes": (b"x", lambda p: b"".join(j[:2] + b"\xff\xff" + j[2:] for j in p)),
    "no ends": (b"x", lambda p: b"".join(b"--x\r\n" + sized(j[:-2]) + b"\r\n" for j in p)),
}


def split(data: bytes, sizes: Callable[[], int]) -> list[bytes]:
    splitter, found, start = JpegSplitter(), [], 0
    while start < len(data):
        size = sizes()
        found += splitter.push(data[start : start + size])
        start += size
    return found


@pytest.mark.parametrize("name", [n for n in BODIES if n not in ("fill bytes", "no ends")])
@pytest.mark.parametrize("chunk", [1, 7, 1 << 20], ids=str)
def test_every_picture_is_found_as_it_was(live_servers: ModuleType, name: str, chunk: int) -> None:
    pictures = list(live_servers.pictures())
    assert split(BODIES[name][1](pictures), lambda: chunk) == pictures


@pytest.mark.parametrize("name", BODIES)
def test_a_server_of_each_kind_is_read(live_servers: ModuleType, name: str) -> None:
    pictures = list(live_servers.pictures())
    boundary, wrap = BODIES[name]

    def answer(client: socket.socket, request: bytes) -> None:
        body = wrap(pictures)
        client.sendall(live_servers.PARTS_HEADER % boundary)
        for start in range(0, len(body), 1000):
            client.sendall(body[start : start + 1000])
            time.sleep(0.01)
        time.sleep(1)

    pil = pytest.importorskip("PIL.Image")
    expected = [np.asarray(pil.open(io.BytesIO(picture)).convert("RGB"), int) for picture in pictures]
    with live_servers.serving(answer) as port, open_source(f"http://127.0.0.1:{port}/stream") as source:
        assert isinstance(source, LiveSource)
        frames = [item for _, item in zip(range(4), source) if isinstance(item, Frame)]
    assert frames  # how many of the ten says how busy the machine is: a live source keeps the newest
    for frame in frames:
        assert np.abs(frame.image - expected[frame.index]).mean() < 2  # two decoders round differently


def test_pictures_inside_pictures_are_not_taken_for_pictures(live_servers: ModuleType) -> None:
    outer, thumbnail = live_servers.pictures()[:2]
    segment = b"Exif\x00\x00" + thumbnail
    nested = outer[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + outer[2:]
    assert split(nested + b"\r\n--x\r\n" + nested, lambda: 100) == [nested, nested]


def test_progressive_pictures_and_restart_markers() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)
    for flags in ([cv2.IMWRITE_JPEG_PROGRESSIVE, 1], [cv2.IMWRITE_JPEG_RST_INTERVAL, 2]):
        picture = cv2.imencode(".jpg", noise, flags)[1].tobytes()
        assert split(b"junk" + picture + b"--x" + picture, lambda: 33) == [picture, picture]


def test_damage_costs_the_damaged_picture_only(live_servers: ModuleType) -> None:
    one, two, three = live_servers.pictures()[:3]
    broken = one + two[:300] + b"\r\n--x\r\n" + three
    found = split(broken, lambda: 50)
    assert found[0] == one
    assert found[-1] == three


def test_random_bytes_neither_raise_nor_gather() -> None:
    chance = random.Random(1)
    splitter = JpegSplitter()
    tracemalloc.start()
    for _ in range(300):
        junk = bytes(chance.choices((0xFF, 0xD8, 0xDA, 0xD9, 0xE1, 0x00, 0x05), k=2000))
        list(splitter.push(junk))
    held_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held_bytes < 200_000


def test_a_picture_without_end_is_given_up(live_servers: ModuleType) -> None:
    splitter = JpegSplitter()
    list(splitter.push(live_servers.pictures()[0][:-2]))
    tracemalloc.start()
    for _ in range(MAX_BYTES // (1 << 20) + 3):
        list(splitter.push(b"\x55" * (1 << 20)))
    held_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held_bytes < 100_000
    assert list(splitter.push(live_servers.pictures()[1])) == [live_servers.pictures()[1]]


def test_a_picture_of_gigabytes_is_refused_by_its_header(live_servers: ModuleType) -> None:
    picture = bytearray(live_servers.pictures()[0])
    at = picture.index(b"\xff\xc0") + 5
    decoder = _Decoder()
    for size in (65500, 8000):
        picture[at : at + 4] = struct.pack(">HH", size, size)
        assert decoder.decode(bytes(picture)) is None
    assert decoder.decode(live_servers.pictures()[0]) is not None


def test_decoded_as_ffmpeg_decodes_the_file(live_servers: ModuleType) -> None:
    picture = live_servers.pictures()[3]
    ours = _Decoder().decode(picture)
    assert ours is not None
    with av.open(io.BytesIO(picture)) as container:
        theirs = next(container.decode(video=0))
    assert np.array_equal(ours.to_ndarray(format="rgb24"), theirs.to_ndarray(format="rgb24"))
    assert ours.color_range == theirs.color_range


class TestSnapshots:
    @pytest.mark.parametrize("length", [True, False], ids=["length", "until closed"])
    def test_one_healthy_stream(self, live_servers: ModuleType, length: bool) -> None:
        asked: list[bytes] = []

        def answer(client: socket.socket, request: bytes) -> None:
            asked.append(request)
            picture = live_servers.pictures()[min(len(asked), 10) - 1]
            sized = b"Content-Length: %d\r\n" % len(picture) if length else b""
            head = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nConnection: close\r\n" + sized
            client.sendall(head + b"\r\n" + picture)

        hints = Hints(min_interval_s=0.1)
        with (
            live_servers.serving(answer) as port,
            open_source(f"http://127.0.0.1:{port}/snapshot.jpg") as source,
        ):
            assert source.live
            items = [item for _, item in zip(range(7), source.frames(hints))]
        assert [getattr(item, "kind", "frame") for item in items] == ["connected"] + ["frame"] * 6
        assert np.diff([item.time_s for item in items[1:]]).min() > 0.02

    def test_an_unchanged_picture_stays_on_show(self, live_servers: ModuleType) -> None:
        asked: list[bytes] = []

        def answer(client: socket.socket, request: bytes) -> None:
            asked.append(request)
            picture = live_servers.pictures()[0]
            if b'If-None-Match: "7"' in request:
                client.sendall(b"HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n")
            else:
                head = (
                    b'HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nETag: "7"\r\nContent-Length: %d\r\n\r\n'
                )
                client.sendall(head % len(picture) + picture)

        hints = Hints(min_interval_s=0.1)
        with (
            live_servers.serving(answer) as port,
            open_source(f"http://127.0.0.1:{port}/snapshot.jpg") as source,
        ):
            frames = [item for _, item in zip(range(5), source.frames(hints)) if isinstance(item, Frame)]
        assert len(frames) == 4
        assert all(np.array_equal(frame.image, frames[0].image) for frame in frames)
        assert b"If-None-Match" not in asked[0]
        assert all(b"If-None-Match" in request for request in asked[1:4])

    def test_png_too(self, live_servers: ModuleType) -> None:
        image = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
        data = cv2.imencode(".png", image[..., ::-1])[1].tobytes()

        def answer(client: socket.socket, request: bytes) -> None:
            head = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n" % len(data)
            client.sendall(head + data)

        with live_servers.serving(answer) as port, open_source(f"http://127.0.0.1:{port}/now") as source:
            frame = next(item for item in source if isinstance(item, Frame))
        assert np.array_equal(frame.image, image)

    def test_a_page_instead_of_the_picture_is_told(
        self, live_servers: ModuleType, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("vljepa_runtime.sources.network.opening.PICTURE_S", 0.5)
        asked: list[bytes] = []

        def answer(client: socket.socket, request: bytes) -> None:
            asked.append(request)
            body = live_servers.pictures()[0] if len(asked) < 3 else b"<html>log in</html>"
            head = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(body)
            client.sendall(head + body)

        hints = Hints(min_interval_s=0.1)
        with (
            live_servers.serving(answer) as port,
            open_source(f"http://127.0.0.1:{port}/snapshot.jpg") as source,
        ):
            told = next(
                i for i in source.frames(hints) if isinstance(i, SourceStatus) and i.kind == "reconnecting"
            )
        assert "no picture for" in told.message

    def test_a_picture_that_was_never_one_is_an_error(
        self, live_servers: ModuleType, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("vljepa_runtime.sources.network.opening.PICTURE_S", 0.3)

        def answer(client: socket.socket, request: bytes) -> None:
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: 4\r\n\r\nnone")

        with live_servers.serving(answer) as port:
            source = open_source(f"http://127.0.0.1:{port}/snapshot.jpg")
            with source, pytest.raises(SourceError, match="no picture after 3 attempts: no picture for"):
                list(source)


@pytest.mark.parametrize(
    "mime", ["image/jpeg", "application/octet-stream", "video/x-motion-jpeg", "text/plain"]
)
@pytest.mark.parametrize(
    "before", [b"", b"--x\r\nContent-Length: 9\r\n\r\n", b"x\n\n"], ids=["bare", "part", "lf"]
)
def test_pictures_are_known_by_their_bytes(live_servers: ModuleType, mime: str, before: bytes) -> None:
    def push(client: socket.socket, request: bytes) -> None:
        client.sendall(f"HTTP/1.1 200 OK\r\nContent-Type: {mime}\r\n\r\n".encode())
        for picture in live_servers.pictures() * 5:
            client.sendall(before + picture + b"\r\n")
            time.sleep(0.02)

    with live_servers.serving(push) as port, open_source(f"http://127.0.0.1:{port}/stream") as source:
        frames = [item for _, item in zip(range(4), source) if isinstance(item, Frame)]
    assert [frame.image.shape for frame in frames] == [(48, 64, 3)] * 3


ODD = {
    "a page": b"200 OK\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\nbusy",
    "nothing": b"200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: 0\r\n\r\n",
    "half a picture": b"200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: 999\r\n\r\n\xff\xd8\xff\xe0",
    "not found": b"404 Not Found\r\nContent-Length: 0\r\n\r\n",
    "a login": b"401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
    "busy": b"503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
    "unchanged": b"304 Not Modified\r\n\r\n",
}


@pytest.mark.parametrize("name", ODD)
def test_a_snapshot_now_and_then_without_a_picture(live_servers: ModuleType, name: str) -> None:
    asked = []

    def answer(client: socket.socket, request: bytes) -> None:
        asked.append(request)
        picture = live_servers.pictures()[len(asked) % 10]
        good = b"200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(picture) + picture
        client.sendall(b"HTTP/1.1 " + (good if len(asked) % 3 else ODD[name]))

    hints = Hints(min_interval_s=0.1)
    with (
        live_servers.serving(answer) as port,
        open_source(f"http://127.0.0.1:{port}/snap") as source,
    ):
        items = [item for _, item in zip(range(6), source.frames(hints))]
    assert [getattr(item, "kind", "frame") for item in items] == ["connected"] + ["frame"] * 5


def test_a_snapshot_that_is_gone_may_come_back(live_servers: ModuleType) -> None:
    asked = []

    def answer(client: socket.socket, request: bytes) -> None:
        asked.append(request)
        picture = live_servers.pictures()[0]
        good = b"200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(picture) + picture
        client.sendall(b"HTTP/1.1 " + (ODD["not found"] if 2 <= len(asked) <= 6 else good))

    hints = Hints(min_interval_s=0.1)
    with (
        live_servers.serving(answer) as port,
        open_source(f"http://127.0.0.1:{port}/snap") as source,
    ):
        kinds = [getattr(item, "kind", "frame") for _, item in zip(range(6), source.frames(hints))]
    assert kinds[:3] == ["connected", "frame", "reconnecting"]
    assert kinds.count("frame") > 1
