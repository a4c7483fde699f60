"""A site for browsers: cameras of known footage, and a server that can go and come back at its address."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import cv2
import httpx
from serving import Running, wait_for

FPS = 8
PATIENCE_S = 90.0  # a browser, a server and the tests of others share two cores
DESK, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
AWAY = "net::ERR_", "WebSocket connection to"  # what a browser says of a server that is away


class NetworkCamera:
    """Motion JPEG over HTTP, which can be unplugged and plugged in again.

    Args:
        recording: What it shows, again and again.
    """

    def __init__(self, recording: Path) -> None:
        capture = cv2.VideoCapture(str(recording))
        self._jpegs = []
        while True:
            read, image = capture.read()
            if not read:
                break
            self._jpegs.append(cv2.imencode(".jpg", image)[1].tobytes())
        self._listener: socket.socket | None = None
        self._plugged = threading.Event()
        self.port = 0

    def __enter__(self) -> NetworkCamera:
        self.plug()
        return self

    def __exit__(self, *error: object) -> None:
        self.unplug()

    @property
    def address(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}/live"

    def plug(self) -> None:
        """Answer at its port."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        self._plugged.set()
        threading.Thread(target=self._listen, args=(self._listener,), daemon=True).start()

    def unplug(self) -> None:
        """Answer no more, and hang up."""
        self._plugged.clear()
        if self._listener is not None:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()

    def _listen(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client = listener.accept()[0]
                threading.Thread(target=self._send, args=(client,), daemon=True).start()

    def _send(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            client.recv(65536)
            client.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=part\r\n\r\n"
            )
            for number in range(1 << 30):
                if not self._plugged.is_set():
                    return
                jpeg = self._jpegs[number % len(self._jpegs)]
                head = b"--part\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
                client.sendall(head + jpeg + b"\r\n")
                time.sleep(1 / FPS)


class Site:
    """`vljepa serve` as a process, which a page can lose and find again.

    Args:
        folder: Where it keeps what it keeps.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Of the page."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Serve the folder; again at the same port."""
        command = [
            sys.executable,
            "-m",
            "vljepa_apps.main",
            "serve",
            "--quiet",
            "--engine",
            "onnxruntime:cpu",
        ]
        place = ["--log", str(self.folder), "--port", str(self.port)]
        self._process = subprocess.Popen([*command, *place], cwd=self.folder)
        wait_for(self._answers, patience_s=PATIENCE_S)

    def kill(self) -> None:
        """End it as a cut of the power would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def get(self, path: str) -> Any:
        """What an address answers."""
        return httpx.get(self.address + path, timeout=20).raise_for_status().json()

    def told(self, kind: str, camera: str) -> list[str]:
        """Texts of a camera's events."""
        events = self.get("/api/state")["events"]
        return [each["text"] for each in events if (each["kind"], each["camera"]) == (kind, camera)]

    def kept(self, camera: str) -> list[str]:
        """Texts of a camera's segments of the last minutes, as the log has them."""
        now = time.time()
        found = self.get(f"/api/cameras/{camera}/segments?from={now - 600}&to={now}")
        return [each["text"] for each in found["segments"]]

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "the server has ended"
        with suppress(httpx.HTTPError):
            return httpx.get(f"{self.address}/health").is_success
        return False


@contextmanager
def opened(
    browser: Any, site: Site | Running, view: str = "live", *, quiet: tuple[str, ...] = (), **options: Any
) -> Iterator[Any]:
    """A page of the site; anything on its console is a failure, but of a server that is away and what is `quiet`."""
    context = browser.new_context(**{"viewport": DESK, **options})
    page = context.new_page()
    page.set_default_timeout(1000 * PATIENCE_S)
    heard: list[str] = []
    page.on(
        "console",
        lambda told: (
            told.type in ("error", "warning") and heard.append(f"{told.text} {told.location['url']}")
        ),
    )
    page.on("pageerror", lambda error: heard.append(str(error)))
    try:
        page.goto(f"{site.address}/#/{view}")
        yield page
    finally:
        context.close()
    wrong = [text for text in heard if not any(each in text for each in (*AWAY, *quiet))]
    assert not wrong, wrong


def until(page: Any, expression: str) -> None:
    """Wait until something holds in a page, whose policy forbids Playwright's own way to do so."""
    wait_for(lambda: page.evaluate(expression), patience_s=PATIENCE_S)
