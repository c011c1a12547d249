"""What all connections of a server share: who answers, the limits, the open connections, the orderly stop."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol

from jupyter_tfserve.dataplane.http2.frames import ErrorCode
from jupyter_tfserve.dataplane.http2.header_blocks import Head, Headers
from jupyter_tfserve.dataplane.http2.options import Http2Options

if TYPE_CHECKING:
    from jupyter_tfserve.dataplane.http2.connection import Connection
    from jupyter_tfserve.dataplane.http2.stream import Stream

SWEEP_INTERVAL_S: Final = 1.0
_LAST_WORDS_S: Final = 0.5
_READ_BYTES: Final = 256 * 2**10


class Application(Protocol[Head]):
    """Who answers."""

    def read_head(self, headers: Headers) -> Head:
        """What a request's headers mean; must not raise. The same headers of a later request may share the value."""

    def open(self, connection: Connection[Any], stream_id: int, head: Head) -> Stream:
        """The stream that answers such a request. It is the connection's before any of its hooks is called."""


class Http2Service(Generic[Head]):
    """One server's connections. One event loop owns it."""

    def __init__(self, application: Application[Head], options: Http2Options) -> None:
        self.options = options
        self.connections: set[Connection[Head]] = set()
        self.handshakes = 0
        """TLS connections that are not ready yet."""
        self.read_room = memoryview(bytearray(_READ_BYTES))
        """Where whichever connection is being read reads to: its bytes are looked at before another's come."""
        self.large_blocks = 0
        """Header blocks far above the limit that are not whole."""
        self.read_head = application.read_head
        self.open = application.open
        self._unsent = 0
        self._is_relieving = False
        self._is_draining = False
        self._empty: asyncio.Future[None] | None = None
        self._sweep_handle: asyncio.TimerHandle | None = None

    @property
    def is_full(self) -> bool:
        """Whether there are as many connections and handshakes as there may be."""
        return len(self.connections) + self.handshakes >= self.options.limits.max_connections

    def start(self) -> None:
        """Looks at all connections' time limits once a second from now on."""
        now = time.monotonic()
        for connection in list(self.connections):
            connection.check_deadlines(now)
        self._sweep_handle = asyncio.get_running_loop().call_later(SWEEP_INTERVAL_S, self.start)

    def opened(self, connection: Connection[Head]) -> bool:
        """A connection is there; whether it may stay."""
        if self._is_draining or len(self.connections) >= self.options.limits.max_connections:
            return False
        self.connections.add(connection)
        return True

    def closed(self, connection: Connection[Head]) -> None:
        """A connection is gone."""
        self.connections.discard(connection)
        if not self.connections and self._empty is not None and not self._empty.done():
            self._empty.set_result(None)

    def hold(self, size: int) -> None:
        """Outflow's: so many bytes more of answers wait. If that is too much, who leaves most of them waiting goes."""
        self._unsent += size
        if self._unsent > self.options.limits.max_unfinished_bytes and not self._is_relieving:
            self._is_relieving = True
            # Later: this may be the middle of an answer to that very connection.
            asyncio.get_running_loop().call_soon(self._relieve)

    def _relieve(self) -> None:
        self._is_relieving = False
        while self._unsent > self.options.limits.max_unfinished_bytes and self.connections:
            greediest = max(self.connections, key=lambda one: one.out.held)
            if not greediest.out.held:
                return
            greediest.close(ErrorCode.ENHANCE_YOUR_CALM, "Too many answers wait to be taken")

    async def drain(self, grace_s: float) -> None:
        """Returns when every connection is closed: idle ones at once, busy ones after their answers or `grace_s`."""
        self._is_draining = True
        for connection in list(self.connections):
            connection.go_away()
        await self._wait_empty(grace_s)
        for connection in list(self.connections):
            connection.stop()
        await self._wait_empty(_LAST_WORDS_S)
        for connection in list(self.connections):
            connection.abort()
        if self._sweep_handle is not None:
            self._sweep_handle.cancel()

    async def _wait_empty(self, timeout_s: float) -> None:
        if self.connections:
            self._empty = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._empty], timeout=timeout_s)
