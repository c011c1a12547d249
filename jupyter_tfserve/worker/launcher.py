"""The engine's side of the fork server: starts it, sends it orders, hears how workers ended, restarts it.

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
from typing import Any, Final

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.worker.order import LENGTH, WorkerOrder
from jupyter_tfserve.worker.process import WorkerProcess, start_module

FORK_SERVER: Final = "jupyter_tfserve.worker.forkserver"
RECEIVE_BYTES: Final = 64 * 2**10


class ForkServerLost(ServingError):
    """The fork server ended before it forked. Asking again starts another."""

    def __init__(self) -> None:
        super().__init__(Code.UNAVAILABLE, "The fork server died before it started the worker")


class ForkServerLauncher:
    """One fork server at a time, replaced when it dies; its workers live on."""

    def __init__(self) -> None:
        self._ids = itertools.count(1)
        self._server: _Connection | None = None
        self._closed = False

    async def start(self) -> None:
        """Starts the fork server if none runs; returns before it has imported TensorFlow."""
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

    def _running(self) -> _Connection:
        """The fork server, started if need be; without an await, so that nothing is lost when cancelled."""
        if self._closed:
            raise ServingError(Code.UNAVAILABLE, "No worker can be started: the engine is stopping")
        if self._server is None:
            self._server = _Connection(*_start_fork_server(), self._lost)
        return self._server

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
        self, process: subprocess.Popen[bytes], sock: socket.socket, on_lost: Callable[[_Connection], None]
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


def _start_fork_server() -> tuple[subprocess.Popen[bytes], socket.socket]:
    """The process and our end of its socket. Blocks for some 5 ms."""
    try:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            try:
                return start_module(FORK_SERVER, [str(theirs.fileno())], [theirs]), ours
            except OSError:
                ours.close()
                raise
    except OSError as error:
        text = f"The fork server cannot be started: {error.strerror}"
        raise ServingError(Code.UNAVAILABLE, text) from error


def _reap(process: subprocess.Popen[bytes]) -> None:
    # It may be importing TensorFlow, and deaf; it holds nothing that must be put away.
    process.kill()
    process.wait()
