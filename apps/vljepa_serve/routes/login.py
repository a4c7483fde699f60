"""The token, once; then a cookie that no script reads and no other page sends."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from vljepa_serve.access import COOKIE, Access
from vljepa_serve.dependencies import AccessOf
from vljepa_serve.errors import ServeError
from vljepa_serve.routes.shapes import TokenIn

__all__ = ["router"]

router = APIRouter(prefix="/api", tags=["login"])
KEPT_S = 90 * 86_400


@router.post("/login", status_code=204)
def login(access: AccessOf, request: Request, given: TokenIn) -> Response:
    """Come in with the token."""
    who = request.client.host if request.client else ""
    if access.token is not None:
        wait_s = access.tries.wait_s(who)
        if wait_s > 0:
            after = {"Retry-After": str(max(1, round(wait_s)))}
            raise ServeError(429, "Too many tries: wait a minute.", field="token", headers=after)
        if not access.is_right(given.token):
            raise ServeError(
                401, "That is not the token. After 5 tries this page waits a minute.", field="token"
            )
        access.tries.forgive(who)
    return _with_cookie(access, access.cookie, KEPT_S)


@router.post("/logout", status_code=204)
def logout(access: AccessOf) -> Response:
    """Forget this browser."""
    return _with_cookie(access, "", 0)


def _with_cookie(access: Access, value: str, max_age: int) -> Response:
    answer = Response(status_code=204)
    answer.set_cookie(
        COOKIE, value, max_age=max_age, path="/", httponly=True, samesite="strict", secure=access.is_secure
    )
    return answer
