"""`vljepa run --webhook --mqtt`: what receivers get of several streams, what waits for them, what is told of that."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest

from vljepa_apps.main import main
from vljepa_runtime.sinks.network.mqtt_topics import slug


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two folders of 12 pictures, sources of 3 seconds each."""
    monkeypatch.chdir(tmp_path)
    for name in ("door", "yard"):
        (tmp_path / name).mkdir()
        for index in range(12):
            image = np.full((48, 64, 3), 20, np.uint8)
            image[8:40, 4 * index : 4 * index + 16] = 255
            cv2.imwrite(str(tmp_path / name / f"{index:03}.png"), image)
    return ["door", "yard"]


@contextmanager
def hook(code: int = 200, *, port: int = 0) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """A server that always answers the same; its port, and what it was sent."""
    got: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            got.extend(body if isinstance(body, list) else [body])
            self.send_response(code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server.server_port, got
        finally:
            server.shutdown()
            thread.join()


def without_ids(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in event.items() if key != "id"} for event in events]


@pytest.mark.parametrize("batch", [1, 5])
def test_a_webhook_gets_what_is_printed(
    tiny: Any, folders: list[str], batch: int, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--select", "every", "--outbox", "outbox", "--quiet", "--webhook-batch", str(batch)]
    with hook() as (port, got):
        assert main(["run", "tiny", *folders, *options, "--webhook", f"http://127.0.0.1:{port}/"]) == 0
    out, err = capsys.readouterr()
    assert without_ids(got) == [json.loads(line) for line in out.splitlines()]
    assert {event["stream"] for event in got} == set(folders)
    ids = [event["id"] for event in got]
    assert ids == sorted(set(ids))
    assert "connected" in err


def test_what_waits_is_told_and_delivered_by_the_next_run(
    tiny: Any, folders: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(Path.cwd() / "home"))
    with hook() as (port, got):
        pass
    monkeypatch.setenv("HOOK", f"http://door:hunter2@127.0.0.1:{port}/token/abc")
    run = ["run", "tiny", folders[0], "--select", "every", "--webhook", "env:HOOK"]
    assert main(run) == 0  # nothing is lost
    out, err = capsys.readouterr()
    count = len(out.splitlines())
    assert f"webhook http://***@127.0.0.1:{port}/token/***: closed: the next process" in err
    assert f"{count} events waiting in {Path.cwd()}/home/.local/state/vljepa/outbox/webhook-" in err
    assert "hunter2" not in out + err
    with hook(port=port) as (_, got):
        assert main(run) == 0
    out += capsys.readouterr().out
    assert without_ids(got) == [json.loads(line) for line in out.splitlines()]


def test_what_is_refused_ends_in_a_failure_that_says_so(
    tiny: Any, folders: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with hook(400) as (port, _):
        options = ["--outbox", "outbox", "--webhook", f"http://127.0.0.1:{port}/"]
        assert main(["run", "tiny", folders[0], *options]) == 1
    out, err = capsys.readouterr()
    assert f"{len(out.splitlines())} events refused: the server answers 400 Bad Request" in err


def test_a_broker_knows_streams_and_alerts_before_anything_happens(
    tiny: Any, folders: list[str], mqtt_broker: ModuleType, tmp_path: Path
) -> None:
    with mqtt_broker.Broker(tmp_path / "broker") as broker:
        broker.start()
        subscriber = mqtt_broker.Subscriber(broker)
        address = f"mqtt://127.0.0.1:{broker.port}/home"
        alerts = ["--alert", "an elephant", "--alert-threshold", "0.99"]
        assert main(["run", "tiny", *folders, "--mqtt", address, "--outbox", "outbox", *alerts]) == 0
        topic = f"home/door/alert/{slug('an elephant')}"
        assert mqtt_broker.until(lambda: subscriber.last(topic) is not None)
        assert json.loads(subscriber.last(topic))["active"] is False
        assert mqtt_broker.until(lambda: len(subscriber.events("segment")) >= 2)
        streams = {event["stream"] for event in subscriber.events("segment")}
        assert streams == set(folders)
        subscriber.close()
    components = {
        re.split("/", message.topic)[1] for message in subscriber.messages if "/config" in message.topic
    }
    assert components == {"sensor", "binary_sensor"}


@pytest.mark.parametrize("option", ["--mqtt", "--webhook"])
def test_an_address_that_is_none_is_said_before_the_model_is_loaded(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("paho.mqtt.client")
    assert main(["run", "no-such-bundle", "x.mp4", option, "user:hunter2@server"]) == 1
    err = capsys.readouterr().err
    assert "expected an address such as" in err
    assert "hunter2" not in err
