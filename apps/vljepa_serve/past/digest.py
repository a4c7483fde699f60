"""What did I miss? A day in its most telling segments, also as a file to keep."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel

from vljepa_log.digest_pages import html, markdown
from vljepa_serve.archive import Day, digest_day
from vljepa_serve.dependencies import DecodingOf, ServiceOf
from vljepa_serve.errors import ServeError
from vljepa_serve.past.shapes import SegmentOut, segment_of
from vljepa_serve.service import Service

__all__ = ["router"]

router = APIRouter(prefix="/api", tags=["digest"])
Camera = Annotated[str | None, Query(max_length=200)]
Budget = Annotated[int, Query(ge=1, le=100)]
KINDS = {"html": ("text/html", html), "md": ("text/markdown", markdown)}


class Change(BaseModel):
    """How many segments began in ten minutes."""

    at: float
    count: int


class DigestOut(BaseModel):
    """A day.

    Attributes:
        day: Which, where the server's clock hangs.
        segments: The most telling ones, in the order of time.
        changes: Of each ten minutes in which something began.
        decodings: How many were put into words for this.
        all: How many segments there were.
    """

    day: date
    segments: list[SegmentOut]
    changes: list[Change]
    decodings: int
    all: int


@router.get("/digest")
async def digest(
    service: ServiceOf,
    decoding: DecodingOf,
    day: date | None = None,
    camera: Camera = None,
    budget: Budget = 12,
) -> DigestOut:
    """A day, by default this one."""
    wanted = day or date.today()

    def work() -> DigestOut:
        found = _day(service, wanted, camera, budget)
        return DigestOut(
            day=wanted,
            segments=[segment_of(each) for each in found.digest.segments],
            changes=[Change(at=at, count=count) for at, count in found.changes],
            decodings=len(found.digest.decoded),
            all=found.digest.changes,
        )

    return await decoding.run(work)


@router.get("/digest.{kind}", response_class=Response)
async def saved(
    service: ServiceOf,
    decoding: DecodingOf,
    kind: Annotated[Literal["html", "md"], Path()],
    day: date | None = None,
    camera: Camera = None,
    budget: Budget = 12,
) -> Response:
    """The same as a file: one page with pictures, or Markdown."""
    wanted = day or date.today()
    media, written = KINDS[kind]
    found = await decoding.run(_day, service, wanted, camera, budget)
    headers = {"Content-Disposition": f'attachment; filename="digest-{wanted.isoformat()}.{kind}"'}
    return Response(written(found.page).encode("utf-8", "replace"), media_type=media, headers=headers)


def _day(service: Service, day: date, camera: str | None, budget: int) -> Day:
    if not 1970 < day.year < 9999:
        raise ServeError(422, f"Expected a day after 1970, got {day.isoformat()}.", field="day")
    cameras = [camera] if camera else [each.name for each in service.log.streams()]
    return digest_day(service.archive, day, cameras, budget=budget)
