"""Every error as one sentence: `{"field": ..., "sentence": ...}`, whoever raises it."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from vljepa_log import LogError
from vljepa_runtime import InputError, VljepaError
from vljepa_runtime.redaction import redact
from vljepa_serve.errors import ConfigError, ServeError

__all__ = ["PROBLEMS", "Problem", "add_handlers", "problem"]


class Problem(BaseModel):
    """Why a request was not done.

    Attributes:
        field: Which value of it is meant; None where it is the whole.
        sentence: What was expected, what came, what to do.
    """

    field: str | None = None
    sentence: str


PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": Problem, "description": "The request is not what was expected."},
    "5XX": {"model": Problem, "description": "It cannot be done now."},
}


def problem(
    status: int, sentence: str, *, field: str | None = None, headers: dict[str, str] | None = None
) -> JSONResponse:
    """The answer to a request that was not done."""
    content = {"field": field, "sentence": redact(sentence)}
    return JSONResponse(content, status_code=status, headers=headers)


def add_handlers(app: FastAPI) -> None:
    """Let every error become an answer."""
    app.add_exception_handler(ServeError, _serve_error)
    app.add_exception_handler(ConfigError, _config_error)
    app.add_exception_handler(VljepaError, _our_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _bug)


def _serve_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ServeError)
    return problem(error.status, str(error), field=error.field, headers=error.headers)


def _config_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ConfigError)
    return problem(422, str(error), field=error.field)


def _our_error(_: Request, error: Exception) -> JSONResponse:
    if isinstance(error, InputError):
        return problem(422, str(error))
    busy = {"Retry-After": "5"} if isinstance(error, LogError) else None
    return problem(503, str(error), headers=busy)


def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"][1:])
    said = str(first["msg"]).removeprefix("Value error, ")
    return problem(422, f"{place or 'the request'}: {said[:1].lower()}{said[1:]}.", field=place or None)


def _http_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    sentences = {
        404: "There is nothing at this address.",
        405: "This address does not take that method.",
    }
    sentence = sentences.get(error.status_code, str(error.detail))
    return problem(error.status_code, sentence, headers=dict(error.headers or {}))


def _bug(_: Request, error: Exception) -> JSONResponse:
    return problem(500, f"Something went wrong inside: {type(error).__name__}.")
