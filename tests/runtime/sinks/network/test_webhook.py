"""The webhook sink with servers that answer as servers do, hang, hang up, redirect, and ask for a login."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import Message
from email.utils import formatdate
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from vljepa_runtime.errors import InputError
from vljepa_runtime.events import Event
from vljepa_runtime.sinks import SinkState, WebhookSink
from vljepa_runtime.sinks.network import delivery, webhook
from vljepa_runtime.sinks.network.webhook import signature
from vljepa_runtime.sources.live.source import Backoff

Answer = Callable[[BaseHTTPRequestHandler], object]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "BACKOFF", Backoff(first_s=0.02, cap_s=0.1))
    monkeypatch.setattr(delivery, "HELP_S", 0.1)


def segment(number: int) -> Event:
    return Event(stream="door", kind="segment", start_s=number, end_s=number, text=f"{number} мяч")


class Server(HTTPServer):
    """Answers as it is told, one request after another, and with 200 from then on."""

    def __init__(self, answers: list[Answer]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = answers
        self.requests: list[tuple[dict[str, str], Any]] = []
        self.taken: list[int] = []  # events that it said it has
        self.raw: list[bytes] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        body = json.loads(raw)
        self.server.raw.append(raw)
        self.server.requests.append((dict(self.headers.items()), body))
        answer = self.server.answers.pop(0) if self.server.answers else status(200)
        if answer(self) is not False:
            events = body if isinstance(body, list) else [body]
            self.server.taken += [int(event["start_s"]) for event in events]

    def log_message(self, *_: object) -> None:
        pass


def status(code: int, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> bool:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return code < 300

    return answer


def reset(handler: BaseHTTPRequestHandler) -> bool:
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
    handler.close_connection = True
    return False


def hang(handler: BaseHTTPRequestHandler) -> bool:
    time.sleep(1)
    return False


def endless(handler: BaseHTTPRequestHandler) -> None:
    """A success whose body never ends."""
    handler.send_response(200)
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(bytes(65536))
    except OSError:
        pass


def dribble(handler: BaseHTTPRequestHandler) -> bool:
    """A header without end, a byte at a time: each is soon enough."""
    try:
        for _ in range(60):
            handler.wfile.write(b"a")
            handler.wfile.flush()
            time.sleep(0.05)
    except OSError:
        pass
    return False


@contextmanager
def serving(*answers: Answer) -> Iterator[Server]:
    with Server(list(answers)) as server:
        thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.02))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def deliver(
    server: Server, folder: Path, count: int = 5, **options: Any
) -> tuple[SinkState, list[SinkState]]:
    """Write events and wait until none waits; the state then, and all that was told."""
    told: list[SinkState] = []
    sink = WebhookSink(options.pop("url", server.url), outbox=folder, on_change=told.append, **options)
    for number in range(count):
        sink.write(segment(number))
    end_s = time.monotonic() + 30
    while sink.state.waiting and time.monotonic() < end_s:
        time.sleep(0.01)
    sink.close()
    return sink.state, told


@pytest.mark.parametrize(
    "trouble",
    [status(500), status(503), status(429), status(408), reset, status(502, Retry_After="nonsense")],
    ids=["500", "503", "429", "408", "reset", "502"],
)
def test_what_passes_is_tried_again_until_all_is_there_in_order(trouble: Answer, tmp_path: Path) -> None:
    with serving(status(200), trouble, trouble) as server:
        state, told = deliver(server, tmp_path)
    assert server.taken == list(range(5))
    assert (state.state, state.waiting, state.rejected) == ("connected", 0, 0)
    assert "waiting" in [each.state for each in told]
    again = [headers["Idempotency-Key"] for headers, _ in server.requests[1:4]]
    assert len(set(again)) == 1  # by which a repeat is told
    keys = [int(headers["Idempotency-Key"]) for headers, _ in server.requests]
    assert keys == sorted(keys)


@pytest.mark.parametrize("trouble", [hang, dribble], ids=["hang", "dribble"])
def test_a_server_that_does_not_come_to_an_end_is_left(
    trouble: Answer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "ATTEMPT_S", 0.3)
    with serving(trouble) as server:
        state, told = deliver(server, tmp_path)
    ids = {body["id"]: int(body["start_s"]) for _, body in server.requests}  # repeats are told by them
    assert list(ids.values()) == list(range(5))
    assert any("no answer for 0.3 s" in each.sentence for each in told)
    assert state.waiting == 0


def test_of_an_endless_answer_nothing_is_read(tmp_path: Path) -> None:
    with serving(endless, endless) as server:
        state, _ = deliver(server, tmp_path, count=3)
    assert state.waiting == 0
    assert [int(body["start_s"]) for _, body in server.requests] == [0, 1, 2]


def test_what_is_refused_is_set_aside_with_a_sentence_and_the_rest_goes_on(tmp_path: Path) -> None:
    with serving(status(200), status(400), status(422)) as server:
        state, told = deliver(server, tmp_path)
    assert server.taken == [0, 3, 4]
    assert (state.waiting, state.rejected) == (0, 2)
    assert "2 events refused: the server answers 422" in state.sentence
    assert any("1 event refused: the server answers 400 Bad Request" in each.sentence for each in told)


def test_of_a_batch_that_is_refused_only_the_event_that_is_meant_is_set_aside(tmp_path: Path) -> None:
    def picky(handler: BaseHTTPRequestHandler) -> bool:
        events = handler.server.requests[-1][1]  # type: ignore[attr-defined]
        bad = any(event["start_s"] == 3 for event in events)
        return bool(status(400 if bad else 200)(handler))

    with serving(status(500), *[picky] * 30) as server:
        state, _ = deliver(server, tmp_path, count=8, batch=4)
    assert server.taken == [0, 1, 2, 4, 5, 6, 7]
    assert state.rejected == 1
    headers, body = next(pair for pair in server.requests if len(pair[1]) > 1)
    assert headers["Idempotency-Key"] == f"{body[0]['id']}-{body[-1]['id']}"


@pytest.mark.parametrize("code", [401, 403, 404, 405, 410])
def test_where_the_address_is_wrong_no_event_is_lost(code: int, tmp_path: Path) -> None:
    with serving(*[status(code)] * 2) as server:
        state, told = deliver(server, tmp_path)
    assert server.taken == list(range(5))
    assert state.rejected == 0
    failed = [each for each in told if each.state == "failed"]
    assert f"the server answers {code}" in failed[0].sentence
    assert "look at the address and its login" in failed[0].sentence


@pytest.mark.parametrize("code", [301, 302, 307, 308])
def test_redirects_are_told_and_not_followed(code: int, tmp_path: Path) -> None:
    with serving() as other, serving() as server:
        secret = f"http://user:hunter2@127.0.0.1:{other.server_port}/new?token=abcdef"
        server.answers += [status(code, Location=secret)] * 2
        state, told = deliver(server, tmp_path)
        assert other.requests == []
    assert state.waiting == 0
    failed = next(each for each in told if each.state == "failed")
    assert (
        f"the server redirects to http://***@127.0.0.1:{other.server_port}/new?token=***" in failed.sentence
    )
    assert "hunter2" not in repr(told)


def test_a_server_that_asks_for_a_pause_gets_it(tmp_path: Path) -> None:
    with serving(status(429, Retry_After="1")) as server:
        begin_s = time.monotonic()
        deliver(server, tmp_path, count=1)
    assert server.taken == [0]
    assert time.monotonic() - begin_s > 0.9


def test_the_signature_of_the_standard() -> None:
    """The example that the libraries of Standard Webhooks test themselves with."""
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    found = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}')
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_request_is_signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n")
    with serving() as server:
        deliver(server, tmp_path / "out", count=1, secret=f"file:{tmp_path / 'secret'}")
    (headers, _), (raw,) = server.requests[0], server.raw
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    stamp = headers["Webhook-Timestamp"]
    assert headers["Webhook-Id"] == headers["Idempotency-Key"]
    assert headers["Webhook-Signature"] == signature(key, headers["Webhook-Id"], stamp, raw)
    assert abs(int(stamp) - time.time()) < 60


def test_a_body_is_the_event_with_its_id(tmp_path: Path) -> None:
    event = Event(stream="hof", kind="alert", text="jemand fällt", active=True, clip="hof-1.mp4")
    with serving() as server, WebhookSink(server.url, outbox=tmp_path) as sink:
        sink.write(event)
    ((headers, body),) = server.requests
    assert headers["Content-Type"] == "application/json"
    assert str(body.pop("id")) == headers["Idempotency-Key"]
    assert Event.from_json(json.dumps(body)) == event


def test_a_login_is_made_when_it_is_asked_for(tmp_path: Path) -> None:
    with serving(status(401, WWW_Authenticate='Basic realm="x"')) as server:
        url = server.url.replace("://", "://door:hunter2@")
        state, told = deliver(server, tmp_path, count=1, url=url)
    assert server.requests[-1][0]["Authorization"] == "Basic " + base64.b64encode(b"door:hunter2").decode()
    assert server.taken == [0]
    assert "hunter2" not in repr([state, told])


@pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl to make a certificate with")
def test_a_certificate_of_ones_own_has_to_be_trusted(tmp_path: Path) -> None:
    certificate, key = tmp_path / "own.crt", tmp_path / "own.key"
    made = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    names = ["-subj", "/CN=hook", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*made, *names, "-out", certificate, "-keyout", key], check=True, capture_output=True)
    with serving() as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        url = server.url.replace("http:", "https:")
        with WebhookSink(url, outbox=tmp_path / "out") as sink:
            sink.write(segment(7))
            end_s = time.monotonic() + 30
            while "TLS does not come about" not in sink.state.sentence and time.monotonic() < end_s:
                time.sleep(0.01)
            assert "self-signed certificate" in sink.state.sentence.replace("self signed", "self-signed")
        assert server.requests == []
        deliver(server, tmp_path / "out", count=0, url=url, authority=certificate)
    assert server.taken == [7]


def test_what_is_left_at_the_end_is_told_and_delivered_by_the_next(tmp_path: Path) -> None:
    told: list[SinkState] = []
    with serving(*[status(503)] * 1000) as server:
        with WebhookSink(server.url, outbox=tmp_path, on_change=told.append) as sink:
            for number in range(3):
                sink.write(segment(number))
        assert "the next process that uses" in told[-1].sentence
        assert told[-1].waiting == sink.state.waiting == 3
        server.answers.clear()
        state, _ = deliver(server, tmp_path, count=0)
    assert server.taken == [0, 1, 2]
    assert state.waiting == 0


def test_a_slow_server_slows_nobody_who_writes(tmp_path: Path) -> None:
    written = threading.Event()

    def after_all(handler: BaseHTTPRequestHandler) -> bool:
        written.wait(30)
        return bool(status(200)(handler))

    with serving(after_all) as server:
        sink = WebhookSink(server.url, outbox=tmp_path)
        for number in range(200):
            sink.write(segment(number))
        assert sink.state.waiting == 200  # the first one has no answer yet
        written.set()
        sink.close()


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("ftp://server/hook", "expected an address such as https://HOST/PATH"),
        ("server/hook", "expected an address such as https"),
        ("https://", "names no host"),
    ],
)
def test_addresses_that_are_none(address: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        WebhookSink(address, outbox=tmp_path)


def test_half_a_secret_is_not_taken(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected Base64 behind whsec_") as caught:
        WebhookSink("https://server", outbox=tmp_path, secret="whsec_abc!")
    assert "abc!" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [("", 0, 0), ("-5", 0, 0), ("soon", 0, 0), ("٣", 0, 0), ("Wed, 99 Foo 2026", 0, 0), ("120", 120, 120)],
)
def test_a_pause_is_read(text: str, least: float, most: float) -> None:
    headers = Message()
    headers["Retry-After"] = text
    assert least <= webhook._retry_after_s(headers) <= most


def test_a_pause_until_a_date_is_read() -> None:
    headers = Message()
    headers["Retry-After"] = formatdate(time.time() + 500, usegmt=True)
    assert 400 < webhook._retry_after_s(headers) <= 500
    headers.replace_header("Retry-After", formatdate(time.time() - 500, usegmt=True))
    assert webhook._retry_after_s(headers) == 0
