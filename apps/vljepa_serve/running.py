"""One process: a service and the web server over it, until a signal comes."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

from vljepa_runtime import InputError
from vljepa_serve.config import ServerConfig

__all__ = ["serve_app"]

GRACE_S = 3  # for answers that are under way when a signal comes
BACKLOG = 128


def serve_app(app: FastAPI, config: ServerConfig, *, on_ready: Callable[[str], object]) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        app: What `create_app` made.
        config: Where to listen.
        on_ready: Called with the address of the page.

    Raises:
        InputError: the address cannot be listened at.
    """
    listening = _listen(config)
    scheme = "https" if config.tls_cert else "http"
    host = f"[{config.host}]" if ":" in config.host else config.host
    on_ready(f"{scheme}://{host}:{listening.getsockname()[1]}/")
    settings = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
        ws="websockets-sansio",
        ws_max_size=1 << 16,
        ssl_certfile=config.tls_cert,
        ssl_keyfile=config.tls_key,
    )
    with listening:
        uvicorn.Server(settings).run(sockets=[listening])


def _listen(config: ServerConfig) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((config.host, config.port))
        found.listen(BACKLOG)
    except OSError as error:
        found.close()
        raise InputError(
            f"cannot listen at {config.host}:{config.port}: {error.strerror or error}: choose another --host or --port"
        ) from error
    return found
