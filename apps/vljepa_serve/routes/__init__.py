"""Routes of what happens now: state, cameras, live pictures and messages. A file per subject, each with a `router`."""

from __future__ import annotations

from vljepa_serve.routes import cameras, live, pictures, state

__all__ = ["ROUTERS"]

ROUTERS = (state.router, cameras.router, pictures.router, live.router)
