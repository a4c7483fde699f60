"""Stands before every route: who asks, by which name, from which page, how much and how often.

What it refuses never reaches a route; what leaves has the headers that keep a browser from doing more than it should.
"""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vljepa_serve.access.token import COOKIE, Access
from vljepa_serve.answers import problem
from vljepa_serve.page_files import page_answer

__all__ = ["Guard"]

OPEN = ("/health", "/api/login")
OPEN_BELOW = "/page/"
SAFE = ("GET", "HEAD", "OPTIONS")
MOST_BYTES = 12 << 20  # of a request: a picture to search with, as text
LARGE = f"Expected at most {MOST_BYTES >> 20} MiB."
MOST_QUERY = 8 << 10
UNAUTHORIZED, FORBIDDEN, TOO_LARGE, URI_TOO_LONG, MISDIRECTED, TOO_MANY = 401, 403, 413, 414, 421, 429
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "media-src 'self' blob:; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Guard:
    """An ASGI middleware.

    Args:
        app: What it guards.
        access: Who may come in.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        guarded = _with_headers(send)
        if (refusal := self._refusal(scope)) is not None:
            await _refuse(refusal, scope, receive, guarded)
            return
        body = _Limited(receive, MOST_BYTES)
        await self._app(scope, body, guarded)

    def _refusal(self, scope: Scope) -> Response | None:
        """Why a request is not let through; None where it is."""
        headers, access = Headers(scope=scope), self._access
        method = scope.get("method", "GET")
        if not access.answers_to(headers.get("host", "")):
            return problem(
                MISDIRECTED,
                "This server does not answer to that name: call it by its address, or name it in `names` of the "
                "section [server].",
            )
        if (wait_s := access.asks.wait_s(_who(scope))) > 0:
            after = {"Retry-After": str(max(1, round(wait_s)))}
            return problem(TOO_MANY, "Too many requests: wait a moment.", headers=after)
        if len(scope.get("query_string", b"")) > MOST_QUERY:
            return problem(URI_TOO_LONG, f"Expected at most {MOST_QUERY >> 10} KiB behind the question mark.")
        if (
            headers.get("content-length", "0").isdecimal()
            and int(headers.get("content-length", "0")) > MOST_BYTES
        ):
            return _too_large()
        is_writing = scope["type"] == "websocket" or method not in SAFE
        if is_writing and not _is_from_here(headers, scope):
            return problem(FORBIDDEN, "Another page asked for this: only the server's own page may.")
        return None if self._is_let_in(scope, headers) else _unauthorized(scope)

    def _is_let_in(self, scope: Scope, headers: Headers) -> bool:
        path = scope["path"]
        if self._access.token is None or path in OPEN or path.startswith(OPEN_BELOW):
            return True
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return self._access.is_right(token.strip())
        return self._access.is_cookie(_cookie(headers.get("cookie", "")))


class _Limited:
    """Gives what a request holds, up to a size."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive, self._left = receive, most

    async def __call__(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                raise HTTPException(TOO_LARGE, LARGE)
        return message


def _who(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else ""


def _cookie(text: str) -> str:
    try:
        found = SimpleCookie(text).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""


def _is_from_here(headers: Headers, scope: Scope) -> bool:
    """Whether no browser says that a page of another origin asks. Programs say nothing of it."""
    origin = headers.get("origin")
    if origin is not None:
        found = urlsplit(origin)
        secure = scope["scheme"] in ("https", "wss")
        return found.netloc == headers.get("host") and found.scheme == ("https" if secure else "http")
    return headers.get("sec-fetch-site", "none") in ("same-origin", "none")


def _too_large() -> Response:
    return problem(TOO_LARGE, LARGE)


def _unauthorized(scope: Scope) -> Response:
    if scope["type"] == "http" and scope["path"] == "/" and scope["method"] in ("GET", "HEAD"):
        return page_answer(UNAUTHORIZED)  # it asks for the token
    headers = {"WWW-Authenticate": "Bearer"}
    return problem(
        UNAUTHORIZED, "A token is needed: open the page and give it, or send it as a bearer.", headers=headers
    )


async def _refuse(answer: Response, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket" and "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008})
        return
    await answer(scope, receive, send)


def _with_headers(send: Send) -> Send:
    async def guarded(message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return guarded
