"""One moment: what the log has of it, its picture, its clip, and its words where it has none yet."""

from __future__ import annotations

import hashlib
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from vljepa_serve.archive import Archive, MomentId
from vljepa_serve.dependencies import ArchiveOf, DecodingOf, ReadingOf
from vljepa_serve.past.shapes import MomentName, MomentOut, SegmentOut, segment_of
from vljepa_serve.pictures import smaller

__all__ = ["router"]

router = APIRouter(prefix="/api/moments", tags=["past"])
Width = Annotated[int | None, Query(ge=16, le=3840)]
KEPT = {"Cache-Control": "private, max-age=3600"}


@router.get("/{id}.jpg", response_class=Response)
async def picture(
    archive: ArchiveOf, reading: ReadingOf, request: Request, id: MomentName, width: Width = None
) -> Response:
    """The small picture that was kept nearest to it; 204 where none was."""
    moment = MomentId.parse(id)
    found = await reading.run(archive.picture, moment)
    if found is None:
        return Response(status_code=204, headers={"Cache-Control": "no-store"})
    data = found.jpeg if width is None else await reading.run(smaller, found.jpeg, width)
    tag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    headers = {**KEPT, "ETag": tag}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(data, media_type="image/jpeg", headers=headers)


@router.get("/{id}")
async def moment(archive: ArchiveOf, reading: ReadingOf, id: MomentName) -> MomentOut:
    """What the log has of it: the words of the segment that it shares most time with."""
    return await reading.run(_view, archive, MomentId.parse(id))


@router.post("/{id}/decode")
async def decode(archive: ArchiveOf, decoding: DecodingOf, id: MomentName) -> SegmentOut:
    """Put it into words, which the log then has."""

    def work() -> SegmentOut:
        found = archive.decoded(archive.at(MomentId.parse(id)))
        return segment_of(found)

    return await decoding.run(work)


def _view(archive: Archive, moment: MomentId) -> MomentOut:
    shown = segment_of(archive.words(archive.at(moment))).model_dump()
    own = {"start": moment.start, "end": moment.end, "moment": str(moment)}
    kept = archive.keeps_video(moment.camera, moment.start, moment.end)
    return MomentOut(**{**shown, **own, "kept_video": kept})
