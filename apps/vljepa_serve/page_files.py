"""The page's own files, from the package: `/` and `/page/...`, each with its ETag."""

from __future__ import annotations

import hashlib
import mimetypes
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Request, Response

from vljepa_serve.errors import ServeError

__all__ = ["PAGE", "page_answer", "page_router"]

PAGE = Path(__file__).parent / "page"
TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".webmanifest": "application/manifest+json"}


def page_router() -> APIRouter:
    """`/` is the page; `/page/NAME` is what it loads."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    def index(request: Request) -> Response:
        return _answer(request, "index.html")

    @router.get("/page/{name:path}")
    def part(request: Request, name: str) -> Response:
        return _answer(request, name)

    return router


def page_answer(status: int) -> Response:
    """The page as the answer to somebody who is not let in: it asks for the token."""
    content, _ = _content(PAGE / "index.html")
    return Response(content, status_code=status, media_type="text/html")


def _answer(request: Request, name: str) -> Response:
    known = _files()
    if name not in known:  # a table, so that no name leads out of the folder
        raise ServeError(404, "There is nothing at this address.")
    content, etag = _content(known[name])
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    kind = TYPES.get(Path(name).suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Response(content, media_type=kind, headers=headers)


def _files() -> dict[str, Path]:
    return {path.relative_to(PAGE).as_posix(): path for path in PAGE.rglob("*") if path.is_file()}


def _content(path: Path) -> tuple[bytes, str]:
    return _read(path, path.stat().st_mtime_ns)


@cache
def _read(path: Path, changed: int) -> tuple[bytes, str]:
    content = path.read_bytes()
    return content, f'"{hashlib.sha256(content).hexdigest()[:16]}"'
