"""One moment: what the log has of it, its picture, its clip, and its words where it has none yet."""

from __future__ import annotations

import hashlib
import time
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse

from vljepa_serve.archive import MomentId
from vljepa_serve.dependencies import ArchiveOf, DecodingOf, ReadingOf, ServiceOf
from vljepa_serve.errors import ServeError
from vljepa_serve.past.shapes import MomentName, MomentOut, SegmentOut, segment_of
from vljepa_serve.pictures import smaller
from vljepa_serve.service import Service

__all__ = ["router"]

router = APIRouter(prefix="/api/moments", tags=["past"])
Width = Annotated[int | None, Query(ge=16, le=3840)]
JPEG: dict[str, Any] = {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}}
KEPT = {"Cache-Control": "private, max-age=3600"}


@router.get("/{id}.jpg", responses={200: JPEG, 204: {}, 304: {}}, response_class=Response)
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


@router.get("/{id}.mp4", response_class=FileResponse)
async def clip(service: ServiceOf, archive: ArchiveOf, reading: ReadingOf, id: MomentName) -> FileResponse:
    """The kept video of it, as the camera sent it; it begins a little before."""
    moment = MomentId.parse(id)
    if archive.clips is None or archive.clip_start(moment) is None:
        raise ServeError(404, _why_none(service, moment), field="moment")
    found = await reading.run(archive.clips.clip, moment)
    kind = "video/mp4" if found.path.suffix == ".mp4" else "video/x-matroska"
    return FileResponse(found.path, media_type=kind, headers=KEPT)


def _why_none(service: Service, moment: MomentId) -> str:
    hours = service.config.log.video_hours
    if not hours:
        return "No video is kept: set [log] video_hours for that."
    if moment.end < time.time() - hours * 3600:
        return f"This is older than the kept video, which reaches back {hours:g} h."
    return "No video was kept then: the camera was off, or sends pictures and no encoded video."


@router.get("/{id}")
async def moment(service: ServiceOf, reading: ReadingOf, id: MomentName) -> MomentOut:
    """What the log has of it: the words of the segment that it shares most time with, none yet of the newest."""
    return await reading.run(_view, service, MomentId.parse(id))


@router.post("/{id}/decode")
async def decode(archive: ArchiveOf, decoding: DecodingOf, id: MomentName) -> SegmentOut:
    """Put it into words, which the log then has."""

    def work() -> SegmentOut:
        found = archive.decoded(archive.at(MomentId.parse(id)))
        return segment_of(found)

    return await decoding.run(work)


def _view(service: Service, moment: MomentId) -> MomentOut:
    archive = service.archive
    try:
        shown = segment_of(archive.words(archive.at(moment))).model_dump()
    except ServeError:
        if not _is_to_be_stored(service, moment):
            raise
        caption = archive.model.prompts.get("caption", "")
        shown = {"camera": moment.camera, "text": "", "decoded": False, "query": caption}
    own = {"start": moment.start, "end": moment.end, "moment": str(moment)}
    first = archive.clip_start(moment)
    why = "" if first is not None else _why_none(service, moment)
    return MomentOut(**{**shown, **own, "kept_video": not why, "clip_start": first, "no_video": why})


def _is_to_be_stored(service: Service, moment: MomentId) -> bool:
    """Whether the log will have it in some seconds: pages open what was just said."""
    if moment.camera not in service.fleet.cameras or moment.start > time.time():
        return False
    archive = service.archive
    if not archive.holds(moment.camera):
        return moment.end > service.started
    return moment.end > archive.stored_until(moment.camera, archive.query_of(moment.camera))
