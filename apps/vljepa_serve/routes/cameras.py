"""Cameras: which there are, new ones, changed ones, tried again. Each change goes through the configuration."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from vljepa_runtime.redaction import redact
from vljepa_runtime.sources import is_pipeline
from vljepa_serve.config import free_id
from vljepa_serve.dependencies import ServiceOf
from vljepa_serve.devices import video_devices
from vljepa_serve.errors import ServeError
from vljepa_serve.routes.shapes import CameraChange, CameraIn, Queries, SourceIn
from vljepa_serve.trial import try_source

__all__ = ["router"]

router = APIRouter(prefix="/api/cameras", tags=["cameras"])


@router.get("")
def cameras(service: ServiceOf) -> list[dict[str, Any]]:
    """All that are configured."""
    return [service.fleet.view(camera) for camera in [*service.fleet.cameras.values()]]


@router.post("", status_code=201)
def add(service: ServiceOf, given: CameraIn) -> dict[str, Any]:
    """Watch one more."""
    _check_source(given.source)
    id = free_id(given.name, [*service.fleet.cameras])
    values = given.model_dump(exclude_defaults=True)
    service.change(lambda file: file.put("camera", {"id": id, **values}))
    return service.fleet.view(service.fleet.camera(id))


@router.post("/test")
def test(service: ServiceOf, given: SourceIn) -> dict[str, Any]:
    """Open a source, look at what comes, and let it go."""
    _check_source(given.source)
    with service.trials.taken():
        return try_source(given.source)


@router.get("/devices")
def devices() -> list[dict[str, str]]:
    """Cameras that are plugged into the server's machine, so far as its system lists them."""
    return [{"source": each.source, "name": each.name} for each in video_devices()]


@router.get("/{id}")
def camera(service: ServiceOf, id: str) -> dict[str, Any]:
    """One of them."""
    return service.fleet.view(service.fleet.camera(id))


@router.patch("/{id}")
def change(service: ServiceOf, id: str, given: CameraChange) -> dict[str, Any]:
    """Change one; the others are left alone, and so is it where its connection need not be another."""
    before = service.fleet.camera(id).config
    values = given.model_dump(exclude_unset=True)
    if values.get("source") == redact(before.source):  # as it was shown, without its password
        del values["source"]
    _check_source(values.get("source") or "")
    service.change(lambda file: file.put("camera", {"id": id, **values}))
    return service.fleet.view(service.fleet.camera(id))


@router.delete("/{id}", status_code=204)
def remove(service: ServiceOf, id: str) -> None:
    """Watch it no more; what was kept of it stays until it is too old."""
    service.fleet.camera(id)
    service.change(lambda file: file.remove("camera", id))


@router.post("/{id}/retry")
def retry(service: ServiceOf, id: str) -> dict[str, Any]:
    """Try a camera now, whatever it waits for."""
    service.fleet.retry(id)
    return service.fleet.view(service.fleet.camera(id))


@router.put("/{id}/queries")
def queries(service: ServiceOf, id: str, given: Queries) -> dict[str, Any]:
    """Ask every window of it."""
    service.fleet.camera(id)
    service.change(lambda file: file.put("camera", {"id": id, "queries": given.queries}))
    return service.fleet.view(service.fleet.camera(id))


def _check_source(source: str) -> None:
    if is_pipeline(source):  # it may write any file and run any element
        raise ServeError(
            422,
            "A GStreamer pipeline is not taken from a page: name it by --source, or in the configuration's file.",
            field="source",
        )
