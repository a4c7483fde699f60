"""Alerts: which there are, what they would have done, what they told, and the clips of that."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field

from vljepa_log import StoredEvent, Where
from vljepa_runtime.alerts import Alert
from vljepa_serve.archive import LATEST, MomentId, propose_threshold, score_alert
from vljepa_serve.config import AlertConfig, free_id
from vljepa_serve.dependencies import ReadingOf, ServiceOf
from vljepa_serve.errors import ServeError
from vljepa_serve.hub import Told
from vljepa_serve.past.shapes import Body, Question, Since, Until, check_span
from vljepa_serve.service import Service
from vljepa_serve.video import clip_path

__all__ = ["router"]

router = APIRouter(prefix="/api", tags=["alerts"])
HOUR_S, DAY_S = 3600.0, 86_400.0
MOST_S = 31 * DAY_S
MOST_FIRED = 500
PROPOSED_FROM_S = 7 * DAY_S
Cameras = Annotated[tuple[Annotated[str, Field(max_length=200)], ...], Field(max_length=64)]
Seconds = Annotated[float, Field(ge=0, le=7 * DAY_S, allow_inf_nan=False)]
Score = Annotated[float, Field(ge=-2, le=2, allow_inf_nan=False)]
AlertId = Annotated[str, Path(max_length=32)]


class Rule(Body):
    """What is looked for.

    Attributes:
        query: In one's own words.
        rivals: What else may be seen; the score is how much nearer `query` is than the nearest of them.
        cameras: Ids; empty for all.
        hold_s: How long it must hold.
        cool_down_s: Silence after its end.
    """

    query: Question
    rivals: Annotated[tuple[Question, ...], Field(max_length=64)] = ()
    cameras: Cameras = ()
    hold_s: Seconds = 1.0
    cool_down_s: Seconds = 10.0

    def rule(self) -> Alert:
        """For the runtime."""
        return Alert(
            text=self.query,
            against=self.rivals,
            threshold=0.0,
            hold_s=self.hold_s,
            cool_down_s=self.cool_down_s,
        )


class AlertIn(Rule):
    """An alert as pages write it; see `vljepa_serve.config.AlertConfig`."""

    name: Annotated[str, Field(min_length=1, max_length=100, pattern=r"\S")]
    threshold: Score = 0.5
    look_back_s: Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)] = 10.0
    on: bool = True


class AlertOut(BaseModel):
    """An alert of the configuration, and what became of it.

    Attributes:
        last_fired: When it was told last in these 24 hours, in seconds since 1970; None where it was not.
        fired_24h: How often in 24 hours.
        active: By camera, whether it is on now.
    """

    id: str
    name: str
    query: str
    rivals: tuple[str, ...]
    cameras: tuple[str, ...]
    threshold: float
    hold_s: float
    cool_down_s: float
    look_back_s: float
    on: bool
    last_fired: float | None
    fired_24h: int
    active: dict[str, bool]


class Proposed(Rule):
    """How often an alert may be told."""

    per_day: Annotated[float, Field(gt=0, le=10_000, allow_inf_nan=False)]


class ProposalOut(BaseModel):
    """See `vljepa_serve.archive.Proposal`."""

    threshold: float | None
    expected_per_day: float | None
    sentence: str


class Scored(Rule):
    """An alert that somebody edits: its scores of so many hours."""

    hours: Annotated[float, Field(gt=0, le=7 * 24, allow_inf_nan=False)] = 24.0


class ScoreBin(BaseModel):
    """The highest score of a step."""

    at: float
    high: float


class Count(BaseModel):
    """How often it would have been told at a threshold."""

    threshold: float
    fires: int


class ScoresOut(BaseModel):
    """See `vljepa_serve.archive.Scores`."""

    bins: list[ScoreBin]
    step_s: float
    counts: list[Count]


@router.get("/alerts")
async def alerts(service: ServiceOf, reading: ReadingOf) -> list[AlertOut]:
    """All that are configured."""
    return await reading.run(_views, service, service.config.alert)


@router.post("/alerts", status_code=201)
async def add(service: ServiceOf, reading: ReadingOf, given: AlertIn) -> AlertOut:
    """One more."""

    def work() -> AlertOut:
        id = free_id(given.name, [each.id for each in service.config.alert])
        return _put(service, id, given)

    return await reading.run(work)


@router.put("/alerts/{id}")
async def change(service: ServiceOf, reading: ReadingOf, id: AlertId, given: AlertIn) -> AlertOut:
    """Another one in its place."""

    def work() -> AlertOut:
        _configured(service, id)
        return _put(service, id, given)

    return await reading.run(work)


@router.delete("/alerts/{id}", status_code=204)
def remove(service: ServiceOf, id: AlertId) -> None:
    """Watch for it no more; what it told stays."""
    _configured(service, id)
    service.change(lambda file: file.remove("alert", id))


@router.post("/alerts/scores")
async def scores(service: ServiceOf, reading: ReadingOf, given: Scored) -> ScoresOut:
    """What it would have scored, and how often it would have been told."""

    def work() -> ScoresOut:
        since = time.time() - given.hours * HOUR_S
        found = score_alert(service.archive, given.rule(), _watched(service, given.cameras), since)
        return ScoresOut(
            bins=[ScoreBin(at=at, high=round(high, 4)) for at, high in found.bins],
            step_s=found.step_s,
            counts=[Count(threshold=threshold, fires=fires) for threshold, fires in found.counts],
        )

    return await reading.run(work)


@router.post("/alerts/propose")
async def propose(service: ServiceOf, reading: ReadingOf, given: Proposed) -> ProposalOut:
    """A threshold for so many alerts a day."""

    def work() -> ProposalOut:
        found = propose_threshold(
            service.archive,
            given.rule(),
            _watched(service, given.cameras),
            time.time() - PROPOSED_FROM_S,
            per_day=given.per_day,
        )
        return ProposalOut.model_validate(found, from_attributes=True)

    return await reading.run(work)


@router.get("/alerts/fired")
async def fired(service: ServiceOf, reading: ReadingOf, since: Since, until: Until) -> list[dict[str, Any]]:
    """What was told in a span, the newest first: events with `clip_address`, None without a clip, and `moment`."""
    check_span(since, until, most_s=MOST_S)
    return await reading.run(
        lambda: [_fired(service, each) for each in _begun(service, since, until)[:MOST_FIRED]]
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


def _configured(service: Service, id: str) -> AlertConfig:
    for each in service.config.alert:
        if each.id == id:
            return each
    known = ", ".join(each.id for each in service.config.alert) or "none"
    raise ServeError(404, f"There is no alert {id!r}; known: {known}.", field="id")


def _put(service: Service, id: str, given: AlertIn) -> AlertOut:
    service.change(lambda file: file.put("alert", {"id": id, **given.model_dump()}))
    return _views(service, [_configured(service, id)])[0]


def _watched(service: Service, cameras: Sequence[str]) -> list[str]:
    return [*cameras] or [each.id for each in service.config.camera]


def _views(service: Service, alerts: Sequence[AlertConfig]) -> list[AlertOut]:
    begun = _begun(service, time.time() - DAY_S, LATEST) if alerts else []
    cameras = {id: camera.standing.active for id, camera in [*service.fleet.cameras.items()]}
    found = []
    for each in alerts:
        times = [told.time for told in begun if _is_of(each, told)]
        found.append(
            AlertOut(
                id=each.id, name=each.name, query=each.query, rivals=each.rivals, cameras=each.cameras,
                threshold=each.threshold, hold_s=each.hold_s, cool_down_s=each.cool_down_s,
                look_back_s=each.look_back_s, on=each.on,
                last_fired=max(times, default=None),
                fired_24h=len(times),
                active={id: active[each.id] for id, active in cameras.items() if each.id in active},
            )
        )  # fmt: skip
    return found


def _is_of(alert: AlertConfig, told: StoredEvent) -> bool:
    camera = told.event.stream
    return told.event.text == alert.query and (not alert.cameras or camera in alert.cameras)


def _begun(service: Service, since: float, until: float) -> list[StoredEvent]:
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
    about = next((each.id for each in service.config.alert if _is_of(each, told)), "")
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
