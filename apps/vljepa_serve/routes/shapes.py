"""What requests about cameras may say; whatever else they hold is refused."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

__all__ = ["AskIn", "CameraChange", "CameraIn", "Queries", "SourceIn", "TokenIn"]

Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
SourceText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]


class Strict(BaseModel):
    """Nothing beside what is declared."""

    model_config = ConfigDict(extra="forbid")


class SourceIn(Strict):
    """A source that is tried."""

    source: SourceText


class CameraIn(Strict):
    """A new camera; its id is made from its name."""

    name: Name
    source: SourceText
    on: bool = True
    loop: bool = False
    fps: Annotated[float, Field(gt=0, le=240)] | None = None
    queries: Annotated[list[Words], Field(max_length=8)] = []


class CameraChange(Strict):
    """What is changed of a camera; what is left out stays."""

    name: Name | None = None
    source: SourceText | None = None
    on: bool | None = None
    loop: bool | None = None
    fps: Annotated[float, Field(gt=0, le=240)] | None = None
    queries: Annotated[list[Words], Field(max_length=8)] | None = None


class Queries(Strict):
    """What every window of a camera is asked beside the bundle's own query."""

    queries: Annotated[list[Words], Field(max_length=8)]


class AskIn(Strict):
    """A question, now or about a time that is past."""

    query: Words
    candidates: Annotated[list[Words], Field(max_length=64)] = []
    start: Annotated[float, Field(ge=0, le=1e11, allow_inf_nan=False)] | None = None
    end: Annotated[float, Field(ge=0, le=1e11, allow_inf_nan=False)] | None = None


class TokenIn(Strict):
    """What opens the page."""

    token: Annotated[str, StringConstraints(max_length=1000)]
