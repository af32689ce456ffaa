"""The server at work: bound to an address, until it is told to stop."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable

import uvicorn

from deepix.errors import DeepixError, reason
from deepix.web.guard import LOOPBACK, Guard
from deepix.web.limits import Limits
from deepix.web.server import Server

_log = logging.getLogger(__name__)
CONNECTIONS = 200
"""At the same time; further ones are answered with 503."""
GRACE = 3
"""Seconds that requests may take to end when the server stops."""


def serve(
    host: str, port: int, names: tuple[str, ...], limits: Limits, ready: Callable[[str], None] = lambda address: None
) -> None:
    """Serve the page until the process is interrupted or told to end.

    Parameters
    ----------
    host, port : where to listen; port 0: any that is free
    names : further names under which it is reached
    limits : how much it takes on
    ready : is told the page's address once it can be opened

    Raises
    ------
    DeepixError : it cannot listen there
    """
    bound = _bound(host, port)
    port = bound.getsockname()[1]
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    if host not in LOOPBACK:
        _log.warning(
            "WARNING: listening at %s: whoever reaches this machine can use the page, unencrypted and without a "
            "password; put it behind a reverse proxy (docs/web.md)",
            host,
        )
    app = Guard(Server(limits, f"deepix-{port}").application(), host, port, names)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        ws="none",
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=GRACE,
    )
    server = _Told(config, lambda: ready(f"http://{shown}:{port}/"))
    with bound:
        server.run(sockets=[bound])


class _Told(uvicorn.Server):
    """A server that says when it answers."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except (OSError, OverflowError) as error:
        bound.close()
        raise DeepixError(f"cannot listen at {host}, port {port} ({reason(error)}): name another --port") from error
    return bound
