"""RTSP against a small server on the loopback that plays, drops the line, and comes back."""

from __future__ import annotations

import base64
import re
import shutil
import socket
import socketserver
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import av
import numpy as np
import pytest

import vljepa_runtime as vj
from vljepa_runtime.errors import SourceError
from vljepa_runtime.sources import Frame, SourceStatus, open_source
from vljepa_runtime.sources.live.source import Backoff
from vljepa_runtime.sources.network.opening import open_network

SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"
    "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:track1\r\n"
)
LOGIN = "Basic " + base64.b64encode(b"admin:secret").decode()


def encoded(count: int) -> list[list[bytes]]:
    """H.264 pictures as lists of NAL units, each picture a key frame."""
    encoder = av.CodecContext.create("libx264", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = 64, 48, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, 25), Fraction(25)
    encoder.options = {"tune": "zerolatency", "g": "1", "crf": "10"}
    pictures = []
    for index in range(count):
        frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), (200, 60, 30), np.uint8), format="rgb24")
        frame.pts = index
        for packet in encoder.encode(frame):
            pictures.append([nal for nal in re.split(rb"\x00\x00\x00?\x01", bytes(packet)) if nal])
    return pictures


class Player(socketserver.StreamRequestHandler):
    """One RTSP session over TCP (RFC 2326, media interleaved after `$`), H.264 by RFC 6184."""

    server: PlayerServer

    def handle(self) -> None:
        with suppress(OSError):
            while (request := self._request()) is not None:
                method, headers = request
                if headers.get("authorization") != LOGIN and self.server.protected:
                    self._answer("401 Unauthorized", headers, 'WWW-Authenticate: Basic realm="cam"\r\n')
                elif method == "DESCRIBE":
                    extra = f"Content-Type: application/sdp\r\nContent-Length: {len(SDP)}\r\n"
                    self._answer("200 OK", headers, extra, SDP)
                elif method == "SETUP":
                    transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 7\r\n"
                    self._answer("200 OK", headers, transport)
                else:
                    self._answer("200 OK", headers, "Session: 7\r\n")
                if method == "PLAY":
                    self._play()
                    return

    def _request(self) -> tuple[str, dict[str, str]] | None:
        first = self.rfile.readline().decode()
        if not first.strip():
            return None
        headers = {}
        while line := self.rfile.readline().decode().strip():
            key, _, value = line.partition(":")
            headers[key.lower()] = value.strip()
        return first.split()[0], headers

    def _answer(self, status: str, headers: dict[str, str], extra: str = "", body: str = "") -> None:
        self.wfile.write(f"RTSP/1.0 {status}\r\nCSeq: {headers['cseq']}\r\n{extra}\r\n{body}".encode())

    def _play(self) -> None:
        self.server.played += 1
        number = 0
        for index, picture in enumerate(self.server.pictures):
            for part, nal in enumerate(picture):
                last = 0x80 if part == len(picture) - 1 else 0
                rtp = struct.pack(">BBHII", 0x80, last | 96, number & 0xFFFF, index * 3600, 7) + nal
                self.wfile.write(b"$\x00" + struct.pack(">H", len(rtp)) + rtp)
                number += 1
            time.sleep(0.02)
        if self.server.stalls:
            time.sleep(30)


class PlayerServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(
        self,
        pictures: list[list[bytes]],
        *,
        protected: bool,
        stalls: bool,
        context: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(("127.0.0.1", 0), Player)
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.pictures = pictures
        self.protected = protected
        self.stalls = stalls
        self.played = 0


@contextmanager
def playing(
    count: int, *, protected: bool = False, stalls: bool = False, context: ssl.SSLContext | None = None
) -> Iterator[tuple[str, PlayerServer]]:
    server = PlayerServer(encoded(count), protected=protected, stalls=stalls, context=context)
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}/live", server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_plays_with_a_login_and_comes_back_after_the_end() -> None:
    with playing(60, protected=True) as (address, server):
        source = open_network(f"rtsp://admin:secret@{address}", backoff=Backoff(first_s=0.05, cap_s=0.2))
        assert source.live
        assert source.name == f"rtsp://***@{address}"
        frames: list[Frame] = []
        remarks: list[SourceStatus] = []
        for item in source:
            if isinstance(item, Frame):
                frames.append(item)
            else:
                remarks.append(item)
            if (
                server.played == 2
                and [r.kind for r in remarks].count("connected") == 2
                and item is frames[-1]
            ):
                source.close()
    assert [r.kind for r in remarks] == ["connected", "reconnecting", "connected"]
    assert all("secret" not in r.message for r in remarks)
    assert np.abs(frames[0].image.astype(int) - (200, 60, 30)).mean() < 5
    assert all(b.time_s >= a.time_s and b.index > a.index for a, b in pairwise(frames))


