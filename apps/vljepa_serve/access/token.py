"""The token, the cookie that stands for it, and the names by which browsers may call the server."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import re
import secrets
import socket
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from vljepa_runtime import InputError
from vljepa_serve.access.rates import Rate

__all__ = ["COOKIE", "Access", "check_token", "is_loopback", "read_token"]

COOKIE = "vljepa"
LEAST = 16  # characters of a token that leaves the machine
_HOST = re.compile(r"(\[[^\[\]]+\]|[^\[\]:]*)(?::(\d{1,5}))?")
TRIES, TRY_S = 5, 60.0
ASKS, ASK_S = 1200, 6.0  # a wall of nine cameras asks for 50 pictures a second


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def read_token(path: str | Path) -> str:
    """The token in a file, which is made with a new one where it is not there, for its owner alone.

    Raises:
        InputError: it cannot be read or written, or what it holds is too short.
    """
    place = Path(path)
    try:
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            with open(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(32) + "\n")
        return check_token(place.read_text().strip())
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read a token from {place}: {error}: name another file") from error


def check_token(token: str) -> str:
    """A token that cannot be guessed.

    Raises:
        InputError: it is too short, or no line of printable characters.
    """
    if len(token) < LEAST or not token.isascii() or not token.isprintable():
        raise InputError(
            f"expected a token of at least {LEAST} printable ASCII characters, got {len(token)}: "
            "leave --token out, and one is made"
        )
    return token


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who may come in.

    Attributes:
        token: None lets everybody in who can reach the address.
        host: Where the server listens.
        names: Host names beside the usual by which it may be called.
        is_secure: Whether it speaks TLS.
        is_made: Whether the token is new, and nobody knows it yet.
        tries: Of the token, by address.
        asks: Of anything, by address.
    """

    token: str | None = None
    host: str = "127.0.0.1"
    names: Collection[str] = ()
    is_secure: bool = False
    is_made: bool = False
    tries: Rate = field(default_factory=lambda: Rate(most=TRIES, per_s=TRY_S))
    asks: Rate = field(default_factory=lambda: Rate(most=ASKS, per_s=ASK_S))

    @property
    def cookie(self) -> str:
        """What a browser keeps in the place of the token."""
        return hmac.new((self.token or "").encode(), b"vljepa serve: cookie", hashlib.sha256).hexdigest()

    def is_right(self, token: str) -> bool:
        """Whether it is the token; takes as long whatever is wrong with it."""
        return self.token is not None and hmac.compare_digest(
            hashlib.sha256(token.encode("utf-8", "replace")).digest(),
            hashlib.sha256(self.token.encode()).digest(),
        )

    def is_cookie(self, value: str) -> bool:
        """Whether a browser was let in before."""
        return self.token is not None and hmac.compare_digest(
            value.encode("utf-8", "replace"), self.cookie.encode()
        )

    def answers_to(self, host: str) -> bool:
        """Whether a browser may call the server so: any address, its own names, and no other.

        A page of somebody else that makes its own name lead here (DNS rebinding) is not answered.
        """
        found = _HOST.fullmatch(host.strip())
        if found is None:
            return False
        name = found[1].strip("[]").rstrip(".").lower()
        if is_loopback(self.host):
            return is_loopback(name) or name in self.names
        machine = socket.gethostname().lower()
        known = {
            "localhost",
            machine,
            machine.partition(".")[0],
            f"{machine}.local",
            *map(str.lower, self.names),
        }
        try:
            ipaddress.ip_address(name.partition("%")[0])
        except ValueError:
            return name in known
        return True
