"""What all connections of an HTTP server share: who answers, the limits, the connections and their orderly end."""

from __future__ import annotations

import asyncio
from typing import Protocol

from jupyter_tfserve.dataplane.http_message import HeadDoor, HttpHandler
from jupyter_tfserve.options import LimitOptions


class HttpConnection(Protocol):
    """One connection, as the server needs it."""

    def check_deadlines(self, now: float) -> None:
        """Ends it if its peer is slower than allowed."""

    def close_when_idle(self) -> None:
        """Closes it now, or after the answers that are under way."""

    def abort(self) -> None:
        """Cuts it."""


class HttpService:
    """What all connections of a server share: handler, limits, the open connections, the Date header."""

    def __init__(self, handler: HttpHandler, limits: LimitOptions, local_only: bool) -> None:
        self.handler = handler
        self.door: HeadDoor | None = None
        self.foreign_pages = True
        """Whether a request may come from a web page of another machine."""
        self.limits = limits
        self.local_only = local_only
        self.connections: set[HttpConnection] = set()
        self.handshakes = 0
        """TLS connections that are not ready yet."""
        self.date = b""
        self.draining = False
        self._empty: asyncio.Future[None] | None = None

    @property
    def is_full(self) -> bool:
        """Whether there are as many connections and handshakes as there may be."""
        return len(self.connections) + self.handshakes >= self.limits.max_connections

    def sweep(self, now: float) -> None:
        """Ends connections that are slower than the limits allow."""
        for connection in list(self.connections):
            connection.check_deadlines(now)

    def closed(self, connection: HttpConnection) -> None:
        """A connection is gone."""
        self.connections.discard(connection)
        if not self.connections and self._empty is not None and not self._empty.done():
            self._empty.set_result(None)

    async def drain(self, grace_s: float) -> None:
        """Returns when every connection is closed: idle ones at once, busy ones after their answer or `grace_s`."""
        self.draining = True
        self._empty = asyncio.get_running_loop().create_future()
        for connection in list(self.connections):
            connection.close_when_idle()
        if self.connections:
            await asyncio.wait([self._empty], timeout=grace_s)
        for connection in list(self.connections):
            connection.abort()
