"""Servers that misbehave: every wait ends by the clock, nothing grows, no thread is left, Ctrl-C is answered."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from vljepa_runtime.errors import SourceError
from vljepa_runtime.sources import Frame, Hints, SourceStatus, open_source
from vljepa_runtime.sources.limited import limited_frames
from vljepa_runtime.sources.live.deadline import ConnectionLostError, Deadline
from vljepa_runtime.sources.live.source import Backoff, LiveSource
from vljepa_runtime.sources.network.opening import open_network
from vljepa_runtime.sources.network.tcp import connect_tcp

FAST = Backoff(first_s=0.05, cap_s=0.2)
LATE_S = 8.0  # far above what any wait here takes, far below what these servers would


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of the time that servers are given otherwise."""
    for name, seconds in (("ANSWER_S", 0.6), ("PICTURE_S", 0.8), ("SILENCE_S", 0.5)):
        monkeypatch.setattr(f"vljepa_runtime.sources.network.opening.{name}", seconds)


@pytest.fixture(autouse=True)
def no_thread_is_left(live_servers: ModuleType) -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    end_s = time.monotonic() + 2
    while left := {t.name for t in set(threading.enumerate()) - before if not t.name.startswith("answer")}:
        assert time.monotonic() < end_s, left
        time.sleep(0.02)


@contextmanager
def in_time() -> Iterator[None]:
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < LATE_S


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("continuing", "no answer for 0.6 s"),
        ("empty_parts", "no picture after 3 attempts: no picture for"),
        ("login_again", "answers 401"),
        ("endless_redirect", "circles"),
        ("endless_chunk_size", "breaks HTTP: (got more than|IncompleteRead)"),
        ("rtsp_silent", "no picture after 3 attempts: no answer for 0.6 s"),
        ("rtsp_half", "no picture after 3 attempts: no answer for 0.6 s"),
    ],
)
def test_ends_with_a_sentence(live_servers: ModuleType, kind: str, message: str) -> None:
    scheme = "rtsp" if kind.startswith("rtsp") else "http"
    with (
        live_servers.serving(live_servers.KINDS[kind]) as port,
        in_time(),
        pytest.raises(SourceError, match=message) as caught,
        open_network(f"{scheme}://me:secret@127.0.0.1:{port}/live", backoff=FAST) as source,
    ):
        list(source)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("kind", ["endless_picture", "resetting"])
def test_is_told_and_tried_again(live_servers: ModuleType, kind: str) -> None:
    words: list[str] = []
    with (
        live_servers.serving(live_servers.KINDS[kind]) as port,
        in_time(),
        open_network(f"http://127.0.0.1:{port}/live", backoff=FAST) as source,
    ):
        for item in source:
            words.append("frame" if isinstance(item, Frame) else item.kind)
            if words.count("connected") == 2:
                break
    assert words[0] == "connected"
    assert "frame" in words
    assert "reconnecting" in words


def dribble_header(live_servers: ModuleType, client: socket.socket) -> None:
    live_servers.dribble(client, b"HTTP/1.1 200 OK\r\nX-A: " + b"b" * 500)


def dribble_body(live_servers: ModuleType, client: socket.socket) -> None:
    client.sendall(live_servers.TS_HEADER)
    live_servers.dribble(client, live_servers.clip()[:500])


def dribble_pictures(live_servers: ModuleType, client: socket.socket) -> None:
    client.sendall(live_servers.TS_HEADER + live_servers.clip())
    live_servers.dribble(client, live_servers.clip()[:500])


def send_stuffing(live_servers: ModuleType, client: socket.socket) -> None:
    client.sendall(live_servers.TS_HEADER + live_servers.clip())
    while True:
        client.sendall((b"\x47\x1f\xff\x10" + b"\xff" * 184) * 50)
        time.sleep(0.02)


