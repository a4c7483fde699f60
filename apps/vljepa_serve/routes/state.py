"""How all is: for watchdogs, for a page that opens."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from vljepa_runtime import __version__
from vljepa_serve.dependencies import ServiceOf

__all__ = ["router"]

router = APIRouter(tags=["state"])


@router.get("/health")
def health(service: ServiceOf) -> dict[str, Any]:
    """Whether it runs; for this alone no token is asked."""
    states = [camera.state for camera in service.fleet.cameras.values() if camera.config.on]
    live = sum(state == "live" for state in states)
    is_well = live == len(states) and not service.problems
    return {
        "status": "ok" if is_well else "degraded",
        "cameras": {"live": live, "all": len(states)},
        "version": __version__,
    }


@router.get("/api/state")
def state(service: ServiceOf) -> dict[str, Any]:
    """What a page needs at first; then `/api/live` tells what changes."""
    return service.state()
