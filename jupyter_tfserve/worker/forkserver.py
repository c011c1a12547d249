"""The warm parent of the workers: `python -m jupyter_tfserve.worker.forkserver FD [LIFELINE_FD]`.

Imports TensorFlow once, then forks a worker per order, so that a version is ready 0.05 s after it was asked
for and shares TensorFlow's memory with the others. Not multiprocessing's fork server: no pickle, no re-import
of `__main__`, exit statuses reported. It never makes a TensorFlow session, whose threads would not survive a
fork, and does nothing but wait, fork and reap. With a lifeline (`handover`) it serves one engine after the other:
when one has died its workers are ended, and the next one has HANDOVER_S to come.

    engine -> here   length (u32), JSON {"id", "order"}, the worker's sockets: control, side, then its lanes
    here -> engine   JSON lines: {"ready": true}, {"broken": reason}, {"spawned": id, "pid"},
                     {"failed": id, "reason"}, {"exited": pid, "status"}    status: negative for a signal
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import random
import select
import signal
import socket
import sys
import time
from collections.abc import Iterator
from typing import Any, Final

from jupyter_tfserve.worker.handover import receive_engine
from jupyter_tfserve.worker.main import import_quietly, serve
from jupyter_tfserve.worker.order import LENGTH, MAX_SOCKETS, WorkerOrder

HANDOVER_S: Final = 30.0
"""How long a fork server without an engine waits for the next one; what it holds of memory is free then."""
END_S: Final = 2.0
"""How long it waits for killed workers to be gone, so that their memory is there for the next engine's."""


class ForkServer:
    """Forks and reaps, on one thread. `control` is the engine's socket."""

    def __init__(self, control: socket.socket, lifeline: socket.socket | None = None) -> None:
        self._control = control
        self._lifeline = lifeline
        self._workers: set[int] = set()
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_reader.setblocking(False)
        self._wake_writer.setblocking(False)

    def run(self) -> None:
        """Serves orders until the engine is gone and no other follows. Workers see their engine's end by themselves."""
        signal.set_wakeup_fd(self._wake_writer.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        while True:
            _tell(self._control, {"ready": True})
            self._serve()
            self._control.close()
            if self._lifeline is None:
                return
            self._end_workers()
            engine = _next_engine(self._lifeline)
            if engine is None:
                return
            self._control = engine

    def _serve(self) -> None:
        """Returns when the engine is gone."""
        waiting = _poll(self._control, self._wake_reader)
        while True:
            for descriptor, _ in waiting.poll():
                if descriptor == self._wake_reader.fileno():
                    self._reap()
                elif not self._take_order():
                    return

    def _end_workers(self) -> None:
        for pid in self._workers:  # not reaped yet, so the numbers are theirs
            os.kill(pid, signal.SIGKILL)
        waiting = _poll(self._wake_reader)
        deadline = time.monotonic() + END_S
        while self._workers and (left_s := deadline - time.monotonic()) > 0:
            waiting.poll(left_s * 1000)
            self._reap()

    def _take_order(self) -> bool:
        """False when the engine is gone."""
        try:
            head, descriptors, _, _ = socket.recv_fds(self._control, LENGTH.size, MAX_SOCKETS)
            text = _receive(self._control, LENGTH.unpack(head)[0]) if len(head) == LENGTH.size else b""
        except ConnectionResetError:  # it was killed with something of ours unread
            return False
        if not text:
            return False
        sockets = [socket.socket(fileno=descriptor) for descriptor in descriptors]
        message = json.loads(text)
        try:
            pid = os.fork()
        except OSError as error:
            _tell(self._control, {"failed": message["id"], "reason": error.strerror})
            pid = -1
        if pid == 0:
            self._become_worker(message["order"], sockets)
        for one in sockets:
            one.close()
        if pid > 0:
            self._workers.add(pid)
            _tell(self._control, {"spawned": message["id"], "pid": pid})
        return True

    def _become_worker(self, order: dict[str, Any], sockets: list[socket.socket]) -> None:
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            # The engine must see this server's end, and the server the engine's, whatever its workers do.
            for ours in (self._control, self._lifeline, self._wake_reader, self._wake_writer):
                if ours is not None:
                    ours.close()
            random.seed()
            serve(WorkerOrder(**order), sockets[0], sockets[1], sockets[2:])
            status = 0
        finally:
            # Never back into the parent's loop, and no exit handlers: they are the parent's.
            os._exit(status)

    def _reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._wake_reader.recv(4096):
                pass
        for pid, status in _ended_children():
            self._workers.discard(pid)
            _tell(self._control, {"exited": pid, "status": status})


def _poll(*sockets: socket.socket) -> select.poll:
    waiting = select.poll()
    for each in sockets:
        waiting.register(each, select.POLLIN)
    return waiting


def _next_engine(lifeline: socket.socket) -> socket.socket | None:
    """None if nobody holds the lifeline's other end any more, or nobody has come."""
    return receive_engine(lifeline) if _poll(lifeline).poll(HANDOVER_S * 1000) else None


def _tell(control: socket.socket, message: dict[str, Any]) -> None:
    if control.fileno() < 0:  # between two engines
        return
    # An engine that is gone shows as the end of its socket, in `run`.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        control.sendall(json.dumps(message).encode() + b"\n")


def _ended_children() -> Iterator[tuple[int, int]]:
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            yield pid, os.waitstatus_to_exitcode(status)


def _receive(sock: socket.socket, size: int) -> bytes:
    """Exactly `size` bytes, or none at the end of the stream."""
    parts = bytearray()
    while len(parts) < size:
        part = sock.recv(size - len(parts))
        if not part:
            return b""
        parts += part
    return bytes(parts)


def import_tensorflow() -> None:
    """Everything that a worker imports is in memory afterwards, out of the garbage collector's reach."""
    import_quietly()
    # A fork copies a page when its objects' collector fields change: freeze them.
    gc.collect()
    gc.freeze()


def main() -> None:
    """Runs the fork server on the inherited sockets whose numbers are the arguments."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    control, *lifelines = [socket.socket(fileno=int(number)) for number in sys.argv[1:]]
    try:
        import_tensorflow()
    except Exception as error:  # the loader call: a broken installation raises anything, not only ImportError
        _tell(control, {"broken": str(error).partition("\n")[0]})
        return
    ForkServer(control, *lifelines).run()


if __name__ == "__main__":
    main()
    os._exit(0)
