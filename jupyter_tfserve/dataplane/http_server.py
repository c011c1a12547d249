"""A listening HTTP/1.1 server: connections, their clock, and an orderly stop.

The protocol itself is in `http_protocol`. One timer per server sweeps all connections for deadlines, so a
request costs no timer of its own.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import ssl
import time
from email.utils import formatdate

from jupyter_tfserve.dataplane.http_message import HeadDoor, HttpHandler
from jupyter_tfserve.dataplane.http_protocol import HttpProtocol, HttpService
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.options import LimitOptions

logger = logging.getLogger(__name__)

SWEEP_INTERVAL_S = 1.0


class HttpServer:
    """Serves `handler` on one address. One event loop owns it.

    `local_only`: Host must name this machine. `foreign_pages` off: so must Origin, where a browser sends one.
    """

    def __init__(
        self,
        handler: HttpHandler,
        limits: LimitOptions,
        local_only: bool = True,
        tls: ssl.SSLContext | None = None,
        foreign_pages: bool = True,
    ) -> None:
        self._service = HttpService(handler, limits, local_only)
        self._service.foreign_pages = foreign_pages
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._sweep_handle: asyncio.TimerHandle | None = None

    async def start(self, host: str, port: int) -> int:
        """The bound port (a port of 0 picks a free one). UNAVAILABLE naming the port when it is taken."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                lambda: HttpProtocol(self._service),
                host,
                port,
                backlog=1024,
                reuse_port=False,
                ssl=self._tls,
                # A peer that never ends its handshake is none of the connections that the clock sees.
                ssl_handshake_timeout=self._service.limits.header_timeout_s if self._tls else None,
            )
        except OSError as error:
            raise _bind_error(error, host, port) from None
        self._sweep()
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self, grace_s: float) -> None:
        """Stops accepting, tells idle connections, lets running requests end for `grace_s`, then cuts."""
        if self._server is None:
            return
        self._server.close()
        if self._sweep_handle is not None:
            self._sweep_handle.cancel()
        await self._service.drain(grace_s)
        self._server = None

    def put_before(self, handler: HttpHandler, door: HeadDoor | None) -> None:
        """`handler` answers from the next request on; `door` may refuse one by its head, before the body is read."""
        self._service.handler = handler
        self._service.door = door

    @property
    def open_connections(self) -> int:
        """How many there are now."""
        return len(self._service.connections)

    def _sweep(self) -> None:
        self._service.date = formatdate(usegmt=True).encode()
        self._service.sweep(time.monotonic())
        loop = asyncio.get_running_loop()
        self._sweep_handle = loop.call_later(SWEEP_INTERVAL_S, self._sweep)


def _bind_error(error: OSError, host: str, port: int) -> ServingError:
    if error.errno == errno.EADDRINUSE:
        return ServingError(
            Code.UNAVAILABLE,
            f"HTTP port {port} is already in use on {host}",
            "Stop the program that listens there, or choose another port with --rest_api_port",
        )
    return ServingError(Code.UNAVAILABLE, f"Can't listen on {host}:{port}: {error.strerror or error}")
