"""Questions about what a camera shows, or showed."""

from __future__ import annotations

from functools import partial
from typing import Any

from fastapi import APIRouter

from vljepa_serve.asking import ask_now, ask_then
from vljepa_serve.dependencies import ReadingOf, ServiceOf
from vljepa_serve.routes.shapes import AskIn

__all__ = ["router"]

router = APIRouter(prefix="/api/cameras", tags=["cameras"])


@router.post("/{id}/ask")
async def question(reading: ReadingOf, service: ServiceOf, id: str, given: AskIn) -> dict[str, Any]:
    """Answer from candidates, best first, or in words where there are none."""
    candidates = [*dict.fromkeys(given.candidates)]
    if given.start is None:
        return await reading.run(ask_now, service, id, given.query, candidates)
    work = partial(ask_then, start=given.start, end=given.end)
    return await reading.run(work, service, id, given.query, candidates)
