"""Search: moments near to words, to a picture, or to another moment."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import numpy.typing as npt
from fastapi import APIRouter
from pydantic import BaseModel, Field, model_validator

from vljepa_log import Where
from vljepa_runtime.alerts import weak_below
from vljepa_serve.archive import LATEST, MAX_PICTURE, Archive, MomentId, picture_of
from vljepa_serve.archive import search as find
from vljepa_serve.dependencies import ArchiveOf, ReadingOf
from vljepa_serve.past.shapes import Body, MomentOut, Question, Time, moment_of

__all__ = ["router"]

router = APIRouter(prefix="/api", tags=["past"])


class Wanted(Body):
    """What is searched for: one of words, picture and like.

    Attributes:
        words: In one's own words.
        picture: A JPEG, PNG or WebP as a data URL.
        like: The id of a moment.
        cameras: Ids; empty for all.
        since: From when on, `from` in JSON.
        until: Until when, `to` in JSON.
        k: How many moments at most.
    """

    words: Question | None = None
    picture: Annotated[str, Field(max_length=MAX_PICTURE * 4 // 3 + 64)] | None = None
    like: Annotated[str, Field(max_length=240)] | None = None
    cameras: Annotated[tuple[Annotated[str, Field(max_length=200)], ...], Field(max_length=64)] = ()
    since: Annotated[Time, Field(alias="from")] = 0.0
    until: Annotated[Time, Field(alias="to")] = LATEST
    k: Annotated[int, Field(ge=1, le=100)] = 12

    @model_validator(mode="after")
    def _is_one(self) -> Wanted:
        if [self.words, self.picture, self.like].count(None) != 2:
            raise ValueError("expected one of words, picture and like")
        if self.since >= self.until:
            raise ValueError("expected from before to")
        return self


class Hour(BaseModel):
    """The best score of an hour."""

    at: float
    score: float


class FoundOut(BaseModel):
    """Moments, best first.

    Attributes:
        moments: At most k.
        searched: Of how many windows.
        took_ms: How long it took.
        hours: Best scores of the hours that come near it; the others are left out.
        weak_below: Below it, a match is more often wrong than right; None where the question says nothing of it: a
            single word, a picture, a moment.
    """

    moments: list[MomentOut]
    searched: int
    took_ms: float
    hours: list[Hour]
    weak_below: float | None = None


@router.post("/search")
async def search(archive: ArchiveOf, reading: ReadingOf, wanted: Wanted) -> FoundOut:
    """Find moments; nothing is decoded."""

    def read() -> FoundOut:
        where = Where(streams=wanted.cameras, since=wanted.since, until=wanted.until)
        found = find(archive, _embedding(archive, wanted), k=wanted.k, where=where)
        return FoundOut(
            moments=[moment_of(archive, each) for each in found.moments],
            searched=found.searched,
            took_ms=round(found.took_ms, 1),
            hours=[Hour(at=at, score=round(score, 4)) for at, score in found.hours],
            weak_below=weak_below(wanted.words, archive.model.embed_text) if wanted.words else None,
        )

    return await reading.run(read)


def _embedding(archive: Archive, wanted: Wanted) -> npt.NDArray[np.float32]:
    if wanted.words is not None:
        row: npt.NDArray[np.float32] = archive.model.embed_text([wanted.words])[0]
        return row
    if wanted.picture is not None:
        return archive.model.embed(picture_of(wanted.picture))
    return archive.at(MomentId.parse(wanted.like or "")).embedding
