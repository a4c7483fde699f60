"""What alerts told, and the clips of that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path
from fastapi.responses import FileResponse

from vljepa_log import StoredEvent, Where
from vljepa_serve.archive import MomentId
from vljepa_serve.config import AlertConfig
from vljepa_serve.dependencies import ReadingOf, ServiceOf
from vljepa_serve.errors import ServeError
from vljepa_serve.hub import Told
from vljepa_serve.past.shapes import Since, Until, check_span
from vljepa_serve.service import Service
from vljepa_serve.video import clip_path

__all__ = ["begun", "is_of", "router"]

router = APIRouter(prefix="/api", tags=["alerts"])
MOST_S = 31 * 86_400.0
MOST_FIRED = 500


@router.get("/alerts/fired")
async def fired(service: ServiceOf, reading: ReadingOf, since: Since, until: Until) -> list[dict[str, Any]]:
    """What was told in a span, the newest first: events with `clip_address`, None without a clip, and `moment`."""
    check_span(since, until, most_s=MOST_S)
    return await reading.run(
        lambda: [_fired(service, each) for each in begun(service, since, until)[:MOST_FIRED]]
    )


@router.get("/clips/{name}", response_class=FileResponse)
def clip(service: ServiceOf, name: Annotated[str, Path(max_length=140)]) -> FileResponse:
    """What an alert saw."""
    found = clip_path(service.recorder.clips, name)
    if found is None:
        raise ServeError(
            404, "This clip is not kept, or is being cut: try again in some seconds.", field="name"
        )
    kind = "video/mp4" if found.suffix == ".mp4" else "video/x-matroska"
    return FileResponse(found, media_type=kind, headers={"Cache-Control": "private, max-age=3600"})


def is_of(alert: AlertConfig, told: StoredEvent) -> bool:
    """Whether an alert told this."""
    camera = told.event.stream
    return told.event.text == alert.query and (not alert.cameras or camera in alert.cameras)


def begun(service: Service, since: float, until: float) -> list[StoredEvent]:
    """Begins of alerts, the newest first: of the log, and those that are told and not yet stored."""
    where = Where(since=since, until=until)
    stored = {_key(each): each for each in _alerts(service.log.events(where))}
    newest = (
        StoredEvent(number=0, time=told.at_end, event=told.event) for told in service.hub.newest(MOST_FIRED)
    )
    for each in _alerts(newest):
        if since <= each.time < until:
            stored.setdefault(_key(each), each)
    return sorted(stored.values(), key=lambda each: -each.time)


def _alerts(told: Iterable[StoredEvent]) -> Iterator[StoredEvent]:
    return (each for each in told if each.event.kind == "alert" and each.event.active)


def _key(told: StoredEvent) -> tuple[str | None, ...]:
    """The same in the log and among what was told: the log has other times of the stream."""
    return told.event.time, told.event.stream, told.event.text


def _fired(service: Service, told: StoredEvent) -> dict[str, Any]:
    event = told.event
    start, end = told.time - (event.end_s - event.start_s), told.time
    about = next((each.id for each in service.config.alert if is_of(each, told)), "")
    number = round(1000 * (datetime.fromisoformat(event.time).timestamp() if event.time else end))
    shown = Told(id=number, event=event, at_start=start, at_end=end, about=about).to_dict()
    kept = event.clip and clip_path(service.recorder.clips, event.clip) is not None
    moment = MomentId(camera=event.stream, start=start, end=end)
    back_s = next((each.look_back_s for each in service.config.alert if each.id == about), 0.0)
    pieces = service.video.pieces(event.stream, start - back_s, end)
    return {
        **shown,
        "clip_address": f"/api/clips/{event.clip}" if kept else None,
        "clip_start": round(pieces[0].start if pieces else start - back_s, 3),
        "moment": str(moment),
    }
