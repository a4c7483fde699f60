"""How HTTP requests go out: over connections whose waits end, with a login, cookies, proxies and redirects.

`http.client` bounds a header line to 64 KiB and a header to 100 lines; urllib follows redirects to http(s) only, ten at
most, and keeps cookies on the way.
"""

from __future__ import annotations

import http.client
import ipaddress
import ssl
import urllib.request
from collections.abc import Callable
from functools import partial
from http.client import HTTPMessage
from typing import IO, Any
from urllib.parse import urlsplit
from urllib.request import Request

from vljepa_runtime.sources.address import Address
from vljepa_runtime.sources.live.deadline import Deadline
from vljepa_runtime.sources.network.http_login import HttpLogin
from vljepa_runtime.sources.network.tcp import TcpConnection, connect_tcp

__all__ = ["http_opener", "is_loopback"]


def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


Opener = Callable[[Request], http.client.HTTPResponse]


def http_opener(
    login: tuple[str, str] | None,
    url: str,
    deadline: Deadline,
    *,
    tls: ssl.SSLContext | None = None,
    redirects: bool = True,
) -> Opener:
    """What sends a request and follows its redirects, through the proxies of the environment.

    Args:
        login: User name and password for the origin of `url`, None where there are none.
        url: What will be asked for first.
        deadline: Ends every wait.
        tls: How servers are checked; None takes any certificate.
        redirects: Whether they are followed; else they are errors.
    """
    opener, logins = urllib.request.OpenerDirector(), HttpLogin()
    if login is not None:
        logins.add(url, login)
    for handler in (
        _Proxies(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPCookieProcessor(),
        logins,
        *((_Redirects(logins),) if redirects else ()),
        _Connections(deadline, tls),
    ):
        opener.add_handler(handler)
    return opener.open


class _Proxies(urllib.request.ProxyHandler):
    """Those that the environment names, which cannot reach the loopback of this machine."""

    def proxy_open(self, req: Request, proxy: str, type: str) -> Any:
        """See `ProxyHandler`; None goes there directly."""
        return (
            None
            if is_loopback(urlsplit(req.full_url).hostname or "")
            else super().proxy_open(req, proxy, type)
        )


class _Redirects(urllib.request.HTTPRedirectHandler):
    """urllib's own, without reading the body of a redirect, which may never end; a login in it is used."""

    def __init__(self, logins: HttpLogin) -> None:
        self._logins = logins

    def http_error_302(self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage) -> Any:
        fp.close()
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        address = Address(newurl)
        if (login := address.secret_login()) is not None:
            newurl = address.secret_url(login=False)
            self._logins.add(newurl, login)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Connections(urllib.request.AbstractHTTPHandler):
    """HTTP and HTTPS over connections whose waits end."""

    def __init__(self, deadline: Deadline, tls: ssl.SSLContext | None) -> None:
        super().__init__()
        self._deadline, self._tls = deadline, tls

    def http_open(self, req: Request) -> http.client.HTTPResponse:
        return self.do_open(partial(_Connection, deadline=self._deadline), req)

    def https_open(self, req: Request) -> http.client.HTTPResponse:
        return self.do_open(partial(_TlsConnection, deadline=self._deadline, tls=self._tls), req)

    http_request = https_request = urllib.request.AbstractHTTPHandler.do_request_


class _Connection(http.client.HTTPConnection):
    is_secure = False

    def __init__(
        self, *args: Any, deadline: Deadline, tls: ssl.SSLContext | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._deadline, self._tls = deadline, tls

    def connect(self) -> None:
        connection: TcpConnection = connect_tcp(self.host, self.port, self._deadline)
        self.sock: Any = connection
        if tunnel := getattr(self, "_tunnel_host", None):  # through a proxy
            self._tunnel()  # type: ignore[attr-defined]
        if self.is_secure:
            connection.secure(tunnel or self.host, self._tls)


class _TlsConnection(_Connection):
    is_secure = True
    default_port = 443
