"""How the device fares: for the page, and for Prometheus."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from vljepa_serve.dependencies import ServiceOf
from vljepa_serve.metrics import metrics_text

__all__ = ["router"]

router = APIRouter(tags=["system"])
TEXT = {"content": {"text/plain": {"schema": {"type": "string"}}}}


@router.get("/api/system")
def system(service: ServiceOf) -> dict[str, Any]:
    """Engines, memory, temperature, power, disk, receivers, counters of each camera."""
    return service.device.view(service)


@router.get("/metrics", responses={200: TEXT}, response_class=Response)
def metrics(service: ServiceOf) -> Response:
    """The same as numbers that Prometheus reads."""
    return Response(metrics_text(service), headers={"Content-Type": CONTENT_TYPE_LATEST})
