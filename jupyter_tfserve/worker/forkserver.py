"""The warm parent of the workers: `python -m jupyter_tfserve.worker.forkserver FD`.

Imports TensorFlow once, then forks a worker per order, so that a version is ready 0.05 s after it was asked
for and shares TensorFlow's memory with the others. Not multiprocessing's fork server: no pickle, no re-import
of `__main__`, exit statuses reported. It never makes a TensorFlow session, whose threads would not survive a
fork, and does nothing but wait, fork and reap.

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
from collections.abc import Iterator
from typing import Any

from jupyter_tfserve.worker.main import import_quietly, serve
from jupyter_tfserve.worker.order import LENGTH, MAX_SOCKETS, WorkerOrder


class ForkServer:
    """Forks and reaps, on one thread. `control` is the engine's socket."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_reader.setblocking(False)
        self._wake_writer.setblocking(False)

    def run(self) -> None:
        """Serves orders until the engine is gone. Workers that still run see its end by themselves."""
        signal.set_wakeup_fd(self._wake_writer.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        _tell(self._control, {"ready": True})
        waiting = select.poll()
        waiting.register(self._control, select.POLLIN)
        waiting.register(self._wake_reader, select.POLLIN)
        while True:
            for descriptor, _ in waiting.poll():
                if descriptor == self._wake_reader.fileno():
                    self._reap()
                elif not self._take_order():
                    return

    def _take_order(self) -> bool:
        """False when the engine is gone."""
        head, descriptors, _, _ = socket.recv_fds(self._control, LENGTH.size, MAX_SOCKETS)
        text = _receive(self._control, LENGTH.unpack(head)[0]) if len(head) == LENGTH.size else b""
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
            _tell(self._control, {"spawned": message["id"], "pid": pid})
        return True

    def _become_worker(self, order: dict[str, Any], sockets: list[socket.socket]) -> None:
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            # The engine must see this server's end, and the server the engine's, whatever its workers do.
            for ours in (self._control, self._wake_reader, self._wake_writer):
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
            _tell(self._control, {"exited": pid, "status": status})


def _tell(control: socket.socket, message: dict[str, Any]) -> None:
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
    """Runs the fork server on the inherited socket whose number is the only argument."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    control = socket.socket(fileno=int(sys.argv[1]))
    try:
        import_tensorflow()
    except Exception as error:  # the loader call: a broken installation raises anything, not only ImportError
        _tell(control, {"broken": str(error).partition("\n")[0]})
        return
    ForkServer(control).run()


if __name__ == "__main__":
    main()
    os._exit(0)
