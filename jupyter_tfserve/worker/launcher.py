"""The engine's side of the fork server: adopts or starts it, sends it orders, hears how workers ended, restarts it.

Belongs to the engine's event loop. Imports no TensorFlow.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import socket
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, Final, Protocol

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.worker.handover import (
    AdoptedProcess,
    OwnerSocket,
    WarmServer,
    send_engine,
)
from jupyter_tfserve.worker.identity import fork_server_identity
from jupyter_tfserve.worker.order import LENGTH, WorkerOrder
from jupyter_tfserve.worker.process import WorkerProcess, start_module, worker_environment
from jupyter_tfserve.worker.socket_messages import socket_pair

FORK_SERVER: Final = "jupyter_tfserve.worker.forkserver"
RECEIVE_BYTES: Final = 64 * 2**10
ADOPTION_S: Final = 10.0
"""How long the last engine's fork server may take to answer this one; then another is started."""


class ForkServerLost(ServingError):
    """The fork server ended before it forked. Asking again starts another."""

    def __init__(self) -> None:
        super().__init__(Code.UNAVAILABLE, "The fork server died before it started the worker")


class ServerProcess(Protocol):
    """A fork server's process."""

    def kill(self) -> None:
        """SIGKILL, unless it has ended."""

    def wait(self) -> object:
        """Blocks until it has ended."""


class ForkServerLauncher:
    """One fork server at a time, replaced when it dies; its workers live on.

    With an `owner` the first one is the last engine's, if that is still there and the same that would be started;
    and those that are started wait for the next engine when this one dies.
    """

    def __init__(self, owner: OwnerSocket | None = None) -> None:
        self._owner = owner
        self._identity = "" if owner is None else fork_server_identity(worker_environment())
        self._ids = itertools.count(1)
        self._server: _Connection | None = None
        self._closed = False

    async def start(self) -> None:
        """Adopts or starts a fork server if none runs; returns before it has imported TensorFlow."""
        self._running()

    async def ready(self) -> None:
        """Waits until TensorFlow has been imported; FAILED_PRECONDITION if it can't be."""
        try:
            await self._running().ready()
        except ForkServerLost:
            await self._running().ready()

    async def launch(self, order: WorkerOrder, sockets: Sequence[socket.socket]) -> WorkerProcess:
        """A process that has `sockets`, control, side, then its lanes, and follows `order`.

        A fork server that dies meanwhile is replaced and asked once more.
        """
        try:
            return await self._running().ask(next(self._ids), order, sockets)
        except ForkServerLost:
            return await self._running().ask(next(self._ids), order, sockets)

    async def close(self) -> None:
        """The fork server is gone afterwards; workers are not touched."""
        self._closed = True
        if self._server is not None:
            await self._server.close()
        if self._owner is not None:
            self._owner.close()

    def _running(self) -> _Connection:
        """The fork server, started if need be; without an await, so that nothing is lost when cancelled."""
        if self._closed:
            raise ServingError(Code.UNAVAILABLE, "No worker can be started: the engine is stopping")
        if self._server is None:
            self._server = self._adopt() or self._start()
        return self._server

    def _adopt(self) -> _Connection | None:
        """The last engine's fork server; one that would be started otherwise now is ended."""
        warm = None if self._owner is None else self._owner.take()
        if warm is None:
            return None
        with warm.lifeline:
            process = AdoptedProcess.of(warm)
            if process is None:
                return None
            ours, theirs = _pair()
            with theirs:
                if warm.identity == self._identity and send_engine(warm.lifeline, theirs):
                    connection = _Connection(process, ours, self._lost)
                    connection.expect_ready(ADOPTION_S)
                    return connection
        ours.close()
        process.kill()
        process.close()
        return None

    def _start(self) -> _Connection:
        """A process of this engine's own. Blocks for some 5 ms."""
        try:
            ours, theirs = _pair()
            with theirs:
                try:
                    process = self._started(theirs)
                except OSError:
                    ours.close()
                    raise
        except OSError as error:
            text = f"The fork server cannot be started: {error.strerror}"
            raise ServingError(Code.UNAVAILABLE, text) from error
        return _Connection(process, ours, self._lost)

    def _started(self, theirs: socket.socket) -> subprocess.Popen[bytes]:
        if self._owner is None:
            return start_module(FORK_SERVER, [str(theirs.fileno())], [theirs])
        lifeline, end = socket_pair()
        with lifeline, end:
            inherited = [theirs, lifeline]
            process = start_module(FORK_SERVER, [str(each.fileno()) for each in inherited], inherited)
            self._owner.give(WarmServer(process.pid, self._identity, end))
        return process

    def _lost(self, server: _Connection) -> None:
        self._server = None
        # One that died before it was ready would die again: the next order tries, not a loop.
        if server.was_ready and not self._closed:
            # The next order starts it as well, and has a caller who can be told why it can't.
            with contextlib.suppress(ServingError):
                self._running()


