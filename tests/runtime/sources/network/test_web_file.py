"""Files over HTTP: drops, ranges, redirects, logins, TLS, all by the clock."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path
from types import ModuleType

import pytest

from vljepa_runtime.errors import SourceError
from vljepa_runtime.sources import Frame, SourceStatus, open_source
from vljepa_runtime.sources.address import Address
from vljepa_runtime.sources.live.deadline import ConnectionLostError, Deadline
from vljepa_runtime.sources.network.web_file import WebFile
from vljepa_runtime.sources.video.source import VideoSource


def answer_file(
    client: socket.socket, request: bytes, data: bytes, *, ranges: bool = True, limit: int | None = None
) -> None:
    """A file with its length; `limit` cuts the body short."""
    asked = re.search(rb"Range: bytes=(\d+)-", request) if ranges else None
    start = int(asked[1]) if asked else 0
    head = b"HTTP/1.1 206 Partial Content\r\n" if asked else b"HTTP/1.1 200 OK\r\n"
    if asked:
        head += b"Content-Range: bytes %d-%d/%d\r\n" % (start, len(data) - 1, len(data))
    head += b"Content-Length: %d\r\nConnection: close\r\n\r\n" % (len(data) - start)
    client.sendall(head + data[start:][:limit])


def deadline() -> Deadline:
    return Deadline(5)


def test_what_a_server_sends_is_what_is_read(live_servers: ModuleType) -> None:
    data = bytes(range(256)) * 1000

    def answer(client: socket.socket, request: bytes) -> None:
        answer_file(client, request, data)

    with live_servers.serving(answer) as port:
        file = WebFile(Address(f"http://127.0.0.1:{port}/a%20b.bin?x=1"), deadline())
        assert (file.name, file.length, file.seekable()) == ("a b.bin", len(data), True)
        assert file.head() == data[:4096]
        assert file.read(10) == data[:10]
        assert file.seek(-5, 2) == len(data) - 5
        assert file.read(100) == data[-5:]
        assert file.read(100) == b""
        for place in (100_000, 100_500, 7):
            file.seek(place)
            assert file.read(10)[:5] == data[place : place + 5]
        file.close()


@pytest.mark.parametrize("cut", [1, 5000, 60_000])
def test_every_drop_is_resumed_where_it_happened(live_servers: ModuleType, cut: int) -> None:
    data = bytes(range(251)) * 500
    asked: list[bytes] = []

    def answer(client: socket.socket, request: bytes) -> None:
        asked.append(request)
        answer_file(client, request, data, limit=cut if len(asked) < 4 else None)

    with live_servers.serving(answer) as port:
        file = WebFile(Address(f"http://127.0.0.1:{port}/"), deadline())
        assert file.read_all(1 << 20) == data
        file.close()
    assert len(asked) >= 3


def test_a_drop_without_ranges_is_told_and_what_came_is_kept(live_servers: ModuleType) -> None:
    data = live_servers.clip(50, "matroska")

    def answer(client: socket.socket, request: bytes) -> None:
        answer_file(client, request, data, ranges=False, limit=len(data) // 2)

    with live_servers.serving(answer) as port, open_source(f"http://127.0.0.1:{port}/clip.mkv") as source:
        assert isinstance(source, VideoSource)
        items = list(source)
    frames = [item for item in items if isinstance(item, Frame)]
    assert 15 < len(frames) < 40
    assert isinstance(items[-1], SourceStatus)
    assert re.search(r"broke off after \d+ of \d+ bytes and takes no ranges", items[-1].message)


@pytest.mark.parametrize("ranges", [True, False])
def test_an_index_at_the_end_is_found(live_servers: ModuleType, ranges: bool) -> None:
    data = live_servers.clip(120, "mp4")
    assert data.index(b"moov") > len(data) // 2

    def answer(client: socket.socket, request: bytes) -> None:
        answer_file(client, request, data, ranges=ranges)

    with live_servers.serving(answer) as port, open_source(f"http://127.0.0.1:{port}/clip.mp4") as source:
        assert sum(isinstance(item, Frame) for item in source) == 120


def test_a_large_file_needs_ranges_for_an_index_at_the_end(
    live_servers: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vljepa_runtime.sources.network.web_file.KEPT", 10_000)
    data = live_servers.clip(120, "mp4")

    def answer(client: socket.socket, request: bytes) -> None:
        answer_file(client, request, data, ranges=False)

    with (
        live_servers.serving(answer) as port,
        pytest.raises(SourceError, match=r"no frame of http://127.*invalid data"),
    ):
        list(open_source(f"http://127.0.0.1:{port}/clip.mp4"))


def test_redirects_are_followed_to_http_only(live_servers: ModuleType, tmp_path: Path) -> None:
    data = live_servers.clip(10, "matroska")
    local = tmp_path / "clip.mkv"
    local.write_bytes(data)
    goals = {b"/a": "/b?x=1", b"/f": local.as_uri(), b"/t": "ftp://127.0.0.1/x", b"/l": "/l"}

    def answer(client: socket.socket, request: bytes) -> None:
        goal = goals.get(request.split()[1])
        if goal is None:
            answer_file(client, request, data)
        else:
            client.sendall(b"HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % goal.encode())

    with live_servers.serving(answer) as port:
        with open_source(f"http://127.0.0.1:{port}/a") as source:
            assert sum(isinstance(item, Frame) for item in source) == 10
        for path, message in (
            ("f", r"redirects to file:.* not to http"),
            ("t", "unknown url type"),
            ("l", "circles"),
        ):
            with pytest.raises(SourceError, match=message):
                open_source(f"http://127.0.0.1:{port}/{path}")


@pytest.mark.parametrize("scheme", ["Basic", "Digest"])
def test_logins_with_escaped_characters(live_servers: ModuleType, scheme: str) -> None:
    data = live_servers.clip(5, "matroska")
    secret = "p@ss/w#rd"

    def right(request: bytes) -> bool:
        found = re.search(rb"Authorization: (\w+) (.*)\r\n", request)
        if not found or found[1].decode() != scheme:
            return False
        if scheme == "Basic":
            return base64.b64decode(found[2]).decode() == f"me:{secret}"
        said = dict(re.findall(r'(\w+)="?([^",]+)', found[2].decode()))
        ha1 = hashlib.md5(f"me:cam:{secret}".encode()).hexdigest()
        ha2 = hashlib.md5(f"GET:{said['uri']}".encode()).hexdigest()
        text = f"{ha1}:{said['nonce']}:{said['nc']}:{said['cnonce']}:{said['qop']}:{ha2}"
        return hashlib.md5(text.encode()).hexdigest() == said["response"]

    def answer(client: socket.socket, request: bytes) -> None:
        if right(request):
            answer_file(client, request, data)
        else:
            more = ', nonce="abc", qop="auth"' if scheme == "Digest" else ""
            head = f'HTTP/1.1 401 No\r\nWWW-Authenticate: {scheme} realm="cam"{more}\r\nContent-Length: 0\r\n\r\n'
            client.sendall(head.encode())

    with live_servers.serving(answer) as port:
        with open_source(f"http://me:p%40ss%2Fw%23rd@127.0.0.1:{port}/clip.mkv") as source:
            assert sum(isinstance(item, Frame) for item in source) == 5
        with pytest.raises(SourceError, match="401") as caught:
            open_source(f"http://me:wrong@127.0.0.1:{port}/clip.mkv")
    assert "wrong" not in str(caught.value)


@pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl to make a certificate with")
@pytest.mark.parametrize("way", ["direct", "through a proxy"])
def test_tls_with_a_certificate_of_the_cameras_own(
    way: str, live_servers: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = live_servers.clip(10, "matroska")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=cam", "-days", "2"]
    subprocess.run([*made, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            client = listener.accept()[0]
            if way != "direct":
                assert client.recv(65536).startswith(b"CONNECT cam.test:443 ")
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            with context.wrap_socket(client, server_side=True) as safe:
                answer_file(safe, safe.recv(65536), data)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        here = f"127.0.0.1:{listener.getsockname()[1]}"
        if way != "direct":
            monkeypatch.setenv("https_proxy", f"http://{here}")
            monkeypatch.delenv("no_proxy", raising=False)
        with open_source(f"https://{here if way == 'direct' else 'cam.test'}/clip.mkv") as source:
            assert sum(isinstance(item, Frame) for item in source) == 10
        thread.join(5)


def test_a_proxy_is_asked_for_other_machines_only(
    live_servers: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def answer(client: socket.socket, request: bytes) -> None:
        asked.append(request.split(b"\r\n")[0])
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    monkeypatch.delenv("no_proxy", raising=False)
    with live_servers.serving(answer) as port:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        assert WebFile(Address("http://cam.test/live"), deadline()).head() == b"ok"
        monkeypatch.setenv("http_proxy", "http://zqUser:zqPass@127.0.0.1:1")
        for host in ("127.0.0.1", "localhost"):
            assert WebFile(Address(f"http://{host}:{port}/live"), deadline()).head() == b"ok"
    with pytest.raises(ConnectionLostError, match="connection refused at the proxy that"):
        WebFile(Address("http://cam.test/live"), deadline())
    assert asked == [b"GET http://cam.test/live HTTP/1.1", *[b"GET /live HTTP/1.1"] * 2]


def test_a_playlist_of_this_machine_needs_no_proxy(
    live_servers: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(client: socket.socket, request: bytes) -> None:
        playlist = b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n/a.ts\n#EXT-X-ENDLIST\n"
        body = playlist if b".m3u8" in request.split(b"\r\n")[0] else live_servers.clip(20)
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with (
        live_servers.serving(answer) as port,
        open_source(f"http://127.0.0.1:{port}/a.m3u8") as source,
    ):
        assert sum(isinstance(item, Frame) for item in source) == 20


def test_a_file_larger_than_allowed_is_not_kept(live_servers: ModuleType) -> None:
    def answer(client: socket.socket, request: bytes) -> None:
        client.sendall(live_servers.TS_HEADER)
        while True:
            client.sendall(b"a" * 65536)

    with live_servers.serving(answer) as port:
        file = WebFile(Address(f"http://127.0.0.1:{port}/"), deadline())
        with pytest.raises(ConnectionLostError, match="more than 2 MB"):
            file.read_all(2 << 20)
        file.close()


def test_names_that_nobody_knows() -> None:
    with pytest.raises(SourceError, match=r"the name no\.such\.host\.invalid is not known"):
        open_source("http://no.such.host.invalid/x")


def test_a_head_that_comes_in_pieces_is_whole(live_servers: ModuleType) -> None:
    def answer(client: socket.socket, request: bytes) -> None:
        client.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in (b"#EXT", b"M3U\n", b"#EXTINF:1,\n", b"a.ts\n"):
            client.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
            time.sleep(0.05)
        client.sendall(b"0\r\n\r\n")

    with live_servers.serving(answer) as port:
        file = WebFile(Address(f"http://127.0.0.1:{port}/"), deadline())
        assert file.head() == file.head() == b"#EXTM3U\n#EXTINF:1,\na.ts\n"
        assert file.read(100) == b"#EXTM3U\n#EXTINF:1,\na.ts\n"
        assert file.read(100) == b""


@pytest.mark.parametrize("code", [400, 416])
def test_a_server_that_refuses_ranges_is_asked_without(live_servers: ModuleType, code: int) -> None:
    def answer(client: socket.socket, request: bytes) -> None:
        if b"Range:" in request:
            client.sendall(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % code)
        else:
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with live_servers.serving(answer) as port:
        assert WebFile(Address(f"http://127.0.0.1:{port}/"), deadline()).head() == b"ok"


@pytest.mark.parametrize(
    ("head", "body", "message"),
    [
        ("Content-Type: text/html", b"<html>log in</html>", "it is a page of text/html: give the address of"),
        ("Content-Type: video/mp4", b"", "the server sends an empty file"),
        ("Content-Encoding: gzip", b"\x1f\x8b", "compresses what it sends with gzip"),
        ("Content-Type: application/dash+xml", b"<?xml?><MPD/>", "DASH|names nothing"),
    ],
)
def test_what_is_no_video_is_told(live_servers: ModuleType, head: str, body: bytes, message: str) -> None:
    def answer(client: socket.socket, request: bytes) -> None:
        client.sendall(
            b"HTTP/1.1 200 OK\r\n%s\r\nContent-Length: %d\r\n\r\n%s" % (head.encode(), len(body), body)
        )

    with live_servers.serving(answer) as port, pytest.raises(SourceError, match=message):
        open_source(f"http://127.0.0.1:{port}/")


def test_a_raw_stream_of_known_length_is_a_file(live_servers: ModuleType) -> None:
    data = live_servers.clip(20, "h264")

    def answer(client: socket.socket, request: bytes) -> None:
        answer_file(client, request, data)

    with live_servers.serving(answer) as port, open_source(f"http://127.0.0.1:{port}/a.h264") as source:
        assert isinstance(source, VideoSource)
        assert sum(isinstance(item, Frame) for item in source) == 20
