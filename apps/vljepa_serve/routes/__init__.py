"""Routes of what happens now: state, cameras, live pictures and messages. A file per subject, each with a `router`."""

from __future__ import annotations

from vljepa_serve.routes import asks, cameras, live, login, pictures, settings, state, system

__all__ = ["ROUTERS"]

ROUTERS = (
    state.router,
    cameras.router,
    asks.router,
    pictures.router,
    settings.router,
    system.router,
    login.router,
    live.router,
)
