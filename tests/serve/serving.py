"""Servers as they really run: uvicorn on a free port of loopback. What the tests of this folder share."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn

import vljepa_runtime as vj
from vljepa_serve import ConfigFile, Service, create_app
from vljepa_serve.config import ServerConfig
from vljepa_serve.running import listen, settings_of

PATIENCE_S = 30.0


@dataclass(frozen=True)
class Running:
    """A server that listens."""

    service: Service
    client: Any
    address: str

    def get(self, path: str) -> Any:
        """What an address answers, which has to be 200."""
        answer = self.client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()


def wait_for(holds: Callable[[], object], *, patience_s: float = PATIENCE_S) -> None:
    """Wait until something holds; however busy the machine is."""
    ends = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < ends, "it did not come to hold"
        time.sleep(0.02)


@contextmanager
def run_app(app: Any) -> Iterator[str]:
    """Serve an application; its address."""
    place = ServerConfig(port=0)
    with listen(place) as listening:
        server = uvicorn.Server(settings_of(app, place))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            wait_for(lambda: server.started)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)


@contextmanager
def running(model: vj.Model, folder: Path, text: str = "", **options: Any) -> Iterator[Running]:
    """A server of a configuration."""
    file = folder / "serve.toml"
    if text:
        file.write_text(text)
    with Service(ConfigFile(file), folder=folder, model=model, **options) as service:
        service.start()
        with run_app(create_app(service)) as address, httpx.Client(base_url=address, timeout=20) as client:
            yield Running(service, client, address)


def camera_toml(id: str, source: object, **more: object) -> str:
    """A camera of the configuration."""
    values = {"id": id, "name": id.title(), "source": str(source), **more}
    return "\n".join(["[[camera]]", *(f"{key} = {json.dumps(value)}" for key, value in values.items()), ""])
