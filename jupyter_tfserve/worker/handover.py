"""How a fork server outlives a killed engine, so that the next one need not import TensorFlow again.

A fork server listens on a socket of its own, its lifeline. The engine gives the other end to its owner, who restarts
engines; the owner gives it to the next engine, which sends its own socket along it. Once its engine is gone and nobody
holds that end any more, the owner has died or restarts nothing, and the fork server ends too. The descriptors alone
say who may do what: nothing here has a name that somebody else could find.

    owner -> engine        {} or {"pid", "identity"} and the lifeline's end; once, before the engine starts
    engine -> owner        {"pid", "identity"} and the lifeline's end of each fork server that it starts
    engine -> fork server  {} and the engine's socket, along the lifeline

Linux only. A Jupyter server imports this: nothing but sockets.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
from dataclasses import dataclass
from typing import Any, Final

from jupyter_tfserve.worker.socket_messages import (
    OwnerLine,
    inherited_socket,
    receive_message,
    send_message,
)


@dataclass(frozen=True, slots=True)
class WarmServer:
    """A fork server: its process, what it was started with, and the end of its lifeline."""

    pid: int
    identity: str
    lifeline: socket.socket


class KeptForkServer:
    """The owner's side: holds on to the fork server of an engine's run for the next run. Never blocks."""

    flag: Final = "owner_socket"

    def __init__(self) -> None:
        self._kept: WarmServer | None = None
        self._line = OwnerLine()

    def end_for_engine(self) -> socket.socket:
        """What the next run's process inherits; the caller closes it when the process has it."""
        self._collect()
        return self._line.open(*_server_message(self._kept))

    def let_go(self) -> None:
        """No run follows: the fork server ends, now or with its engine."""
        self._collect()
        if self._kept is not None:
            self._kept.lifeline.close()
            self._kept = None

    def _collect(self) -> None:
        """Takes what the last run has sent, and closes its socket. The fork server started last counts."""
        for received in self._line.close():
            server = _server_of(received)
            if server is not None:
                if self._kept is not None:
                    self._kept.lifeline.close()
                self._kept = server


class OwnerSocket:
    """The engine's side of its owner. Never blocks."""

    def __init__(self, descriptor: int) -> None:
        """INVALID_ARGUMENT if the descriptor is no socket."""
        self._socket = inherited_socket(KeptForkServer.flag, descriptor)
        # Read at once: what is left unread when a socket is closed resets it, and what was given would be lost.
        self._warm = _server_of(receive_message(self._socket))

    def take(self) -> WarmServer | None:
        """The last run's fork server, which may have ended since; the first time only."""
        warm, self._warm = self._warm, None
        return warm

    def give(self, server: WarmServer) -> None:
        """Has the owner keep `server` for the next run."""
        # An owner that is gone needs no fork server, and one that does not listen gets along without.
        send_message(self._socket, *_server_message(server))

    def close(self) -> None:
        """Neither takes nor gives any more."""
        self._socket.close()
        if self._warm is not None:
            self._warm.lifeline.close()


class AdoptedProcess:
    """The process of a fork server that another engine has started: it can be ended, though not reaped."""

    def __init__(self, pid: int, pidfd: int) -> None:
        self.pid = pid
        self._pidfd = pidfd

    @classmethod
    def of(cls, server: WarmServer) -> AdoptedProcess | None:
        """None if it has ended."""
        try:
            pidfd = os.pidfd_open(server.pid)
        except (AttributeError, OSError):
            return None
        if _is_alive(server.lifeline):  # the process that we have opened is still the one that listens
            return cls(server.pid, pidfd)
        os.close(pidfd)
        return None

    def kill(self) -> None:
        """SIGKILL, unless it has ended."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def wait(self) -> None:
        """Blocks until it has ended. Of no use afterwards."""
        waiting = select.poll()
        waiting.register(self._pidfd, select.POLLIN)
        waiting.poll()
        self.close()

    def close(self) -> None:
        """Forgets it."""
        os.close(self._pidfd)


def send_engine(lifeline: socket.socket, engine: socket.socket) -> bool:
    """Whether the fork server has been sent `engine`, its end of the next engine's socket."""
    return send_message(lifeline, {}, [engine])


def receive_engine(lifeline: socket.socket) -> socket.socket | None:
    """The next engine's socket; None if there will never be one."""
    received = receive_message(lifeline)
    return received[1][0] if received is not None and received[1] else None


def _is_alive(lifeline: socket.socket) -> bool:
    """Whether somebody listens at the other end."""
    try:
        return bool(lifeline.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    except BlockingIOError:
        return True
    except OSError:
        return False


def _server_message(server: WarmServer | None) -> tuple[dict[str, Any], list[socket.socket]]:
    if server is None:
        return {}, []
    return {"pid": server.pid, "identity": server.identity}, [server.lifeline]


def _server_of(received: tuple[dict[str, Any], list[socket.socket]] | None) -> WarmServer | None:
    message, attached = received or ({}, [])
    return WarmServer(message["pid"], message["identity"], attached[0]) if attached else None
