"""A small RTSP server on the loopback, for the tests and to be killed: `python tests/rtsp_server.py PORT`."""

from __future__ import annotations

import base64
import re
import socketserver
import ssl
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction

import av
import numpy as np

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
        protected: bool = False,
        stalls: bool = False,
        context: ssl.SSLContext | None = None,
        port: int = 0,
    ) -> None:
        super().__init__(("127.0.0.1", port), Player)
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


if __name__ == "__main__":
    with PlayerServer(encoded(2000), port=int(sys.argv[1])) as server:
        print("ready", flush=True)
        server.serve_forever()
