"""Cameras: which there are, new ones, changed ones, tried again."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from vljepa_serve.dependencies import ServiceOf

__all__ = ["router"]

router = APIRouter(prefix="/api/cameras", tags=["cameras"])


@router.get("")
def cameras(service: ServiceOf) -> list[dict[str, Any]]:
    """All that are configured."""
    return [service.fleet.view(camera) for camera in [*service.fleet.cameras.values()]]


@router.get("/{id}")
def camera(service: ServiceOf, id: str) -> dict[str, Any]:
    """One of them."""
    return service.fleet.view(service.fleet.camera(id))


@router.post("/{id}/retry")
def retry(service: ServiceOf, id: str) -> dict[str, Any]:
    """Try a camera now, whatever it waits for."""
    service.fleet.retry(id)
    return service.fleet.view(service.fleet.camera(id))
