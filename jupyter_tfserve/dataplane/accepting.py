"""Connections from a listening socket, plain or by TLS, to the protocols that serve them.

The event loop's own TLS servers tell nobody of a connection before its handshake is over, so strangers who never end
theirs would cost memory without a bound. Here a handshake under way has a place among the connections, and a time limit.
asyncio's servers, with TLS or without, also fail at every turn of the loop once another process has ended the listening.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import Callable
from typing import Final, Protocol

from jupyter_tfserve.dataplane.listening import BACKLOG
from jupyter_tfserve.options import LimitOptions

LISTENS_NO_MORE: Final = frozenset({errno.EINVAL, errno.EBADF, errno.ENOTSOCK})
"""What the system tells of a socket from which nothing will come any more: another process has shut it down."""
PAUSE_S: Final = 1.0
"""How long nothing is accepted after any other error: of descriptors, memory, a firewall's or the network's."""

Make = Callable[[], asyncio.BaseProtocol]


class Owner(Protocol):
    """Whose connections they are. `handshakes`: how many TLS handshakes are under way."""

    handshakes: int

    @property
    def is_full(self) -> bool:
        """Whether there are as many connections and handshakes as there may be."""


class Accepting(Protocol):
    """One listening socket that is accepted from."""

    def close(self) -> object:
        """Accepts no more, and closes the socket."""


async def accept_from(
    listening: socket.socket, make: Make, owner: Owner, limits: LimitOptions, tls: ssl.SSLContext | None
) -> Accepting:
    """Has `make` serve each connection from now on; with `tls` once its handshake is over."""
    loop = asyncio.get_running_loop()
    if tls is not None or isinstance(loop, asyncio.SelectorEventLoop):
        return LoopAccepting(listening, make, owner, limits.header_timeout_s, tls)
    create = loop.create_unix_server if listening.family == socket.AF_UNIX else loop.create_server
    server: Accepting = await create(make, sock=listening, backlog=BACKLOG)
    return server


class LoopAccepting:
    """Accepts and, with TLS, shakes hands. Belongs to the running loop."""

    def __init__(
        self, listening: socket.socket, make: Make, owner: Owner, timeout_s: float, tls: ssl.SSLContext | None
    ) -> None:
        listening.setblocking(False)
        self._listening = listening
        self._make = make
        self._owner = owner
        self._timeout_s = None if tls is None else timeout_s
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._resume()

    def close(self) -> None:
        """Accepts no more; handshakes under way end. Idempotent."""
        if self._listening.fileno() < 0:
            return
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listening)
        self._listening.close()
        for task in self._tasks:
            task.cancel()

    def _resume(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listening, self._accept)

    def _accept(self) -> None:
        """One connection a turn of the loop: the others are not kept waiting by a flood."""
        try:
            accepted, _ = self._listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            self._loop.remove_reader(self._listening)
            if error.errno not in LISTENS_NO_MORE:
                self._pause = self._loop.call_later(PAUSE_S, self._resume)
            return
        # Without TLS the protocol itself refuses what is too much, and says so.
        if self._tls is not None and self._owner.is_full:
            accepted.close()
            return
        accepted.setblocking(False)
        self._owner.handshakes += 1
        task = self._loop.create_task(self._shake_hands(accepted))
        self._tasks.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._owner.handshakes -= 1
        self._tasks.discard(task)

    async def _shake_hands(self, accepted: socket.socket) -> None:
        # The peer's fault, all of it, and none of anybody's business: TLS errors are OSErrors, and so is its slowness.
        with contextlib.suppress(OSError):
            await self._loop.connect_accepted_socket(
                self._make, accepted, ssl=self._tls, ssl_handshake_timeout=self._timeout_s
            )
