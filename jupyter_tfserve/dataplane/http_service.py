"""What all connections of an HTTP server share: who answers, the limits, the connections and their orderly end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol

from jupyter_tfserve.codec.json_models import encode_error
from jupyter_tfserve.dataplane.http_head import is_foreign, is_local
from jupyter_tfserve.dataplane.http_message import (
    HeadDoor,
    HttpBeginner,
    HttpHandler,
    HttpResponse,
    head_lines,
    response_head,
)
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
    """What all connections of a server share: handler, limits, the open connections, the heads of answers.

    `beginner`, if there is one, is asked before the handler.
    """

    def __init__(self, handler: HttpHandler, limits: LimitOptions, local_only: bool) -> None:
        self.handler = handler
        self.beginner: HttpBeginner | None = None
        self.door: HeadDoor | None = None
        self.foreign_pages = True
        """Whether a request may come from a web page of another machine."""
        self.limits = limits
        self.local_only = local_only
        self.connections: set[HttpConnection] = set()
        self.handshakes = 0
        """TLS connections that are not ready yet."""
        self.draining = False
        self._date = b""
        self._heads: dict[tuple[int, str], bytes] = {}
        self._empty: asyncio.Future[None] | None = None

    @property
    def is_full(self) -> bool:
        """Whether there are as many connections and handshakes as there may be."""
        return len(self.connections) + self.handshakes >= self.limits.max_connections

    def set_date(self, date: bytes) -> None:
        """The Date header of answers from now on."""
        self._date = date
        self._heads.clear()

    def head(self, response: HttpResponse, keep_alive: bool) -> bytes:
        """Status line and headers, with the empty line that ends them."""
        # Of a second's answers nearly all have the same.
        kind = response.status, response.content_type
        lines = self._heads.get(kind)
        if lines is None:
            lines = self._heads[kind] = head_lines(*kind, self._date)
        return response_head(response, lines, keep_alive)

    def refusal(self, method: str, target: str, headers: Mapping[str, str]) -> HttpResponse | None:
        """The answer to who is refused by the head of their request; None for everyone else."""
        if self.local_only and not is_local(headers.get("host", "")):
            return _forbidden(
                "The Host header names no local address, and this port serves only this machine"
            )
        # OPTIONS asks what is allowed; a page that is not answered with permission keeps away by itself.
        if (
            "origin" in headers
            and not self.foreign_pages
            and method != "OPTIONS"
            and is_foreign(headers["origin"])
        ):
            return _forbidden("The Origin header names a page of another machine, and CORS is not enabled")
        return None if self.door is None else self.door(method, target, headers)

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


def _forbidden(message: str) -> HttpResponse:
    return HttpResponse(403, encode_error(message))