def damage_pictures(live_servers: ModuleType, client: socket.socket) -> None:
    client.sendall(live_servers.PARTS_HEADER % b"x" + live_servers.pictures()[0])
    while True:
        client.sendall(b"\xff\xd8\xff\xe0\x00\x02\xff\xda\x00\x02" + bytes(200) + b"\xff\xd9")
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("misbehave", "message"),
    [
        (dribble_header, "no answer for 0.6 s"),
        (dribble_body, "no picture for 0.8 s"),
        (dribble_pictures, "no picture for 0.8 s"),
        (send_stuffing, "no picture for 0.8 s"),
        (damage_pictures, "no picture for 0.8 s"),
    ],
)
def test_bytes_without_pictures_are_a_lost_stream(
    live_servers: ModuleType, misbehave: object, message: str
) -> None:
    def answer(client: socket.socket, request: bytes) -> None:
        misbehave(live_servers, client)  # type: ignore[operator]

    told = ""
    with live_servers.serving(answer) as port, in_time():
        try:
            with open_network(f"http://127.0.0.1:{port}/live", backoff=FAST) as source:
                told = next(
                    i.message for i in source if isinstance(i, SourceStatus) and i.kind == "reconnecting"
                )
        except SourceError as error:
            told = str(error)
    assert message in told


