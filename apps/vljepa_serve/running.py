"""One process: a service and the web server over it, until a signal comes."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from contextlib import suppress

import uvicorn
from fastapi import FastAPI

from vljepa_runtime import InputError
from vljepa_serve.config import ServerConfig

__all__ = ["listen", "serve_app", "settings_of"]

GRACE_S = 3  # for answers that are under way when a signal comes
BACKLOG = 128
SWITCH_S = 0.0005  # between threads of Python: who reads the past keeps cameras waiting no longer
LONGEST_MESSAGE = 1 << 16  # of a page, which has nothing to say


def serve_app(app: FastAPI, config: ServerConfig, *, on_ready: Callable[[str], object]) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        app: What `create_app` made.
        config: Where to listen.
        on_ready: Called with the address of the page.

    Raises:
        InputError: the address cannot be listened at.
    """
    sys.setswitchinterval(SWITCH_S)
    listening = listen(config)
    scheme = "https" if config.tls_cert else "http"
    host = f"[{config.host}]" if ":" in config.host else config.host
    on_ready(f"{scheme}://{host}:{listening.getsockname()[1]}/")
    # Once all is answered, uvicorn raises the signal that ended it again; there is nothing left to interrupt.
    with listening, suppress(KeyboardInterrupt):
        uvicorn.Server(settings_of(app, config)).run(sockets=[listening])


def settings_of(app: FastAPI, config: ServerConfig) -> uvicorn.Config:
    """How uvicorn serves an application: nothing of who asks what is written down."""
    return uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_S,
        ws="websockets-sansio",
        ws_max_size=LONGEST_MESSAGE,
        ssl_certfile=config.tls_cert,
        ssl_keyfile=config.tls_key,
    )


def listen(config: ServerConfig) -> socket.socket:
    """A socket at the address that is configured.

    Raises:
        InputError: the address cannot be listened at.
    """
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
