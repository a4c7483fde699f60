"""Logging in to HTTP servers as cameras ask for it: Digest with MD5 or SHA-256 and Basic (RFC 7616, RFC 7617).

urllib's own handlers look at the first challenge alone, know no SHA-256 and no password beyond ASCII, and forget the
login when the same host redirects to another path.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Callable, Iterable
from http.client import HTTPMessage
from typing import IO, Any
from urllib.parse import urlsplit
from urllib.request import BaseHandler, Request

__all__ = ["HttpLogin", "authorization"]

Login = tuple[str, str]  # user name and password
Hash = Callable[[bytes], str]

_TOKEN = re.compile(r'([\w-]+)\s*=\s*("(?:\\.|[^"\\])*"|[^\s,"]*)|([\w-]+)')
_PORTS = {"http": 80, "https": 443}
_HASHES: dict[str, Hash] = {  # the stronger first
    "SHA-256": lambda data: hashlib.sha256(data).hexdigest(),
    "MD5": lambda data: hashlib.md5(data, usedforsecurity=False).hexdigest(),
}


class HttpLogin(BaseHandler):
    """Answers a 401, once a request; for urllib's `OpenerDirector`.

    A login goes to the origin that it was given for alone, or to the same host when that moves from http to https.
    """

    handler_order = 490  # before what makes an error of it

    def __init__(self) -> None:
        self._logins: dict[tuple[str, str, int | None], Login] = {}

    def add(self, url: str, login: Login) -> None:
        """Use this login for the origin of `url`."""
        self._logins[_origin(url)] = login

    def http_error_401(self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage) -> Any:
        """Ask again with the login; None where there is none or the server did not accept it."""
        fp.close()
        login = self._login_for(req.full_url)
        if login is None or req.has_header("Authorization"):
            return None
        answer = authorization(headers.get_all("WWW-Authenticate", []), login, req.get_method(), req.selector)
        if answer is None:
            return None
        req.add_unredirected_header("Authorization", answer)
        return self.parent.open(req, timeout=req.timeout)

    def _login_for(self, url: str) -> Login | None:
        scheme, host, port = _origin(url)
        found = self._logins.get((scheme, host, port))
        if found is None and scheme == "https":
            found = next(
                (login for (s, h, _), login in self._logins.items() if (s, h) == ("http", host)), None
            )
        return found


def authorization(challenges: Iterable[str], login: Login, method: str, path: str) -> str | None:
    """The value of `Authorization`, in Latin-1 as `http.client` sends it.

    Args:
        challenges: Values of `WWW-Authenticate`, each with one scheme or several.
        login: User name and password.
        method: Such as `GET`.
        path: Path and query, as in the request line.

    Returns:
        An answer to the strongest challenge that is known; None when none is.
    """
    known = [found for text in challenges for found in _parsed(text)]
    for name in _HASHES:
        for scheme, options in known:
            asked = options.get("algorithm", "MD5").upper()
            if scheme == "digest" and asked.removesuffix("-SESS") == name and "nonce" in options:
                return _digest(options, login, method, path, name)
    if any(scheme == "basic" for scheme, _ in known):
        return "Basic " + base64.b64encode(":".join(login).encode()).decode()
    return None


def _parsed(text: str) -> list[tuple[str, dict[str, str]]]:
    """The schemes of a challenge in small letters, each with its options."""
    found: list[tuple[str, dict[str, str]]] = []
    for key, value, scheme in _TOKEN.findall(text):
        if scheme:
            found.append((scheme.lower(), {}))
        elif found:
            plain = re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
            found[-1][1][key.lower()] = plain
    return found


def _digest(options: dict[str, str], login: Login, method: str, path: str, name: str) -> str:
    """An answer to one Digest challenge (RFC 7616, 3.4)."""
    hashed = _HASHES[name]
    user, password = (part.encode().decode("latin-1") for part in login)
    realm, nonce, cnonce, count = options.get("realm", ""), options["nonce"], secrets.token_hex(8), "00000001"

    def joined(*parts: str) -> str:
        return hashed(":".join(parts).encode("latin-1"))

    offered = [word.strip() for word in options.get("qop", "").split(",")]
    qop = next((word for word in ("auth", "auth-int") if word in offered), "")
    secret = joined(user, realm, password)
    if options.get("algorithm", "").upper().endswith("-SESS"):
        secret = joined(secret, nonce, cnonce)
    asked = joined(method, path, hashed(b"")) if qop == "auth-int" else joined(method, path)
    response = joined(secret, nonce, count, cnonce, qop, asked) if qop else joined(secret, nonce, asked)
    fields = {"username": user, "realm": realm, "nonce": nonce, "uri": path, "response": response}
    if "opaque" in options:
        fields["opaque"] = options["opaque"]
    plain = {"algorithm": options["algorithm"]} if "algorithm" in options else {}
    if qop or "cnonce" in options or "-SESS" in options.get("algorithm", "").upper():
        fields["cnonce"] = cnonce
    if qop:
        plain |= {"qop": qop, "nc": count}
    quoted = [f'{key}="{_escaped(value)}"' for key, value in fields.items()]
    return "Digest " + ", ".join([*quoted, *(f"{key}={value}" for key, value in plain.items())])


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme)
