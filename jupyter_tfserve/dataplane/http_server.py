"""A listening HTTP/1.1 server: connections, their clock, and an orderly stop.

The protocol itself is in `http_protocol`. One timer per server sweeps all connections for deadlines, so a
request costs no timer of its own.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
import time
from collections.abc import Sequence
from email.utils import formatdate

from jupyter_tfserve.dataplane.accepting import Accepting, accept_from
from jupyter_tfserve.dataplane.http_message import HeadDoor, HttpBeginner, HttpHandler
from jupyter_tfserve.dataplane.http_protocol import HttpProtocol
from jupyter_tfserve.dataplane.http_service import HttpService
from jupyter_tfserve.dataplane.listening import BACKLOG, end_listening
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
        self.listening: tuple[socket.socket, ...] = ()
        """What it accepts from."""
        self._servers: list[Accepting] = []
        self._sweep_handle: asyncio.TimerHandle | None = None

    async def start(self, host: str, port: int) -> int:
        """The bound port (a port of 0 picks a free one). UNAVAILABLE naming the port when it is taken."""
        return await self.serve(await bind_sockets(host, port))

    async def serve(self, sockets: Sequence[socket.socket]) -> int:
        """Accepts from listening sockets, which other processes may hold as well, and returns their port.

        They are closed by `stop`, which ends their listening for all who hold them.
        """
        self.listening, service = tuple(sockets), self._service
        for listening in sockets:
            self._servers.append(
                await accept_from(
                    listening, lambda: HttpProtocol(service), service, service.limits, self._tls
                )
            )
        self._sweep()
        return int(sockets[0].getsockname()[1])

    async def stop(self, grace_s: float) -> None:
        """Stops accepting, tells idle connections, lets running requests end for `grace_s`, then cuts."""
        if not self._servers:
            return
        end_listening(self.listening)
        for server in self._servers:
            server.close()
        self.listening = ()
        if self._sweep_handle is not None:
            self._sweep_handle.cancel()
        await self._service.drain(grace_s)
        self._servers = []

    def put_before(
        self, handler: HttpHandler, door: HeadDoor | None, beginner: HttpBeginner | None = None
    ) -> None:
        """`handler` answers from the next request on, what `beginner` leaves to it; `door` may refuse one by its head,
        before the body is read."""
        self._service.handler = handler
        self._service.door = door
        self._service.beginner = beginner

    @property
    def handler(self) -> HttpHandler:
        """What answers now."""
        return self._service.handler

    @property
    def open_connections(self) -> int:
        """How many there are now."""
        return len(self._service.connections)

    def _sweep(self) -> None:
        self._service.set_date(formatdate(usegmt=True).encode())
        self._service.sweep(time.monotonic())
        loop = asyncio.get_running_loop()
        self._sweep_handle = loop.call_later(SWEEP_INTERVAL_S, self._sweep)


async def bind_sockets(host: str, port: int) -> list[socket.socket]:
    """Listening sockets on every address of `host`, all on one port (0: a free one). UNAVAILABLE if one is taken."""
    bound: list[socket.socket] = []
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, address in dict.fromkeys((one[0], one[4]) for one in found):
            listening = socket.socket(family, socket.SOCK_STREAM)
            bound.append(listening)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            chosen = bound[0].getsockname()[1] if port == 0 and len(bound) > 1 else port
            listening.bind((address[0], chosen, *address[2:]))
            listening.listen(BACKLOG)
            listening.setblocking(False)
    except OSError as error:
        for one in bound:
            one.close()
        raise _bind_error(error, host, port) from None
    return bound


def _bind_error(error: OSError, host: str, port: int) -> ServingError:
    if error.errno == errno.EADDRINUSE:
        return ServingError(
            Code.UNAVAILABLE,
            f"HTTP port {port} is already in use on {host}",
            "Stop the program that listens there, or choose another port with --rest_api_port",
        )
    return ServingError(Code.UNAVAILABLE, f"Can't listen on {host}:{port}: {error.strerror or error}")
