"""Alerts: which there are, and what they would have done."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Path

from vljepa_serve.archive import LATEST, automatic_threshold, propose_threshold, score_alert
from vljepa_serve.config import AlertConfig, free_id
from vljepa_serve.dependencies import ReadingOf, ServiceOf
from vljepa_serve.errors import ServeError
from vljepa_serve.past.alert_shapes import (
    AlertIn,
    AlertOut,
    Count,
    ProposalOut,
    Proposed,
    ScoreBin,
    Scored,
    ScoresOut,
)
from vljepa_serve.past.fired import begun, is_of
from vljepa_serve.service import Service

__all__ = ["router"]

router = APIRouter(prefix="/api", tags=["alerts"])
HOUR_S, DAY_S = 3600.0, 86_400.0
PROPOSED_FROM_S = 7 * DAY_S
AlertId = Annotated[str, Path(max_length=32)]


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
        alert = replace(given.rule(), threshold=given.threshold)
        found = score_alert(service.archive, alert, _watched(service, given.cameras), since)
        return ScoresOut(
            automatic=found.automatic,
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


def _configured(service: Service, id: str) -> AlertConfig:
    for each in service.config.alert:
        if each.id == id:
            return each
    known = ", ".join(each.id for each in service.config.alert) or "none"
    raise ServeError(404, f"There is no alert {id!r}; known: {known}.", field="id")


def _put(service: Service, id: str, given: AlertIn) -> AlertOut:
    if given.threshold is None and automatic_threshold(service.archive, given.rule()) is None:
        raise ServeError(
            422,
            "A single word gives no threshold: describe what is seen in a few words, or choose one.",
            field="threshold",
        )
    service.change(lambda file: file.put("alert", {"id": id, **given.model_dump()}))
    return _views(service, [_configured(service, id)])[0]


def _watched(service: Service, cameras: Sequence[str]) -> list[str]:
    return [*cameras] or [each.id for each in service.config.camera]


def _views(service: Service, alerts: Sequence[AlertConfig]) -> list[AlertOut]:
    told_today = begun(service, time.time() - DAY_S, LATEST) if alerts else []
    cameras = {id: camera.standing.active for id, camera in [*service.fleet.cameras.items()]}
    found = []
    for each in alerts:
        times = [told.time for told in told_today if is_of(each, told)]
        found.append(
            AlertOut(
                id=each.id, name=each.name, query=each.query, rivals=each.rivals, cameras=each.cameras,
                threshold=each.threshold, hold_s=each.hold_s, cool_down_s=each.cool_down_s,
                look_back_s=each.look_back_s, send_to=each.send_to, on=each.on,
                last_fired=max(times, default=None),
                fired_24h=len(times),
                active={id: active[each.id] for id, active in cameras.items() if each.id in active},
            )
        )  # fmt: skip
    return found
