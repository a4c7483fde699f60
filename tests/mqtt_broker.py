"""A real Mosquitto on the loopback that can be stopped and started again, for the tests and tests/measure_sinks.py."""

from __future__ import annotations

import getpass
import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
WAIT_S = 30.0


def free_port() -> int:
    """A port of the loopback on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def until(what: Callable[[], bool], *, limit_s: float = WAIT_S) -> bool:
    """Wait until something holds; whether it came to that."""
    end_s = time.monotonic() + limit_s
    while not (found := what()) and time.monotonic() < end_s:
        time.sleep(0.02)
    return found


class Broker:
    """Keeps what it has over `stop` and `start`, also for subscribers who are away.

    Args:
        folder: Its own.
        login: User name and password; None lets anybody in.
        certificate: Files of a certificate and its key, for TLS.
    """

    def __init__(
        self,
        folder: Path,
        *,
        login: tuple[str, str] | None = None,
        certificate: tuple[Path, Path] | None = None,
    ) -> None:
        assert MOSQUITTO is not None
        folder.mkdir(exist_ok=True)
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        lines = [f"listener {self.port} 127.0.0.1", f"user {getpass.getuser()}", "persistence true"]
        lines += [f"persistence_location {folder}/", f"allow_anonymous {str(login is None).lower()}"]
        if login is not None:
            passwords = folder / "passwords"
            subprocess.run(
                ["mosquitto_passwd", "-b", "-c", passwords, *login], check=True, capture_output=True
            )
            lines.append(f"password_file {passwords}")
        if certificate is not None:
            lines += [f"certfile {certificate[0]}", f"keyfile {certificate[1]}"]
        self._config = folder / "mosquitto.conf"
        self._config.write_text("\n".join([*lines, ""]))

    def start(self) -> None:
        """Run it, and return when it listens."""
        assert MOSQUITTO is not None
        self._process = subprocess.Popen(
            [MOSQUITTO, "-c", str(self._config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        assert until(self._listens), "mosquitto does not listen"

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        """End it; it stores what it has."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(WAIT_S)
            self._process = None

    def __enter__(self) -> Broker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class Received(NamedTuple):
    """A message as a subscriber got it."""

    topic: str
    payload: bytes
    retained: bool


class Subscriber:
    """Everything that a broker gives, also what was published while this one was away."""

    def __init__(
        self, broker: Broker, *, name: str = "subscriber", login: tuple[str, str] | None = None, tls: str = ""
    ) -> None:
        from paho.mqtt import client as mqtt

        self.messages: list[Received] = []
        self._lock = threading.Lock()
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name, clean_session=False)
        self._client.reconnect_delay_set(1, 1)
        if login is not None:
            self._client.username_pw_set(*login)
        if tls:
            self._client.tls_set(tls)
        subscribed = threading.Event()
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.on_connect = lambda client, *_: client.subscribe("#", 1)
        self._client.on_message = self._take
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()
        assert subscribed.wait(WAIT_S)

    def _take(self, client: Any, data: Any, message: Any) -> None:
        with self._lock:
            self.messages.append(Received(message.topic, message.payload, bool(message.retain)))

    def events(self, kind: str = "segment") -> list[dict[str, Any]]:
        """Events of a kind, each once, as they came."""
        found: dict[int, dict[str, Any]] = {}
        with self._lock:
            for message in self.messages:
                if message.topic.endswith(f"/{kind}") and not message.retained:
                    event = json.loads(message.payload)
                    found.setdefault(event["id"], event)
        return list(found.values())

    def last(self, topic: str) -> str | None:
        """What came last on a topic."""
        with self._lock:
            found = [message.payload.decode() for message in self.messages if message.topic == topic]
        return found[-1] if found else None

    def close(self) -> None:
        """Hang up."""
        self._client.disconnect()
        self._client.loop_stop()
