"""A question about a camera: of the window that it shows now, or of a moment that is past."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vljepa_runtime import Event, Scored
from vljepa_runtime.events import wall_clock
from vljepa_serve.archive import MomentId, ask
from vljepa_serve.errors import ServeError
from vljepa_serve.hub import Told

if TYPE_CHECKING:
    from vljepa_serve.service import Service

__all__ = ["ask_now", "ask_then"]


def ask_now(service: Service, id: str, query: str, candidates: Sequence[str]) -> dict[str, Any]:
    """Answer a question about the newest window; without candidates in words, which takes a Y-decoder.

    Raises:
        ServeError: there is no picture.
        BundleError: there are no candidates and no Y-decoder.
    """
    begun, camera = time.perf_counter(), service.fleet.camera(id)
    if camera.newest is None or camera.session is None:
        raise service.fleet.no_picture(camera)
    window, began = camera.newest, camera.began
    embedding = service.model.embed(window.clip, query)
    ranked = service.model.rank(embedding, candidates) if candidates else ()
    event = _event(id, query, ranked, ranked[0].label if ranked else service.model.decode(embedding))
    return _answer(
        begun,
        event,
        ranked,
        source="live",
        unknown=bool(window.unknown),
        at=(began + window.start_s, began + window.end_s),
    )


def ask_then(
    service: Service, id: str, query: str, candidates: Sequence[str], *, start: float, end: float | None
) -> dict[str, Any]:
    """The same of a moment that is past, from its video or from what the log keeps of it.

    Raises:
        ServeError: nothing is kept of that time, or too little for an answer in words.
    """
    begun = time.perf_counter()
    service.fleet.camera(id)
    end = start + service.model.preprocess.seconds if end is None else end
    if end < start:
        raise ServeError(422, f"end: expected a time after the start, got {end} after {start}.", field="end")
    found = ask(service.archive, MomentId(camera=id, start=start, end=end), query, candidates)
    event = _event(id, query, found.scores, found.text)
    at = found.segment.began, found.segment.time
    return _answer(
        begun, event, found.scores, source=found.source, unknown=bool(found.segment.unknown), at=at
    )


def _event(id: str, query: str, ranked: Sequence[Scored], text: str) -> Event:
    return Event(
        stream=id,
        kind="answer",
        time=wall_clock(),
        text=text,
        query=query,
        score=ranked[0].score if ranked else None,
        decoded=not ranked,
    )


def _answer(
    begun: float,
    event: Event,
    ranked: Sequence[Scored],
    *,
    source: str,
    unknown: bool,
    at: tuple[float, float],
) -> dict[str, Any]:
    told = Told(id=0, event=event, at_start=at[0], at_end=at[1])
    return {
        "event": told.to_dict(),
        "scores": [{"text": each.label, "score": round(each.score, 6)} for each in ranked],
        "unknown": unknown,
        "answered_from": source,
        "at_start": round(at[0], 3),
        "at_end": round(at[1], 3),
        "took_ms": round(1000 * (time.perf_counter() - begun), 2),
    }
