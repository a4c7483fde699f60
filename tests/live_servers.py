"""Servers that misbehave, for the tests and for tests/measure_live.py: `python tests/live_servers.py KIND PORT`."""

from __future__ import annotations

import io
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from functools import cache

import av
import cv2
import numpy as np

Handler = Callable[[socket.socket, bytes], None]

TS_HEADER = b"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\nConnection: close\r\n\r\n"
PARTS_HEADER = b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=%s\r\n\r\n"


@cache
def pictures(count: int = 10) -> tuple[bytes, ...]:
    """JPEG pictures of a ball that moves, 64x48."""
    made = []
    for index in range(count):
        image = np.full((48, 64, 3), 200, np.uint8)
        cv2.circle(image, (10 + 4 * index, 24), 8, (0, 0, 255), -1)
        made.append(cv2.imencode(".jpg", image)[1].tobytes())
    return tuple(made)


@cache
def clip(count: int = 50, container_format: str = "mpegts") -> bytes:
    """A small H.264 clip of noise, 25 pictures a second, a key frame every fifth."""
    file = io.BytesIO()
    with av.open(file, "w", format=container_format) as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "5", "tune": "zerolatency"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(count):
            noise = np.random.default_rng(index).integers(0, 255, (48, 64, 3), np.uint8)
            frame = av.VideoFrame.from_ndarray(noise, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def dribble(client: socket.socket, data: bytes, pause_s: float = 0.1) -> None:
    """Send a byte at a time."""
    for byte in data:
        client.sendall(bytes([byte]))
        time.sleep(pause_s)


def healthy(client: socket.socket, request: bytes) -> None:
    """A transport stream at its own pace."""
    client.sendall(TS_HEADER)
    data = clip(250)
    for start in range(0, len(data), len(data) // 250):
        client.sendall(data[start : start + len(data) // 250])
        time.sleep(0.04)


def continuing(client: socket.socket, request: bytes) -> None:
    """`100 Continue` without end."""
    while True:
        client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)


def endless_picture(client: socket.socket, request: bytes) -> None:
    """A few pictures, then one that never ends."""
    client.sendall(PARTS_HEADER % b"x")
    for picture in pictures():
        client.sendall(b"--x\r\nContent-Type: image/jpeg\r\n\r\n" + picture + b"\r\n")
        time.sleep(0.1)
    client.sendall(pictures()[0][:-2])
    while True:
        client.sendall(b"\x55" * 65536)


def empty_parts(client: socket.socket, request: bytes) -> None:
    """Parts of text only."""
    client.sendall(PARTS_HEADER % b"x")
    while True:
        client.sendall(b"--x\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi\r\n")
        time.sleep(0.05)


def login_again(client: socket.socket, request: bytes) -> None:
    """Wants a login, whatever it was given."""
    client.sendall(
        b'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Digest realm="a", nonce="1", qop="auth"\r\n'
        b"Content-Length: 0\r\nConnection: close\r\n\r\n"
    )


def endless_redirect(client: socket.socket, request: bytes) -> None:
    """A redirect to itself with a body without end."""
    client.sendall(b"HTTP/1.1 302 Found\r\nLocation: /again\r\n\r\n")
    while True:
        client.sendall(b"a" * 65536)


def endless_chunk_size(client: socket.socket, request: bytes) -> None:
    """A chunked body whose first length goes on and on."""
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        client.sendall(b"0" * 65536)


def resetting(client: socket.socket, request: bytes) -> None:
    """Half a clip, then a reset instead of an end."""
    client.sendall(TS_HEADER + clip()[: len(clip()) // 2])
    time.sleep(0.3)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def rtsp_silent(client: socket.socket, request: bytes) -> None:
    """Accepts and says nothing."""
    time.sleep(60)


def rtsp_half(client: socket.socket, request: bytes) -> None:
    """Tells its methods and says nothing more."""
    client.sendall(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: OPTIONS, DESCRIBE, SETUP, PLAY\r\n\r\n")
    time.sleep(60)


KINDS: dict[str, Handler] = {
    "healthy": healthy,
    "continuing": continuing,
    "endless_picture": endless_picture,
    "empty_parts": empty_parts,
    "login_again": login_again,
    "endless_redirect": endless_redirect,
    "endless_chunk_size": endless_chunk_size,
    "resetting": resetting,
    "rtsp_silent": rtsp_silent,
    "rtsp_half": rtsp_half,
}


@contextmanager
def serving(handler: Handler) -> Iterator[int]:
    """Listen on the loopback; the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=listen, args=(listener, handler), daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def listen(listener: socket.socket, handler: Handler) -> None:
    """Answer every connection in a thread of its own until the listener is closed."""

    def answer(client: socket.socket) -> None:
        with client, suppress(OSError):
            client.settimeout(30)
            handler(client, client.recv(65536))

    with suppress(OSError):
        while True:
            client = listener.accept()[0]
            threading.Thread(target=answer, args=(client,), name="answer", daemon=True).start()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(f"usage: {sys.argv[0]} KIND PORT; kinds: {', '.join(KINDS)}")
    with socket.create_server(("127.0.0.1", int(sys.argv[2]))) as open_port:
        print("ready", flush=True)
        listen(open_port, KINDS[sys.argv[1]])
