"""HTTPS as `vljepa serve --tls-cert --tls-key` speaks it, with certificates that openssl made."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from serving import Running, wait_for
from websockets.asyncio.client import connect

from vljepa_apps.main import main
from vljepa_serve import create_app
from vljepa_serve.access import Access
from vljepa_serve.config import ServerConfig
from vljepa_serve.running import listen, settings_of

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not here")
TOKEN = "correct horse battery staple"


@dataclass(frozen=True)
class Pair:
    """A certificate of its own making, and its key."""

    cert: Path
    key: Path


def made(folder: Path, name: str, *options: str) -> Pair:
    """What openssl makes."""
    pair = Pair(folder / f"{name}.pem", folder / f"{name}.key")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "2",
         "-subj", "/CN=box", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", pair.key, "-out", pair.cert,
         *(options or ("-nodes",))],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return pair


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return made(tmp_path_factory.mktemp("tls"), "box")


@pytest.fixture(scope="module")
def secure(server: Running, pair: Pair) -> Iterator[str]:
    """The server behind TLS and a token; its host and port."""
    place = ServerConfig(port=0, tls_cert=str(pair.cert), tls_key=str(pair.key))
    app = create_app(server.service, Access(token=TOKEN, is_secure=True))
    with listen(place) as listening:
        runs = uvicorn.Server(settings_of(app, place))
        thread = threading.Thread(target=runs.run, kwargs={"sockets": [listening]})
        thread.start()
        wait_for(lambda: runs.started)
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        runs.should_exit = True
        thread.join(10)


def trusting(pair: Pair) -> ssl.SSLContext:
    """Verifies against that certificate, and against no other."""
    return ssl.create_default_context(cafile=str(pair.cert))


def first_message(address: str, **options: Any) -> str | bytes:
    """What a WebSocket is told first.

    It is read in one thread, for two must not use a connection of OpenSSL at once, and not in this one, where a
    browser's events may be awaited.
    """

    async def told() -> str | bytes:
        async with connect(address, **options) as socket:
            return await asyncio.wait_for(socket.recv(), 20)

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, told()).result()


def test_a_browser_that_knows_the_certificate_comes_in(secure: str, pair: Pair) -> None:
    with httpx.Client(base_url=f"https://{secure}", verify=trusting(pair)) as browser:
        assert browser.get("/health").status_code == 200
        assert browser.get("/api/state").status_code == 401
        login = browser.post("/api/login", json={"token": TOKEN}, headers={"Origin": f"https://{secure}"})
        assert login.status_code == 204
        kept = [part.strip().lower() for part in login.headers["set-cookie"].split(";")]
        assert {"secure", "httponly", "samesite=strict"} <= set(kept)
        assert browser.get("/api/state").status_code == 200
        cookie = {"Cookie": f"vljepa={browser.cookies['vljepa']}"}
        refused = browser.post("/api/logout", headers={"Origin": f"http://{secure}"})
        assert refused.status_code == 403  # the same host without TLS is another page
    options = {"ssl": trusting(pair), "additional_headers": cookie, "origin": f"https://{secure}"}
    assert json.loads(first_message(f"wss://{secure}/api/live", **options))["kind"]


def test_who_does_not_know_it_or_speaks_plainly_gets_nothing(secure: str) -> None:
    with pytest.raises(httpx.ConnectError, match=r"CERTIFICATE_VERIFY_FAILED|self.signed"):
        httpx.get(f"https://{secure}/health")
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"http://{secure}/health")


@pytest.mark.parametrize(("version", "is_spoken"), [("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)])
def test_old_versions_of_tls_are_not_spoken(secure: str, version: str, is_spoken: bool) -> None:
    done = subprocess.run(
        ["openssl", "s_client", "-connect", secure, version, "-cipher", "ALL:@SECLEVEL=0"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert ("Cipher is (NONE)" not in done.stdout) is is_spoken, done.stderr


def test_what_is_wrong_with_a_certificate_is_one_sentence(
    pair: Pair, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other, locked = made(tmp_path, "other"), made(tmp_path, "locked", "-passout", "pass:hunter2")
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("no certificate")
    cases = [
        (tmp_path / "missing.pem", pair.key, "cannot read the certificates .*missing.pem: no such file"),
        (pair.cert, tmp_path / "missing.key", "cannot read the key .*missing.key: no such file"),
        (pair.cert, tmp_path, "cannot read the key .*: is a directory"),
        (pair.cert, other.key, "other.key is not the key of .*box.pem: "),
        (nonsense, pair.key, "nonsense.pem holds no certificate: expected PEM"),
        (pair.cert, nonsense, "nonsense.pem holds no key: expected PEM"),
        (locked.cert, locked.key, "locked.key is locked by a password: "),
        (None, pair.key, "--tls-key needs --tls-cert"),
        (pair.cert, None, "box.pem holds no key: give it as --tls-key"),
    ]
    for cert, key, sentence in cases:
        options = [f"--tls-cert={cert}"] * (cert is not None) + [f"--tls-key={key}"] * (key is not None)
        assert main(["serve", "--log", str(tmp_path / "log"), "--port", "0", *options]) == 1
        said = capsys.readouterr().err.strip().splitlines()
        assert len(said) == 1, said
        assert re.search(sentence, said[0]), said
