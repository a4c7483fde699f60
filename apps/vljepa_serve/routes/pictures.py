"""What cameras show now: one JPEG, or one after the other. A slow reader loses pictures, and slows nobody."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from vljepa_serve.dependencies import ServiceOf
from vljepa_serve.pictures import NewestPicture
from vljepa_serve.places import Places

__all__ = ["router"]

router = APIRouter(prefix="/api/cameras", tags=["pictures"])
Width = Annotated[int | None, Query(ge=16, le=3840)]
BOUNDARY = "frame"
JPEG = {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}}
MJPEG = {"content": {"multipart/x-mixed-replace": {"schema": {"type": "string", "format": "binary"}}}}
LOOK_S = 1 / 15  # whether there is a new picture
STALE_S = 10.0  # without a new one, the old one is sent again, so that proxies keep the connection


@router.get("/{id}/live.jpg", responses={200: JPEG, 204: {}, 304: {}}, response_class=Response)
def picture(service: ServiceOf, request: Request, id: str, width: Width = None) -> Response:
    """The newest picture; 204 where there is none now."""
    newest = service.fleet.camera(id).picture
    headers = {"Cache-Control": "no-cache", "ETag": f'"{newest.tag}"'}
    if newest.size is None:
        return Response(status_code=204, headers=headers)
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(newest.jpeg(width), media_type="image/jpeg", headers=headers)


@router.get("/{id}/live.mjpeg", responses={200: MJPEG}, response_class=Response)
def pictures(service: ServiceOf, id: str, width: Width = None) -> Response:
    """Pictures as they come, as `multipart/x-mixed-replace`."""
    camera = service.fleet.camera(id)
    service.readers.check()
    if camera.picture.size is None:
        raise service.fleet.no_picture(camera)
    kind = f"multipart/x-mixed-replace; boundary={BOUNDARY}"
    parts = _counted(service.readers, _parts(camera.picture, width))
    return StreamingResponse(parts, media_type=kind, headers={"Cache-Control": "no-store"})


async def _counted(readers: Places, parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    with readers.taken():
        async for part in parts:
            yield part


async def _parts(picture: NewestPicture, width: int | None) -> AsyncIterator[bytes]:
    sent, sent_s = -1, 0.0
    while True:
        number, now = picture.number, time.monotonic()
        if number != sent or now - sent_s > STALE_S:
            sent, sent_s = number, now
            data = await asyncio.to_thread(picture.jpeg, width)
            if data is None:
                return
            head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            yield head.encode() + data + b"\r\n"
        await asyncio.sleep(LOOK_S)
