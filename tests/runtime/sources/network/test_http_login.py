"""Logins over HTTP: the numbers of the standards, and challenges as cameras word them."""

from __future__ import annotations

import base64
import re
import secrets
import socket
from collections.abc import Callable
from types import ModuleType

import pytest

from vljepa_runtime.sources.address import Address
from vljepa_runtime.sources.live.deadline import Deadline
from vljepa_runtime.sources.network.http_login import authorization
from vljepa_runtime.sources.network.web_file import RefusedError, WebFile

MUFASA = ("Mufasa", "Circle of Life")
RFC7616 = (
    'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={}, '
    'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)
BASIC = 'Basic realm="x"'
DIGEST = 'Digest realm="x", nonce="1"'


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_digest_of_the_standard(algorithm: str, response: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 7616, 3.9.1."""
    cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    monkeypatch.setattr(secrets, "token_hex", lambda _: cnonce)
    answer = authorization([RFC7616.format(algorithm)], MUFASA, "GET", "/dir/index.html")
    assert answer is not None
    assert f'response="{response}"' in answer
    assert f"algorithm={algorithm}, qop=auth, nc=00000001" in answer


def test_digest_without_quality_of_protection() -> None:
    """RFC 2069, 2.4, with the response of its errata."""
    challenge = (
        'Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", '
        'opaque="5ccc069c403ebaf9f0171e9517f40e41"'
    )
    answer = authorization([challenge], ("Mufasa", "CircleOfLife"), "GET", "/dir/index.html")
    assert answer is not None
    assert 'response="1949323746fe6a43ef61f9606e7febea"' in answer


@pytest.mark.parametrize(
    ("challenges", "begin", "holds"),
    [
        ([BASIC], "Basic", ""),
        (["Basic"], "Basic", ""),
        (["basic realm=x"], "Basic", ""),
        ([BASIC, DIGEST], "Digest", ""),
        ([f"{BASIC}, {DIGEST}"], "Digest", 'realm="x"'),
        (["Negotiate", "NTLM abc==", BASIC], "Basic", ""),
        ([f"{DIGEST}, algorithm=MD5", f"{DIGEST}, algorithm=SHA-256"], "Digest", "algorithm=SHA-256"),
        ([f'{DIGEST}, algorithm="MD5"'], "Digest", "algorithm=MD5"),
        ([f"{DIGEST}, algorithm=MD5-sess"], "Digest", "cnonce="),
        ([f'{DIGEST}, qop="auth-int, auth"'], "Digest", "qop=auth,"),
        ([f"{DIGEST}, algorithm=SHA-512-256", BASIC], "Basic", ""),
        (['Digest realm="a \\"b\\", c=d", nonce="1"'], "Digest", 'realm="a \\"b\\", c=d"'),
    ],
)
def test_the_strongest_known_challenge_is_answered(challenges: list[str], begin: str, holds: str) -> None:
    answer = authorization(challenges, ("me", "pä:ß"), "GET", "/")
    assert answer is not None
    assert answer.startswith(f"{begin} ")
    assert holds in answer
    answer.encode("latin-1")


@pytest.mark.parametrize("challenges", [[], ["Bearer realm=x"], ["Digest realm=x"], ['"', ", ,=", "=x"]])
def test_no_answer_to_what_is_not_known(challenges: list[str]) -> None:
    assert authorization(challenges, ("me", "it"), "GET", "/") is None


def protected(user: str, where: bytes = b"") -> Callable[[socket.socket, bytes], None]:
    """Gives `ok` to a user by Basic; `/live` redirects to `where` first."""
    login = base64.b64encode(f"{user}:p@ss".encode())

    def answer(client: socket.socket, request: bytes) -> None:
        if where and b" /live " in request:
            client.sendall(b"HTTP/1.1 302 Found\r\nLocation: " + where + b"\r\nContent-Length: 0\r\n\r\n")
        elif login in request:
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        else:
            client.sendall(
                b"HTTP/1.1 401 No\r\nWWW-Authenticate: Basic\r\nContent-Length: 9999\r\n\r\nlog in"
            )

    return answer


def test_a_redirect_keeps_the_login_on_its_host_only(live_servers: ModuleType) -> None:
    asked: list[bytes] = []

    def elsewhere(client: socket.socket, request: bytes) -> None:
        asked.append(request)
        protected("me")(client, request)

    with (
        live_servers.serving(protected("me", b"/other/path")) as port,
        live_servers.serving(elsewhere) as other,
    ):
        file = WebFile(Address(f"http://me:p%40ss@127.0.0.1:{port}/live"), Deadline(5))
        assert file.head() == b"ok"
        away = f"http://127.0.0.1:{other}/".encode()
        with live_servers.serving(protected("me", away)) as sender, pytest.raises(RefusedError, match="401"):
            WebFile(Address(f"http://me:p%40ss@127.0.0.1:{sender}/live"), Deadline(5))
    assert asked
    assert not any(re.search(rb"(?i)authorization", request) for request in asked)


def test_a_login_in_a_redirect_is_used_and_not_told(live_servers: ModuleType) -> None:
    with live_servers.serving(protected("you")) as other:
        there = f"http://you:p%40ss@127.0.0.1:{other}/".encode()
        with live_servers.serving(protected("me", there)) as port:
            assert WebFile(Address(f"http://127.0.0.1:{port}/live"), Deadline(5)).head() == b"ok"
        wrong = there.replace(b"you:p", b"you:zqPass")
        with live_servers.serving(protected("me", wrong)) as port, pytest.raises(RefusedError) as caught:
            WebFile(Address(f"http://127.0.0.1:{port}/live"), Deadline(5))
    assert "zqPass" not in str(caught.value)


def test_a_cookie_on_the_way(live_servers: ModuleType) -> None:
    def answer(client: socket.socket, request: bytes) -> None:
        if b"Cookie: sid=7" in request:
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        else:
            client.sendall(
                b"HTTP/1.1 302 Found\r\nLocation: /\r\nSet-Cookie: sid=7\r\nContent-Length: 0\r\n\r\n"
            )

    with live_servers.serving(answer) as port:
        assert WebFile(Address(f"http://127.0.0.1:{port}/live"), Deadline(5)).head() == b"ok"
