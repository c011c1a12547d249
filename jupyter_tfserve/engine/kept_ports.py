"""How an engine's ports outlive it: who connects while the next one starts waits for it instead of being refused.

An engine gives the sockets that it listens on to its owner, who restarts engines; the owner gives them to the next one.
Between the two the system completes connections into the sockets' backlog. An engine that ends in order ends their
listening for all who hold them (`dataplane.listening`), so that nobody waits for an engine that will not come.

    owner -> engine   {"rest": n, "grpc": n} and so many sockets; once, before the engine starts
    engine -> owner   the same, when its ports are open

Linux only. A Jupyter server imports this: nothing but sockets.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from jupyter_tfserve.dataplane.listening import end_listening
from jupyter_tfserve.worker.socket_messages import (
    MAX_ATTACHED,
    OwnerLine,
    inherited_socket,
    receive_message,
    send_message,
)


@dataclass(frozen=True, slots=True)
class ListeningSockets:
    """The TCP sockets that an engine listens on, by protocol."""

    rest: tuple[socket.socket, ...] = ()
    grpc: tuple[socket.socket, ...] = ()

    @property
    def all(self) -> tuple[socket.socket, ...]:
        """Both protocols'."""
        return self.rest + self.grpc

    def close(self) -> None:
        """Lets go of them."""
        for one in self.all:
            one.close()


class KeptPorts:
    """The owner's side: holds on to the listening sockets of an engine's run for the next run. Never blocks."""

    flag: Final = "owner_ports"

    def __init__(self) -> None:
        self._kept = ListeningSockets()
        self._line = OwnerLine()

    def end_for_engine(self) -> socket.socket:
        """What the next run's process inherits; the caller closes it when the process has it."""
        self._collect()
        return self._line.open(_counts(self._kept), self._kept.all)

    def let_go(self) -> None:
        """No run follows: connections are refused, also if a process that was forked from this one has the sockets."""
        self._collect()
        end_listening(self._kept.all)
        self._kept.close()
        self._kept = ListeningSockets()

    def _collect(self) -> None:
        """Takes what the last run has sent, and closes its socket."""
        for received in self._line.close():
            self._kept.close()
            self._kept = _sockets(received)


class OwnerPorts:
    """The engine's side of its owner. Never blocks."""

    def __init__(self, descriptor: int) -> None:
        """INVALID_ARGUMENT if the descriptor is no socket."""
        self._socket = inherited_socket(KeptPorts.flag, descriptor)
        # Read at once: what is left unread when a socket is closed resets it, and what was given would be lost.
        self._kept = _sockets(receive_message(self._socket))

    def take(self) -> ListeningSockets:
        """The last run's sockets, which are the caller's then; the first time only.

        None of a protocol whose sockets do not listen any more, because that run ended in order.
        """
        kept, self._kept = self._kept, ListeningSockets()
        return ListeningSockets(_listening(kept.rest), _listening(kept.grpc))

    def give(self, sockets: ListeningSockets) -> None:
        """Has the owner keep `sockets` for the next run; they stay ours as well."""
        # A name with that many addresses is served all the same, and refuses connections during a restart.
        if len(sockets.all) <= MAX_ATTACHED:
            send_message(self._socket, _counts(sockets), sockets.all)

    def close(self) -> None:
        """Neither takes nor gives any more."""
        self._socket.close()
        self._kept.close()


def _counts(sockets: ListeningSockets) -> dict[str, int]:
    return {"rest": len(sockets.rest), "grpc": len(sockets.grpc)}


def _sockets(received: tuple[dict[str, Any], list[socket.socket]] | None) -> ListeningSockets:
    if received is None:
        return ListeningSockets()
    message, attached = received
    rest = int(message["rest"])
    return ListeningSockets(tuple(attached[:rest]), tuple(attached[rest:]))


def _listening(sockets: Sequence[socket.socket]) -> tuple[socket.socket, ...]:
    """All of them, or none."""
    if all(one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) for one in sockets):
        return tuple(sockets)
    for one in sockets:
        one.close()
    return ()