class _Connection:
    """One fork server process and the socket to it."""

    def __init__(
        self, process: ServerProcess, sock: socket.socket, on_lost: Callable[[_Connection], None]
    ) -> None:
        self._process = process
        self._sock = sock
        self._on_lost = on_lost
        self._orders: dict[int, asyncio.Future[WorkerProcess]] = {}
        self._workers: dict[int, WorkerProcess] = {}
        self._received = b""
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[ServingError | None] = self._loop.create_future()
        self._gone: asyncio.Task[None] | None = None
        self._loop.add_reader(sock, self._read)

    @property
    def was_ready(self) -> bool:
        """It has imported TensorFlow, whatever came after."""
        return self._ready.done() and self._ready.result() is None

    def expect_ready(self, timeout_s: float) -> None:
        """It is lost if it is not ready by then."""

        def lose_if_silent() -> None:
            if not self._ready.done():
                self._lose()

        self._loop.call_later(timeout_s, lose_if_silent)

    async def ready(self) -> None:
        await asyncio.wait([self._ready])
        error = self._ready.result()
        if error is not None:
            raise error

    async def ask(self, number: int, order: WorkerOrder, sockets: Sequence[socket.socket]) -> WorkerProcess:
        text = json.dumps({"id": number, "order": asdict(order)}).encode()
        answer: asyncio.Future[WorkerProcess] = self._loop.create_future()
        self._orders[number] = answer
        try:
            message = LENGTH.pack(len(text)) + text
            sent = socket.send_fds(self._sock, [message], [one.fileno() for one in sockets])
            if sent < len(message):
                self._lose()
            return await answer
        except BlockingIOError:
            raise ServingError(Code.RESOURCE_EXHAUSTED, "Too many versions are being started") from None
        except OSError:
            raise ForkServerLost from None
        finally:
            self._orders.pop(number, None)

    async def close(self) -> None:
        self._lose()
        if self._gone is not None:
            await self._gone

    def _read(self) -> None:
        try:
            received = self._sock.recv(RECEIVE_BYTES)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            received = b""
        if not received:
            return self._lose()
        *lines, self._received = (self._received + received).split(b"\n")
        for line in lines:
            self._hear(json.loads(line))
        return None

    def _hear(self, message: dict[str, Any]) -> None:
        if "ready" in message:
            self._ready.set_result(None)
        elif "broken" in message:
            text = f"TensorFlow cannot be imported: {message['broken']}"
            self._ready.set_result(ServingError(Code.FAILED_PRECONDITION, text))
        elif "spawned" in message:
            self._spawned(message["spawned"], message["pid"])
        elif "failed" in message:
            answer = self._orders.get(message["failed"])
            if answer is not None and not answer.done():
                text = f"No process can be started: {message['reason']}"
                answer.set_exception(ServingError(Code.RESOURCE_EXHAUSTED, text))
        elif "exited" in message:
            worker = self._workers.pop(message["exited"], None)
            if worker is not None:
                worker.end(message["status"])

    def _spawned(self, number: int, pid: int) -> None:
        worker = WorkerProcess(pid)
        self._workers[pid] = worker
        answer = self._orders.get(number)
        if answer is not None and not answer.done():
            answer.set_result(worker)
        # Else the order was cancelled: its sockets are closed, which ends the worker.

    def _lose(self) -> None:
        if self._gone is not None:
            return
        self._loop.remove_reader(self._sock)
        self._sock.close()
        if not self._ready.done():
            self._ready.set_result(ForkServerLost())
        for answer in self._orders.values():
            if not answer.done():
                answer.set_exception(ForkServerLost())
        for worker in self._workers.values():
            worker.watch_alone()
        self._gone = self._loop.create_task(asyncio.to_thread(_reap, self._process))
        self._on_lost(self)


def _pair() -> tuple[socket.socket, socket.socket]:
    """Our end, that never blocks, and the fork server's."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    return ours, theirs


def _reap(process: ServerProcess) -> None:
    # It may be importing TensorFlow, and deaf; it holds nothing that must be put away.
    process.kill()
    process.wait()
