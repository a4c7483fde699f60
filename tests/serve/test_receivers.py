"""Who is told of an alert: a real receiver, beside one that is not there."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import date
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from serving import wait_for

import vljepa_runtime as vj
from vljepa_serve.config import AlertConfig, CameraConfig, Config
from vljepa_serve.sinks import Sinks


@pytest.fixture
def hook() -> Iterator[tuple[str, list[str]]]:
    """A webhook, and the texts of what it was told."""
    told: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            told.extend(each["text"] for each in (body if isinstance(body, list) else [body]))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *values: object) -> None:
            """Nothing is printed."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/", told
        server.shutdown()
        thread.join()


def test_an_alert_is_sent_to_the_receivers_that_it_names(tmp_path: Path, hook: tuple[str, list[str]]) -> None:
    address, told = hook
    config = Config(
        camera=(CameraConfig(id="door", name="Door", source="0"),),
        alert=(AlertConfig(id="a", name="a", query="a cat sleeps", send_to=("mqtt",)),),
        sink=({"kind": "webhook", "address": address}, {"kind": "mqtt", "address": "mqtt://127.0.0.1:1"}),
    )
    with Sinks(tmp_path, lambda about, sentence: None) as sinks:
        sinks.apply(config)
        for text, only in (
            ("to all", None),
            ("to mqtt", ("mqtt",)),
            ("to nobody", ()),
            ("hook", ("webhook",)),
        ):
            event = vj.Event(stream="door", kind="alert", start_s=0, end_s=1, text=text, active=True)
            sinks.write(event, only=only)
        wait_for(lambda: "hook" in told)
        assert told == ["to all", "hook"]
        waiting = {each["name"].split(":")[0]: each["waiting"] for each in sinks.states()}
        assert sorted(waiting.values()) == [0, 2]


@pytest.mark.parametrize("value", [5, 1.5, True, ["hunter2"], {"hunter2": 1}, date(2026, 1, 1)], ids=str)
@pytest.mark.parametrize("key", ["address", "secret"])
def test_what_is_no_text_in_the_file_is_a_sentence_that_shows_no_secret(
    tmp_path: Path, key: str, value: object
) -> None:
    problems: dict[str, str] = {}
    sink = {"kind": "webhook", "address": "http://127.0.0.1:1/", key: value}
    with Sinks(tmp_path, problems.__setitem__) as sinks:
        sinks.apply(Config(sink=(sink,)))
        assert sinks.states() == []
    assert "as text, got" in problems["sink 1"]
    assert "hunter2" not in problems["sink 1"]
