"""What a camera showed in a span: segments with their words, and the trace of its windows."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from vljepa_serve.archive import trace_of
from vljepa_serve.dependencies import ReadingOf, ServiceOf
from vljepa_serve.past.shapes import CameraId, SegmentOut, Since, Until, check_span, is_new, segment_of

__all__ = ["router"]

router = APIRouter(prefix="/api/cameras", tags=["past"])
MOST_S = 7 * 86_400.0
OfQuery = Annotated[str | None, Query(max_length=500)]


class Segments(BaseModel):
    """Segments of a span, in the order of time.

    Attributes:
        segments: Those that have a part of it; the last one goes on.
        until: The newest window that can be read, 0 before the first; what came since is known in some seconds.
        query: What they answer.
    """

    segments: list[SegmentOut]
    until: float
    query: str


class TraceBin(BaseModel):
    """See `vljepa_serve.archive.Bin`."""

    at: float
    low: float
    high: float
    unknown: bool | None
    windows: int
    decoded: int


class TraceOut(BaseModel):
    """See `vljepa_serve.archive.Trace`."""

    bins: list[TraceBin]
    decoded: list[float]
    step_s: float


@router.get("/{id}/segments")
async def segments(
    service: ServiceOf, reading: ReadingOf, id: CameraId, since: Since, until: Until, query: OfQuery = None
) -> Segments:
    """Segments of a camera, by default of what is asked of all."""
    check_span(since, until, most_s=MOST_S)

    def read() -> Segments:
        archive = service.archive
        if is_new(service, id, query):
            return Segments(segments=[], until=0.0, query=query or archive.model.prompts.get("caption", ""))
        asked = archive.query_of(id, query)
        found = [segment_of(each) for each in archive.segments(id, asked, since, until)]
        return Segments(segments=found, until=archive.stored_until(id, asked), query=asked)

    return await reading.run(read)


@router.get("/{id}/windows")
async def windows(
    service: ServiceOf,
    reading: ReadingOf,
    id: CameraId,
    since: Since,
    until: Until,
    points: Annotated[int, Query(ge=1, le=2000)] = 300,
    query: OfQuery = None,
) -> TraceOut:
    """How alike windows were to what was last put into words, in bins; those without a window are left out."""
    check_span(since, until, most_s=MOST_S)

    def read() -> TraceOut:
        archive = service.archive
        if is_new(service, id, query):
            return TraceOut(bins=[], decoded=[], step_s=(until - since) / points)
        asked = archive.query_of(id, query)
        return TraceOut.model_validate(
            trace_of(archive, id, asked, since, until, points=points), from_attributes=True
        )

    return await reading.run(read)
