"""Several front processes on the same ports: started together, replaced when they die, drained in order.

The REST port is one listening socket that all of them accept from. gRPC's own sockets share their port
(SO_REUSEPORT), which a foreign server must not: the port is tried alone first, and held while the engine lives. With an
owner, who keeps listening sockets for the next engine, gRPC's is one for all as well: the owner's would take connections
away from fronts that listen beside it.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from jupyter_tfserve.dataplane.grpc_listen import listen_tcp
from jupyter_tfserve.dataplane.http_server import bind_sockets
from jupyter_tfserve.dataplane.listening import end_listening
from jupyter_tfserve.engine.front_desk import FrontDesk, FrontSession
from jupyter_tfserve.engine.front_messages import (
    FrontOptions,
    keys_to_json,
    options_to_json,
    shared_limits,
)
from jupyter_tfserve.engine.kept_ports import ListeningSockets
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.lifecycle.keys import PredictKey
from jupyter_tfserve.options import EngineOptions
from jupyter_tfserve.worker.huge_pages import with_huge_pages
from jupyter_tfserve.worker.process import start_module, worker_environment

logger = logging.getLogger(__name__)

START_TIMEOUT_S: Final = 60.0
CONFIRM_TIMEOUT_S: Final = 2.0
RESTART_PAUSE_S: Final = 0.5
"""Before the next one of a front that lived no longer than this."""


class Fronts:
    """The front processes of one engine. Belongs to its event loop."""

    def __init__(
        self, options: EngineOptions, desk: FrontDesk, services: Mapping[str, tuple[str, ...]]
    ) -> None:
        self._options = options
        self._desk = desk
        self._services = services
        self._keys: list[dict[str, Any]] = []
        self._sessions: set[FrontSession] = set()
        self._keepers: list[asyncio.Task[None]] = []
        self.listening = ListeningSockets()
        """What all of them accept from."""
        self._reserved: socket.socket | None = None
        self._grpc_port = 0
        self._is_stopping = False

    @property
    def open_connections(self) -> int:
        """The REST connections of all fronts, as they last told."""
        return sum(session.open_connections for session in self._sessions)

    async def start(self, kept: ListeningSockets) -> tuple[int, int]:
        """The REST and the gRPC port (0: off), once every front serves; `kept` are the last engine's sockets, if any.

        UNAVAILABLE if an address cannot be had.
        """
        self.listening = kept
        if not kept.rest:
            self.listening = replace(self.listening, rest=await self._bind_rest())
        if not kept.grpc:
            self.listening = replace(self.listening, grpc=self._bind_grpc())
        self._grpc_port = _port_of([*self.listening.grpc, *filter(None, [self._reserved])])
        loop = asyncio.get_running_loop()
        started = [loop.create_future() for _ in range(self._options.front_processes)]
        self._keepers = [loop.create_task(self._keep(future)) for future in started]
        await asyncio.gather(*started)
        return _port_of(self.listening.rest), self._grpc_port

    def configure(self, keys: Iterable[PredictKey]) -> None:
        """These keys count from now on; `confirmed` says when every front knows."""
        document = keys_to_json(keys)
        if document != self._keys:
            self._keys = document
            for session in self._sessions:
                session.tell(document)

    async def confirmed(self) -> None:
        """Returns when every front goes by what was configured last; one that does not answer is cut off."""
        await asyncio.gather(*(session.confirmed(CONFIRM_TIMEOUT_S) for session in self._sessions))

    async def counted(self) -> None:
        """Returns when every front has told what it has counted, or has had its time to."""
        await asyncio.gather(*(session.counted(CONFIRM_TIMEOUT_S) for session in self._sessions))

    async def stop(self, grace_s: float) -> None:
        """No new connections, then answers, for at most `grace_s`; no process is left. Idempotent."""
        self._is_stopping = True
        # First, so that they end what they accept from by themselves as soon as they can.
        for session in self._sessions:
            session.link.send({"k": "drain", "grace_s": grace_s})
        # Without waiting for them: who connects from now on is refused, not kept waiting for nobody.
        end_listening(self.listening.all)
        self.listening.close()
        self.listening = ListeningSockets()
        if self._keepers:
            await asyncio.wait(self._keepers, timeout=grace_s + 2)
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        if self._reserved is not None:
            self._reserved.close()
        self._reserved, self._keepers = None, []

    async def _bind_rest(self) -> tuple[socket.socket, ...]:
        listen = self._options.listen
        return tuple(await bind_sockets(listen.host, max(listen.rest_port, 0))) if listen.rest_port else ()

    def _bind_grpc(self) -> tuple[socket.socket, ...]:
        """What all fronts accept from; nothing where each listens by itself, on the port that is reserved then."""
        listen = self._options.listen
        if not listen.grpc_port:
            return ()
        port = max(listen.grpc_port, 0)
        if self._options.owner_ports is not None:
            return tuple(listen_tcp(listen.host, port, reuse_port=False))
        self._reserved = reserve_port(listen.host, port)
        return ()

    async def _keep(self, started: asyncio.Future[None]) -> None:
        """One front after the other; `started` gets what came of the first."""
        while not self._is_stopping:
            began = time.monotonic()
            try:
                await self._live_once(started)
            except ServingError as error:
                if not started.done():
                    started.set_exception(error)
                    return
                logger.error("A front process could not start: %s", error.message)
            if not self._is_stopping:
                logger.warning("A front process ended; another takes its place")
                await asyncio.sleep(RESTART_PAUSE_S if time.monotonic() - began < RESTART_PAUSE_S else 0)

    async def _live_once(self, started: asyncio.Future[None]) -> None:
        session = FrontSession(self._desk)
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            sockets = [theirs, *self.listening.all]
            numbers = [str(one.fileno()) for one in sockets]
            process = start_module(
                "jupyter_tfserve.engine.front", numbers, sockets, with_huge_pages(worker_environment())
            )
        try:
            loop = asyncio.get_running_loop()
            await loop.create_unix_connection(lambda: session.link, sock=ours)
            session.link.send({"k": "start", "options": self._front_options(), "keys": self._keys})
            self._sessions.add(session)
            await asyncio.wait_for(asyncio.shield(session.ready), START_TIMEOUT_S)
            if not started.done():
                started.set_result(None)
            await session.lost.wait()
        except asyncio.TimeoutError:
            raise ServingError(Code.DEADLINE_EXCEEDED, "A front process did not start in time") from None
        finally:
            self._sessions.discard(session)
            session.link.abort()
            process.kill()
            # At once: it has been killed.
            process.wait()

    def _front_options(self) -> dict[str, Any]:
        options = self._options
        # Its sockets share the port among our fronts; a Unix socket is the engine's own.
        shared = (*options.grpc.channel_arguments, ("grpc.so_reuseport", 1))
        return options_to_json(
            FrontOptions(
                replace(options.listen, grpc_port=self._grpc_port, grpc_socket_path=""),
                shared_limits(options.limits, options.front_processes),
                replace(options.grpc, channel_arguments=shared),
                self._grpc_port,
                self._services,
            )
        )


def _port_of(sockets: Sequence[socket.socket]) -> int:
    """0 if there is none."""
    return int(sockets[0].getsockname()[1]) if sockets else 0


def reserve_port(host: str, port: int) -> socket.socket:
    """A bound socket that takes no connection, on a port that nobody had: our fronts may share it, others may not.

    UNAVAILABLE if somebody has it.
    """
    family, _, _, _, address = socket.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    try:
        with socket.socket(family, socket.SOCK_STREAM) as alone:
            # Without SO_REUSEPORT this fails beside any other socket on the port, however that was bound.
            alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            alone.bind(address)
            alone.listen(1)
            address = (address[0], alone.getsockname()[1], *address[2:])
        reserved = socket.socket(family, socket.SOCK_STREAM)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ServingError(Code.UNAVAILABLE, f"gRPC port {port} is already in use") from None
        raise ServingError(
            Code.UNAVAILABLE, f"gRPC cannot listen on {host}:{port}: {error.strerror}"
        ) from None
    return reserved
