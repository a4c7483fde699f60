"""Routes over what was kept: segments, windows, search, moments, alerts, teach, digest.

A file per subject, each with a `router`; a router is served when it stands in `ROUTERS`.
"""

from __future__ import annotations

from fastapi import APIRouter

from vljepa_serve.past import alerts, digest, fired, moments, search, segments, teach

__all__ = ["ROUTERS"]

ROUTERS: tuple[APIRouter, ...] = (
    segments.router,
    search.router,
    moments.router,
    fired.router,
    alerts.router,
    digest.router,
    teach.router,
)