def test_alerts_have_clips_of_what_was_played(tmp_path: Path) -> None:
    always = vj.Alert(text="a box", threshold=-1, hold_s=0)
    clips = vj.ClipFolder(folder=tmp_path, look_ahead_s=0.2)
    with playing(75) as (place, _), vj.load("tiny", threads=1).session(
        alerts=[always], clips=clips, decode="never"
    ) as session:  # fmt: skip
        events = [event for event in session.run(f"rtsp://{place}", max_seconds=2.5) if event.kind == "alert"]
    (clip,) = tmp_path.iterdir()
    assert {event.clip for event in events} == {clip.name}
    with av.open(str(clip)) as container:
        shown = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(shown) > 25
    assert np.abs(np.stack(shown).mean((0, 1, 2)) - (200, 60, 30)).max() < 8


def test_wrong_password_is_final_and_not_repeated_in_words() -> None:
    with playing(1, protected=True) as (address, _):
        source = open_source(f"rtsp://admin:wrong@{address}")
        with source, pytest.raises(SourceError, match=r"[Uu]nauthorized|401") as caught:
            list(source)
    assert "wrong" not in str(caught.value)


def test_silence_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vljepa_runtime.sources.network.opening.SILENCE_S", 1.0)
    with playing(40, stalls=True) as (address, _):
        source = open_network(f"rtsp://{address}", backoff=Backoff(first_s=0.05))
        for item in source:
            if isinstance(item, SourceStatus) and item.kind == "reconnecting":
                assert "no data for 1 s" in item.message
                source.close()


def test_nobody_listens() -> None:
    source = open_network("rtsp://127.0.0.1:9/live", backoff=Backoff(first_s=0.01))
    with source, pytest.raises(SourceError, match="no picture after 3 attempts: connection refused"):
        list(source)


def send_garbage(client: socket.socket, _: bytes) -> None:
    while True:
        client.sendall(bytes(range(256)) * 64)


def redirect(client: socket.socket, _: bytes) -> None:
    client.sendall(b"RTSP/1.0 302 Moved\r\nCSeq: 1\r\nLocation: rtsp://127.0.0.1:9/elsewhere\r\n\r\n")
    time.sleep(5)


def dribble(client: socket.socket, _: bytes) -> None:
    for byte in b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n" + b"X-A: bbbb\r\n" * 1000:
        client.sendall(bytes([byte]))
        time.sleep(0.05)


def describe_for_ever(client: socket.socket, _: bytes) -> None:
    client.sendall(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: OPTIONS, DESCRIBE\r\n\r\n")
    client.recv(65536)
    head = (
        b"RTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Type: application/sdp\r\nContent-Length: 2000000000\r\n\r\n"
    )
    client.sendall(head)
    while True:
        client.sendall(b"a=x\r\n" * 5000)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (send_garbage, "without end before the stream begins|invalid data"),
        (redirect, "redirects to another address: open that one"),
        (dribble, r"no answer for 0\.6 s"),
        (describe_for_ever, "without end before the stream begins"),
    ],
)
def test_misbehaviour_before_the_stream_ends_with_a_sentence(
    live_servers: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    answer: Callable[[socket.socket, bytes], None],
    message: str,
) -> None:
    monkeypatch.setattr("vljepa_runtime.sources.network.opening.ANSWER_S", 0.6)
    with live_servers.serving(answer) as port:
        source = open_network(f"rtsp://me:secret@127.0.0.1:{port}/live", backoff=Backoff(first_s=0.01))
        with source, pytest.raises(SourceError, match=message) as caught:
            list(source)
    assert "secret" not in str(caught.value)
    assert not [thread for thread in threading.enumerate() if thread.name == "relay"]


@pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl to make a certificate with")
def test_tls_ends_in_the_relay(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=cam", "-days", "2"]
    subprocess.run([*made, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with (
        playing(40, protected=True, context=context) as (address, _),
        open_network(f"rtsps://admin:secret@{address}") as source,
    ):
        frame = next(item for item in source if isinstance(item, Frame))
    assert np.abs(frame.image.astype(int) - (200, 60, 30)).mean() < 5
