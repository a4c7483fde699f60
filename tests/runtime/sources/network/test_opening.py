"""Network streams over the loopback: drops, returns, slow readers, credentials, clean ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import ModuleType

import numpy as np
import pytest

from vljepa_runtime.errors import SourceError
from vljepa_runtime.sources import Frame, SourceStatus, open_source
from vljepa_runtime.sources.live.source import Backoff, LiveSource
from vljepa_runtime.sources.network.opening import open_network
from vljepa_runtime.sources.video.source import VideoSource

FAST = Backoff(first_s=0.05, cap_s=0.2)


Answer = Callable[[BaseHTTPRequestHandler, int], None]


@contextmanager
def serving(answer: Answer) -> Iterator[tuple[str, list[float]]]:
    """A server on the loopback that calls `answer(handler, number of the request)`."""
    asked: list[float] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(time.monotonic())
            with suppress(OSError):  # the client has left
                answer(self, len(asked) - 1)
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def stream_ts(handler: BaseHTTPRequestHandler, data: bytes, *, pause_s: float = 0.0) -> None:
    """An endless kind of answer: no length, so the reader cannot know where it ends."""
    handler.send_response(200)
    handler.send_header("Content-Type", "video/mp2t")
    handler.end_headers()
    for start in range(0, len(data), 8192):
        handler.wfile.write(data[start : start + 8192])
        time.sleep(pause_s)


def kinds(items: list[Frame | SourceStatus]) -> list[str]:
    return ["frame" if isinstance(item, Frame) else item.kind for item in items]


class TestFiniteHttp:
    def test_is_read_as_a_file(self, live_servers: ModuleType) -> None:
        data = live_servers.clip(20, "mp4")

        def answer(handler: BaseHTTPRequestHandler, _: int) -> None:
            send_range(handler, data)

        with (
            serving(answer) as (host, _),
            open_source(f"http://me:secret@{host}/clip.mp4?token=abc") as source,
        ):
            assert isinstance(source, VideoSource)
            assert not source.live
            assert source.name == f"http://***@{host}/clip.mp4?token=***"
            items = list(source)
        assert kinds(items) == ["frame"] * 20
        assert [i.time_s for i in items if isinstance(i, Frame)] == pytest.approx(
            np.arange(20) / 25, abs=1e-3
        )

    def test_a_dropped_download_is_resumed(self, live_servers: ModuleType) -> None:
        data = live_servers.clip(60, "matroska")
        dropped: list[int] = []

        def answer(handler: BaseHTTPRequestHandler, number: int) -> None:
            if number == 0:
                dropped.append(number)
                send_range(handler, data, limit=len(data) // 2)
            else:
                send_range(handler, data)

        with serving(answer) as (host, asked), open_source(f"http://{host}/clip.mkv") as source:
            items = list(source)
        assert dropped
        assert len(asked) > 1
        assert kinds(items) == ["frame"] * 60

    def test_loop(self, live_servers: ModuleType) -> None:
        data = live_servers.clip(4, "mp4")
        server = serving(lambda handler, _: send_range(handler, data))
        with server as (host, _), open_source(f"http://{host}/clip.mp4", loop=True) as source:
            frames = [item for _, item in zip(range(10), source) if isinstance(item, Frame)]
        assert [f.time_s for f in frames] == pytest.approx([i * 0.04 for i in range(10)], abs=1e-3)

    @pytest.mark.parametrize("status", [401, 403, 404, 500])
    def test_refusal_is_told_without_the_password(self, status: int) -> None:
        def answer(handler: BaseHTTPRequestHandler, _: int) -> None:
            handler.send_error(status)

        with (
            serving(answer) as (host, _),
            pytest.raises(SourceError, match=r"cannot open http://\*\*\*@") as caught,
        ):
            open_source(f"http://me:secret@{host}/clip.mp4?token=abc")
        assert "secret" not in str(caught.value)
        assert "abc" not in str(caught.value)

    def test_nobody_listens(self) -> None:
        with pytest.raises(SourceError, match="refused"):
            open_source("http://127.0.0.1:9/clip.mp4")

    def test_words_instead_of_video(self) -> None:
        def answer(handler: BaseHTTPRequestHandler, _: int) -> None:
            send_range(handler, b"<html>please log in</html>" * 200)

        with serving(answer) as (host, _), pytest.raises(SourceError, match=r"cannot open|text file"):
            open_source(f"http://{host}/clip.mp4")


def send_range(handler: BaseHTTPRequestHandler, data: bytes, limit: int | None = None) -> None:
    """Answer with a length and, if asked, from an offset; `limit` cuts the body short."""
    asked = handler.headers.get("Range", "")
    start = int(asked.removeprefix("bytes=").split("-")[0]) if asked else 0
    handler.send_response(206 if asked else 200)
    handler.send_header("Content-Length", str(len(data) - start))
    handler.send_header("Accept-Ranges", "bytes")
    if asked:
        handler.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
    handler.end_headers()
    handler.wfile.write(data[start:][:limit])


class TestLiveHttp:
    def test_reconnects_after_a_drop(self, live_servers: ModuleType) -> None:
        data = live_servers.clip(40, "mpegts")

        def answer(handler: BaseHTTPRequestHandler, number: int) -> None:
            if number == 1:
                handler.send_error(503)
            else:
                stream_ts(handler, data[: len(data) // 2] if number == 0 else data, pause_s=0.01)

        seen: list[Frame | SourceStatus] = []
        with serving(answer) as (host, asked):
            source = open_network(f"http://me:secret@{host}/live.ts", backoff=FAST)
            assert isinstance(source, LiveSource)
            for item in source:
                seen.append(item)
                if kinds(seen).count("connected") == 2 and isinstance(item, Frame):
                    source.close()
        words = kinds(seen)
        assert words[0] == "connected"
        assert words.count("reconnecting") >= 2
        assert len(asked) >= 3
        messages = " ".join(item.message for item in seen if isinstance(item, SourceStatus))
        assert "secret" not in messages
        assert "503" in messages or "5XX" in messages
        times = [item.time_s for item in seen if isinstance(item, Frame)]
        assert 0 <= times[0] < 1
        assert times == sorted(times)

    def test_slow_reader_gets_the_newest(self, live_servers: ModuleType) -> None:
        data = live_servers.clip(100, "mpegts")

        def answer(handler: BaseHTTPRequestHandler, _: int) -> None:
            stream_ts(handler, data, pause_s=0.05)

        with serving(answer) as (host, _), open_network(f"http://{host}/live.ts", backoff=FAST) as source:
            frames: list[Frame] = []
            for item in source:
                if isinstance(item, Frame):
                    frames.append(item)
                    if len(frames) == 3:
                        break
                    time.sleep(0.15)
        steps = np.diff([f.index for f in frames])
        assert (steps > 1).all()
        assert max(np.diff([f.time_s for f in frames])) < 1.0

    def test_live_cannot_loop(self, live_servers: ModuleType) -> None:
        data = live_servers.clip(30, "mpegts")
        server = serving(lambda handler, _: stream_ts(handler, data, pause_s=0.01))
        with server as (host, _), pytest.raises(SourceError, match="live stream and cannot loop"):
            open_source(f"http://{host}/live.ts", loop=True)
