"""The address of a stream, parsed once: whatever prints it prints it without what is secret."""

from __future__ import annotations

import ipaddress
import re
from typing import NoReturn
from urllib.parse import unquote

from vljepa_runtime.errors import SourceError
from vljepa_runtime.redaction import hide_in_name, hide_in_url, is_host, redact, split_authority

__all__ = ["ESCAPES", "Address"]

ESCAPES = "write # as %23, / as %2F, ? as %3F, @ as %40, : as %3A and % as %25 in a user name or password"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+(?=://)")


class Address(str):
    """A URL, a GStreamer pipeline, or a name that is neither; as a text it is the redacted form.

    So `str`, f-strings, JSON, plots, logs and copies of it show no password, and two addresses are equal when they
    look alike. Only `secret_url` gives what was typed; it is for the libraries that open streams.

    Examples:
        >>> from vljepa_runtime.sources import Address
        >>> Address("RTSP://admin:hunter2@10.0.0.5/live?token=abc")
        Address('rtsp://***@10.0.0.5/live?token=***')
    """

    __slots__ = ("_secret",)
    _secret: str

    def __new__(cls, text: str) -> Address:
        if isinstance(text, Address):
            return text
        if found := _SCHEME.match(text):  # FFmpeg knows protocols in small letters only
            text = found[0].lower() + text[found.end() :]
            shown = hide_in_url(text)
        else:
            is_pipeline = " ! " in text or text[:4].lower() == "gst:"
            shown = redact(text) if is_pipeline else hide_in_name(text)
        self = super().__new__(cls, shown)
        object.__setattr__(self, "_secret", text)
        return self

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"an address does not change: cannot set {name}")

    def __repr__(self) -> str:
        return f"Address({str(self)!r})"

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (str(self),)  # what is stored or sent is for reading only

    @property
    def scheme(self) -> str:
        """In small letters; empty for a pipeline."""
        found = _SCHEME.match(self._secret)
        return found[0] if found else ""

    @property
    def host(self) -> str:
        """Name or number of the host, an IPv6 address without its brackets."""
        return self._host_and_port()[0].strip("[]")

    @property
    def port(self) -> int | None:
        """None when it was not given."""
        digits = self._host_and_port()[1]
        return int(digits) if digits.isdecimal() else None

    @property
    def advice(self) -> str:
        """What to try when it does not open and a password may be the reason; empty when none is."""
        login, _, body = self._parts()
        return ESCAPES if "***@" in self and (login is None or "@" in body) else ""

    def secret_url(self, *, host: str | None = None, login: bool = True) -> str:
        """What was typed, its scheme in small letters; never to be printed.

        Args:
            host: Another host, with its port.
            login: With user name and password, where they were given.
        """
        if host is None and login:
            return self._secret
        user, own, body = self._parts()
        user = f"{user}@" if login and user is not None else ""
        return f"{self.scheme}://{user}{own if host is None else host}{body}"

    def secret_login(self) -> tuple[str, str] | None:
        """User name and password, percent-decoded; None where none was given."""
        login = self._parts()[0]
        if login is None:
            return None
        name, _, password = login.partition(":")
        return unquote(name), unquote(password)

    def check(self) -> None:
        """Look for what keeps a URL from working as it was typed.

        Raises:
            SourceError: it names no host, or a character of the password ends it too early.
        """
        _, host, body = self._parts()
        if _is_ipv6(host):
            raise SourceError(f"expected an IPv6 address in brackets, as in {self.scheme}://[::1]/live")
        ends_early = "@" in body and "***@" in self
        if is_host(host) and host.partition(":")[0] and not (ends_early and body[0] == "#"):
            return
        if ends_early:
            raise SourceError(f"{self} cannot be taken apart: {ESCAPES}")
        raise SourceError(
            f"{self} names no host with a number as its port: expected {self.scheme}://HOST:PORT/PATH; {ESCAPES}"
        )

    def _parts(self) -> tuple[str | None, str, str]:
        """User and password as typed (None without `@`), host and port, and all that follows."""
        authority, body = split_authority(self._secret.partition("://")[2])
        login, at, host = authority.rpartition("@")
        return login if at else None, host, body

    def _host_and_port(self) -> tuple[str, str]:
        host = self._parts()[1]
        name, colon, port = host.rpartition(":")
        return (host, "") if not colon or host.endswith("]") else (name, port)


def _is_ipv6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False
