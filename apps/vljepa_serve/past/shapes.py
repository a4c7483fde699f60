"""What the routes over the past take and give, as OpenAPI shows it. Times are seconds since 1970."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field

from vljepa_serve.archive import LATEST, MomentId
from vljepa_serve.errors import ServeError

if TYPE_CHECKING:
    from vljepa_log import Moment as LogMoment
    from vljepa_log import Segment as LogSegment
    from vljepa_serve.archive import Archive
    from vljepa_serve.service import Service

__all__ = [
    "Body",
    "CameraId",
    "MomentName",
    "MomentOut",
    "Question",
    "SegmentOut",
    "Since",
    "Time",
    "Until",
    "check_span",
    "is_new",
    "moment_of",
    "segment_of",
]

MAX_TEXT = 500  # characters of a question or an answer
Time = Annotated[float, Field(ge=0, le=LATEST, allow_inf_nan=False)]
Since = Annotated[float, Query(alias="from", ge=0, le=LATEST, allow_inf_nan=False)]
Until = Annotated[float, Query(alias="to", ge=0, le=LATEST, allow_inf_nan=False)]
CameraId = Annotated[str, Path(min_length=1, max_length=200)]
MomentName = Annotated[str, Path(max_length=240, examples=["door@1700000000000-1700000004000"])]
Question = Annotated[str, Field(min_length=1, max_length=MAX_TEXT, pattern=r"\S")]


class Body(BaseModel):
    """Of a request: what is not known is refused."""

    model_config = ConfigDict(extra="forbid")


class SegmentOut(BaseModel):
    """A part of a camera's time in which its meaning stays the same.

    Attributes:
        camera: Its id.
        start: Begin.
        end: End.
        text: Its words; empty where nobody has put it into words.
        decoded: Whether it was put into words.
        score: Of a search, the cosine of its best window with what was searched for; None else.
        unknown: Whether it shows nothing that the model knows; None where nobody could tell.
        query: What its words answer.
        moment: Its id for `/api/moments/`.
    """

    camera: str
    start: float
    end: float
    text: str
    decoded: bool
    score: float | None = None
    unknown: bool | None = None
    query: str
    moment: str


class MomentOut(SegmentOut):
    """A segment, or a part of one.

    Attributes:
        kept_video: Whether `/api/moments/ID.mp4` shows it.
        clip_start: Wall clock of the first picture of that; None where none is kept.
        no_video: Of a moment that was asked for, why there is none; empty where there is.
    """

    kept_video: bool
    clip_start: float | None = None
    no_video: str = ""


def segment_of(segment: LogSegment) -> SegmentOut:
    """A segment of the log as pages have it."""
    start, end = segment.began, segment.time
    return SegmentOut(
        camera=segment.stream,
        start=start,
        end=end,
        text=segment.text,
        decoded=bool(segment.text),
        unknown=getattr(segment, "unknown", None),
        query=segment.query,
        moment=str(MomentId(camera=segment.stream, start=start, end=end)),
    )


def moment_of(archive: Archive, found: LogMoment) -> MomentOut:
    """What a search found as pages have it."""
    start, end = found.time - (found.end_s - found.start_s), found.time
    moment = MomentId(camera=found.stream, start=start, end=end)
    first = archive.clip_start(moment)
    return MomentOut(
        camera=found.stream,
        start=start,
        end=end,
        text=found.text,
        decoded=bool(found.text),
        score=round(found.score, 4),
        unknown=getattr(found, "unknown", None),
        query=found.query,
        moment=str(moment),
        kept_video=first is not None,
        clip_start=first,
    )


def is_new(service: Service, camera: str, query: str | None = None) -> bool:
    """Whether a camera is watched and nothing of it, or of what it is asked, can be read yet: no mistake."""
    found = service.fleet.cameras.get(camera)
    if found is None or query not in (None, *found.config.queries, *service.config.model.queries):
        return False
    return not service.archive.holds(camera, query)


def check_span(since: float, until: float, *, most_s: float) -> None:
    """See that a span ends after it begins, and is not too long.

    Raises:
        ServeError: it is not so.
    """
    if not since < until <= since + most_s:
        raise ServeError(
            422,
            f"Expected from before to, at most {most_s / 86_400:g} days apart, got {until - since:g} s.",
            field="to",
        )
