"""Serves the emulated cloud: sockets, signals, and what ASGI has no word for, an answer that is never sent."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Sequence
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from lanecast_lab.cloud.api.application import DROP

GRACE_S = 5
"""What requests in hand get when the server is asked to stop."""


class _DroppingProtocol(H11Protocol):
    """Offers the application to close its connection without an answer."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.app = _offering(self.app, lambda: self.transport.abort())


def _offering(app: Any, drop: Callable[[], None]) -> ASGIApp:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("extensions", {})[DROP] = drop
        await app(scope, receive, send)

    return application


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one."""
    return socket.create_server((host, port), backlog=512, reuse_port=False)


def prepare(app: ASGIApp) -> uvicorn.Server:
    """A server that SIGINT and SIGTERM end from now on, even before it answers."""
    config = uvicorn.Config(
        app,
        http=_DroppingProtocol,
        ws="none",
        lifespan="off",
        access_log=False,
        server_header=False,
        log_level="warning",
        timeout_graceful_shutdown=GRACE_S,
    )
    server = uvicorn.Server(config)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(
            number, server.handle_exit
        )  # also of the signal that uvicorn raises once more when it has stopped
    return server


def serve(server: uvicorn.Server, sockets: Sequence[socket.socket]) -> None:
    """Answer until a signal ends it."""
    asyncio.run(server.serve(sockets=list(sockets)))