@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_close_ends_a_blocked_read(
    live_servers: ModuleType, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ANSWER_S", "PICTURE_S", "SILENCE_S"):
        monkeypatch.setattr(f"vljepa_runtime.sources.network.opening.{name}", 30.0)

    def answer(client: socket.socket, request: bytes) -> None:
        if scheme == "http":
            client.sendall(live_servers.TS_HEADER + live_servers.clip())
        time.sleep(20)

    with live_servers.serving(answer) as port:
        source = open_network(f"{scheme}://127.0.0.1:{port}/live")
        items = source.frames(Hints(wake_s=0.1))
        while getattr(next(items), "kind", "") != "waiting":
            pass
        begun = time.monotonic()
        source.close()
        assert time.monotonic() - begun < 2


def test_leaving_a_file_whose_server_hangs(live_servers: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANSWER_S", "PICTURE_S", "SILENCE_S"):
        monkeypatch.setattr(f"vljepa_runtime.sources.network.opening.{name}", 30.0)
    data = live_servers.clip(50, "matroska")

    def answer(client: socket.socket, request: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data)
        client.sendall(head + data[: len(data) * 3 // 4])
        time.sleep(20)

    with live_servers.serving(answer) as port, open_source(f"http://127.0.0.1:{port}/clip.mkv") as source:
        assert not source.live
        items = source.__iter__()
        assert isinstance(next(items), Frame)
        time.sleep(0.3)  # the reader waits for the server now
        begun = time.monotonic()
        items.close()  # type: ignore[attr-defined]
        assert time.monotonic() - begun < 2


def test_a_source_that_is_never_read_leaves_nothing_open(live_servers: ModuleType) -> None:
    closed = threading.Event()

    def answer(client: socket.socket, request: bytes) -> None:
        client.sendall(live_servers.TS_HEADER + live_servers.clip())
        with suppress(OSError):
            while client.recv(1):
                pass
        closed.set()

    with live_servers.serving(answer) as port:
        open_network(f"http://127.0.0.1:{port}/live").close()
        assert closed.wait(3)


@pytest.mark.parametrize("scheme", ["https", "rtsps"])
def test_no_tls_where_tls_was_asked_for(live_servers: ModuleType, scheme: str) -> None:
    def answer(client: socket.socket, request: bytes) -> None:
        client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with (
        live_servers.serving(answer) as port,
        in_time(),
        pytest.raises(SourceError, match="TLS does not come"),
    ):
        list(open_network(f"{scheme}://127.0.0.1:{port}/live", backoff=FAST))


class TestClock:
    def test_limits_and_stops_need_no_picture(self) -> None:
        def connect() -> object:
            raise ConnectionLostError("gone")

        long = Backoff(first_s=60, cap_s=60)
        kinds: set[str] = set()
        with (
            in_time(),
            LiveSource("cam", connect, backoff=long) as source,  # type: ignore[arg-type]
            closing(limited_frames(source, Hints(wake_s=0.1), max_seconds=0.5)) as items,
            pytest.raises(SourceError, match=r"cam gave no frame in 0\.5 s: is it sending\?"),
        ):
            kinds.update(item.kind for item in items if isinstance(item, SourceStatus))
        assert kinds == {"reconnecting", "waiting"}

    def test_nobody_is_woken_who_did_not_ask(self) -> None:
        source = LiveSource("cam", lambda: Hanging())
        threading.Timer(0.8, source.close).start()
        assert list(source) == []

    def test_a_driver_that_hangs_is_told_of_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("vljepa_runtime.sources.live.source.SILENCE_S", 0.3)
        monkeypatch.setattr("vljepa_runtime.sources.live.source.WAKE_S", 0.1)
        source = LiveSource("cam", lambda: Hanging())
        threading.Timer(1.5, source.close).start()
        assert [item.kind for item in source if isinstance(item, SourceStatus)] == ["warning"]

    def test_a_server_that_gives_one_picture_and_hangs_up_is_asked_ever_more_seldom(self) -> None:
        asked: list[float] = []

        def connect() -> Brief:
            asked.append(time.monotonic())
            return Brief()

        with LiveSource("cam", connect, backoff=Backoff(first_s=0.1, cap_s=5, jitter=0)) as source:
            for _ in source:
                if len(asked) == 5:
                    break
        # A busy machine waits longer, never shorter.
        assert all(wait >= 0.099 * 2**count for count, wait in enumerate(np.diff(asked)))

    def test_the_waits_begin_anew_after_it_has_worked_for_a_while(self) -> None:
        steady = Backoff(first_s=0.1, cap_s=5, jitter=0, steady_s=0.0)
        told: list[str] = []
        with LiveSource("cam", Brief, backoff=steady) as source:
            for item in source:
                if isinstance(item, SourceStatus) and item.kind == "reconnecting":
                    told.append(item.message)
                    if len(told) == 4:
                        break
        assert all("in 0.1 s" in message for message in told), told


class Hanging:
    """A driver whose read never returns (until the test is over)."""

    def __init__(self) -> None:
        self.left = threading.Event()

    def pictures(self, interval_s: float | None = None) -> Iterator[object]:
        self.left.wait(2.5)
        return iter(())

    def close(self) -> None:
        pass


class Brief:
    """One picture, then the end."""

    note = ""

    def pictures(self, interval_s: float | None = None) -> Iterator[object]:
        yield lambda short_side: np.zeros((4, 4, 3), np.uint8)

    def close(self) -> None:
        pass


class TestInterrupts:
    def test_while_opening(self, live_servers: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("vljepa_runtime.sources.network.opening.ANSWER_S", 30.0)
        with live_servers.serving(lambda client, request: time.sleep(20)) as port:
            threading.Timer(0.4, os.kill, (os.getpid(), signal.SIGINT)).start()
            begun = time.monotonic()
            with pytest.raises(KeyboardInterrupt):
                open_source(f"http://127.0.0.1:{port}/live")
            assert time.monotonic() - begun < 3

    def test_while_connecting(self) -> None:
        with socket.socket() as full:  # nobody accepts, and the queue is full
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            waiting = [socket.socket() for _ in range(4)]
            for each in waiting:
                each.setblocking(False)
                each.connect_ex(full.getsockname())
            with pytest.raises(ConnectionLostError, match=r"no answer for 0\.4 s"), in_time():
                connect_tcp("127.0.0.1", full.getsockname()[1], Deadline(0.4)).close()
            for each in waiting:
                each.close()

    def test_a_shorter_limit(self, live_servers: ModuleType) -> None:
        silent = live_servers.serving(live_servers.KINDS["rtsp_silent"])
        with silent as port, pytest.raises(SourceError, match=r"no answer for 0\.3 s"):
            open_source(f"http://127.0.0.1:{port}/live", timeout_s=0.3)


def send(client: socket.socket, body: bytes, mime: bytes = b"application/octet-stream") -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
    client.sendall(head % (mime, len(body)) + body)


DASH = b"""<?xml version="1.0"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT2S" profiles="x">
<Period><AdaptationSet mimeType="video/mp2t"><Representation id="1" bandwidth="1">
<BaseURL>file://%s</BaseURL></Representation></AdaptationSet></Period></MPD>
"""


class TestPlaylists:
    @pytest.mark.parametrize(
        "segment", ["a.ts", "a.ts?token=1&x=2", "a.bin", "a", "a.php?n=3", "/deep/a.m4s"]
    )
    def test_segments_may_be_called_what_they_like(self, live_servers: ModuleType, segment: str) -> None:
        def answer(client: socket.socket, request: bytes) -> None:
            if b"list" in request.split()[1]:
                head = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n"
                send(client, f"{head}#EXTINF:2,\n{segment}\n#EXT-X-ENDLIST\n".encode())
            else:
                send(client, live_servers.clip())

        with live_servers.serving(answer) as port, open_source(f"http://127.0.0.1:{port}/list?a=1") as source:
            assert not source.live
            assert sum(isinstance(item, Frame) for item in source) == 50

    def test_a_list_without_an_end_is_live(self, live_servers: ModuleType) -> None:
        def answer(client: socket.socket, request: bytes) -> None:
            if b"list" in request.split()[1]:
                head = b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:0\n"
                send(client, head + b"#EXTINF:2,\na\n#EXTINF:2,\nb\n")
            else:
                send(client, live_servers.clip())

        with live_servers.serving(answer) as port, open_source(f"http://127.0.0.1:{port}/list") as source:
            assert source.live
            frames = [item for _, item in zip(range(21), source) if isinstance(item, Frame)]
        assert frames[0].image.shape == (48, 64, 3)
        off_s = [frame.time_s - frame.index / 25 for frame in frames]
        assert max(off_s) - min(off_s) < 0.3  # a segment's pictures come at their own times, not at once

    @pytest.mark.parametrize("scheme", ["file://", "concat:", "subfile,,start,0,end,0,,:", "cache:file:", ""])
    def test_no_local_file_is_read(self, live_servers: ModuleType, tmp_path: Path, scheme: str) -> None:
        local = tmp_path / "local.ts"
        local.write_bytes(live_servers.clip())
        asked: list[bytes] = []

        def answer(client: socket.socket, request: bytes) -> None:
            asked.append(request.split()[1])
            if asked[-1] == b"/list":
                head = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n"
                send(client, f"{head}#EXTINF:2,\n{scheme}{local}\n#EXT-X-ENDLIST\n".encode())
            else:
                client.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

        with (
            live_servers.serving(answer) as port,
            pytest.raises(SourceError, match="names nothing that http"),
        ):
            open_source(f"http://127.0.0.1:{port}/list")

    @pytest.mark.parametrize(
        "body",
        [
            b"ffconcat version 1.0\nfile '%s'\n",
            b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video 9 RTP/AVP 96\r\n",
            DASH,
        ],
        ids=["ffconcat", "sdp", "dash"],
    )
    def test_no_other_kind_of_list_is_followed(
        self, live_servers: ModuleType, tmp_path: Path, body: bytes
    ) -> None:
        local = tmp_path / "local.ts"
        local.write_bytes(live_servers.clip())
        body = body.replace(b"%s", str(local).encode())
        server = live_servers.serving(lambda client, request: send(client, body))
        with server as port, in_time(), pytest.raises(SourceError, match="cannot open"):
            open_source(f"http://127.0.0.1:{port}/list")
