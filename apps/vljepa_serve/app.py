"""The web application: routers over a service, and nothing that a router could do."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from vljepa_runtime import __version__
from vljepa_serve import past
from vljepa_serve.access import Access, Guard
from vljepa_serve.answers import PROBLEMS, add_handlers
from vljepa_serve.page_files import page_router
from vljepa_serve.reference import reference_page
from vljepa_serve.routes import ROUTERS
from vljepa_serve.service import Service

__all__ = ["create_app"]


def create_app(service: Service, access: Access | None = None) -> FastAPI:
    """Make the application of a service that somebody else starts and closes.

    Args:
        service: What it shows.
        access: Who may come in; None lets in who can reach loopback.

    Examples:
        >>> from vljepa_serve import ConfigFile, Service, create_app
        >>> with Service(ConfigFile("serve.toml"), folder="served") as service:
        ...     app = create_app(service)
        >>> "/api/state" in app.openapi()["paths"]
        True
    """
    app = FastAPI(
        title="vljepa serve",
        version=__version__,
        summary="Cameras that say what they see, kept and searched by meaning.",
        responses=PROBLEMS,
        docs_url=None,
        redoc_url=None,
    )
    app.state.service, app.state.access = service, access or Access()
    add_handlers(app)
    for router in (*ROUTERS, *past.ROUTERS):
        app.include_router(router)
    app.include_router(page_router())
    app.add_route("/docs", lambda _: HTMLResponse(reference_page(app.openapi())), include_in_schema=False)
    app.add_middleware(Guard, access=app.state.access)
    return app
