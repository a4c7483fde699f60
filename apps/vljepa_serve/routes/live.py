"""What happens, as it happens: one WebSocket for each open page."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from vljepa_serve.dependencies import ServiceOf
from vljepa_serve.errors import ServeError
from vljepa_serve.hub import Subscriber
from vljepa_serve.service import Service

__all__ = ["router"]

router = APIRouter()
TRY_AGAIN_LATER = 1013
CLOSE_S = 2.0


@router.websocket("/api/live")
async def live(socket: WebSocket, service: ServiceOf, after: int | None = None) -> None:
    """Tell a page what happens, from the event behind `after` on."""
    try:
        with service.pages.taken():
            await _serve(socket, service, after)
    except ServeError as error:
        await socket.accept()
        await socket.close(TRY_AGAIN_LATER, str(error)[:120])


async def _serve(socket: WebSocket, service: Service, after: int | None) -> None:
    await socket.accept()
    ready, loop = asyncio.Event(), asyncio.get_running_loop()

    def wake() -> None:
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(ready.set)

    subscriber = service.hub.subscribe(wake, after=after)
    works = [asyncio.create_task(work) for work in (_send(socket, subscriber, ready), _read(socket))]
    works.append(asyncio.create_task(_until_lost(subscriber)))
    try:
        await asyncio.wait(works, return_when=asyncio.FIRST_COMPLETED)
    finally:
        service.hub.unsubscribe(subscriber)
        for work in works:
            work.cancel()
        await asyncio.gather(*works, return_exceptions=True)
    if subscriber.lost:
        with suppress(Exception):
            await asyncio.wait_for(socket.close(TRY_AGAIN_LATER), CLOSE_S)


async def _send(socket: WebSocket, subscriber: Subscriber, ready: asyncio.Event) -> None:
    while True:
        while (text := subscriber.take()) is not None:
            await socket.send_text(text)
        await ready.wait()
        ready.clear()


async def _read(socket: WebSocket) -> None:
    """A page says nothing; reading notices that it left."""
    with suppress(WebSocketDisconnect):
        while True:
            await socket.receive_text()


async def _until_lost(subscriber: Subscriber) -> None:
    while not subscriber.lost:
        await asyncio.sleep(1.0)
