"""Who may come in, and what nobody may do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from serving import Running, camera_toml, run_app, running
from starlette.routing import Match
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

import vljepa_runtime as vj
from vljepa_serve import create_app
from vljepa_serve.access import Access, read_token

TOKEN = "correct horse battery staple"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def locked(model: vj.Model, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server that wants a token, with a camera whose address holds a password."""
    source = "rtsp://admin:hunter2@127.0.0.1:1/live?token=hunter3"
    with running(model, tmp_path_factory.mktemp("locked"), camera_toml("door", source, on=False)) as found:
        app = create_app(found.service, Access(token=TOKEN))
        with run_app(app) as address, httpx.Client(base_url=address, timeout=20) as client:
            yield Running(found.service, client, address)


def routes(app: Any) -> list[tuple[str, str]]:
    """Every method and path of an application."""
    paths = app.openapi()["paths"]
    declared = [(method.upper(), path) for path, methods in paths.items() for method in methods]
    more = [("GET", path) for path in ("/", "/docs", "/openapi.json", "/nowhere", "/api/live")]
    return declared + more


def test_without_a_token_nothing_but_health_is_told(locked: Running) -> None:
    app = create_app(locked.service)
    found = routes(app)
    assert len(found) > 15
    for method, path in found:
        answer = locked.client.request(method, path.replace("{id}", "door"))
        expected = 200 if path == "/health" else 422 if path == "/api/login" else 401
        assert answer.status_code == expected, (method, path)
        if expected == 401 and path != "/":
            assert answer.json()["sentence"].startswith("A token is needed")
    assert Match.FULL  # the walk is over what the application declares, not over a list of ours


def test_the_page_itself_asks_for_the_token(locked: Running) -> None:
    answer = locked.client.get("/")
    assert answer.status_code == 401
    assert answer.headers["content-type"].startswith("text/html")
    assert locked.client.get("/page/index.html").status_code == 200


@pytest.mark.parametrize("token", ["wrong", "Bearer", TOKEN[:-1], TOKEN + "x", "é" * 8])
def test_a_wrong_token_opens_nothing(locked: Running, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}".encode()}
    assert locked.client.get("/api/state", headers=headers).status_code == 401
    assert locked.client.get("/api/state", headers={"Cookie": b"vljepa=" + token.encode()}).status_code == 401


def test_the_token_opens_and_the_cookie_stays(locked: Running) -> None:
    assert locked.client.get("/api/state", headers=BEARER).status_code == 200
    with httpx.Client(base_url=locked.address) as browser:
        answer = browser.post("/api/login", json={"token": TOKEN})
        assert answer.status_code == 204
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert TOKEN not in answer.headers["set-cookie"]
        assert browser.get("/api/state").status_code == 200
        address = locked.address.replace("http", "ws") + "/api/live"
        with connect(address, additional_headers={"Cookie": f"vljepa={browser.cookies['vljepa']}"}) as socket:
            assert json.loads(socket.recv(timeout=20))["kind"]
        browser.post("/api/logout")
        assert browser.get("/api/state").status_code == 401


def test_after_five_tries_a_page_waits(model: vj.Model, locked: Running) -> None:
    app = create_app(locked.service, Access(token=TOKEN))
    with run_app(app) as address, httpx.Client(base_url=address) as client:
        tries = [client.post("/api/login", json={"token": "wrong"}) for _ in range(6)]
        assert [each.status_code for each in tries] == [401] * 5 + [429]
        assert 0 < int(tries[-1].headers["retry-after"]) <= 60
        assert client.post("/api/login", json={"token": TOKEN}).status_code == 429


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({}, 404),
        ({"Sec-Fetch-Site": "same-origin"}, 404),
    ],
)
def test_no_other_page_changes_anything(server: Running, headers: dict[str, str], status: int) -> None:
    answer = server.client.post("/api/cameras/nowhere/retry", headers=headers)
    assert answer.status_code == status


def test_no_other_page_listens(server: Running) -> None:
    address = server.address.replace("http", "ws") + "/api/live"
    with pytest.raises(InvalidStatus) as refused:
        connect(address, origin="http://evil.example")
    assert refused.value.response.status_code == 403
    with connect(address, origin=server.address) as socket:
        assert socket.recv(timeout=20)


@pytest.mark.parametrize(
    ("listens", "host", "answers"),
    [
        ("127.0.0.1", "localhost:8080", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "[::1]:80", True),
        ("127.0.0.1", "evil.example", False),
        ("127.0.0.1", "192.168.0.4", False),
        ("127.0.0.1", "", False),
        ("127.0.0.1", "127.0.0.1:80:90", False),
        ("127.0.0.1", "127.0.0.1.evil.example", False),
        ("0.0.0.0", "192.168.0.4:8080", True),
        ("0.0.0.0", "[fe80::1%eth0]", True),
        ("0.0.0.0", "box.home", True),
        ("0.0.0.0", "evil.example", False),
    ],
)
def test_by_which_names_the_server_may_be_called(listens: str, host: str, answers: bool) -> None:
    assert Access(host=listens, names=["box.home"]).answers_to(host) is answers


def test_a_name_that_was_made_to_lead_here_is_not_answered(server: Running) -> None:
    answer = server.client.get("/api/state", headers={"Host": "evil.example"})
    assert answer.status_code == 421
    assert "does not answer to that name" in answer.json()["sentence"]


def test_browsers_are_told_what_they_may_not_do(server: Running) -> None:
    for path in ("/", "/api/state", "/nowhere", "/docs", "/api/cameras/door/live.jpg"):
        headers = server.client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert "server" not in headers
        assert "access-control-allow-origin" not in headers


def test_nothing_too_large_is_read(server: Running) -> None:
    def much() -> Iterator[bytes]:
        yield b'{"query": "'
        for _ in range(13):
            yield b"a" * (1 << 20)
        yield b'"}'

    declared = server.client.post("/api/cameras/door/ask", content=b"a" * (13 << 20))
    streamed = server.client.post("/api/cameras/door/ask", content=much())
    assert (declared.status_code, streamed.status_code) == (413, 413)
    assert server.client.get("/api/state?" + "a" * 9000).status_code == 414


def test_no_password_is_told_to_anybody(locked: Running) -> None:
    found = []
    for method, path in routes(create_app(locked.service)):
        if method == "GET" and "mjpeg" not in path:
            found.append(locked.client.get(path.replace("{id}", "door"), headers=BEARER).text)
    answer = locked.client.patch(
        "/api/cameras/door", headers=BEARER, json={"source": "\x00rtsp://a:hunter2@b"}
    )
    found.append(answer.text)
    assert not [text for text in found if "hunter" in text or TOKEN in text]


def test_a_token_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "token"
    token = read_token(path)
    assert path.stat().st_mode & 0o077 == 0
    assert read_token(path) == token
    path.write_text("short")
    with pytest.raises(vj.InputError, match="at least 16"):
        read_token(path)


def test_a_fast_asker_is_slowed(locked: Running) -> None:
    from vljepa_serve.access import Rate

    app = create_app(locked.service, Access(asks=Rate(most=5, per_s=60)))
    with run_app(app) as address, httpx.Client(base_url=address) as client:
        codes = [client.get("/health").status_code for _ in range(8)]
    assert codes.count(429) == 3
