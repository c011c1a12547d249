"""Short JSON messages with sockets attached, between an engine, its owner and its fork server.

Nobody can find these sockets who was not given one. Linux only. A Jupyter server imports this: nothing but sockets.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping, Sequence
from typing import Any, Final

from jupyter_tfserve.errors import invalid_argument
from jupyter_tfserve.worker.forked_children import not_for_children

MAX_MESSAGE_BYTES: Final = 4096
MAX_ATTACHED: Final = 64
_CLOSE_ON_EXEC: Final = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


def socket_pair() -> tuple[socket.socket, socket.socket]:
    """Two ends that keep messages apart."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def inherited_socket(flag: str, descriptor: int) -> socket.socket:
    """The socket of that number, which never blocks and is no child's; INVALID_ARGUMENT, naming `flag`, if it is none."""
    try:
        inherited = socket.socket(fileno=descriptor)
    except OSError as error:
        raise invalid_argument(
            f"--{flag}={descriptor} is no socket that the engine has inherited: {error.strerror}"
        ) from None
    inherited.setblocking(False)
    inherited.set_inheritable(False)
    return inherited


def send_message(
    sock: socket.socket, message: Mapping[str, Any], attached: Sequence[socket.socket] = ()
) -> bool:
    """Whether it is on its way; what is attached is the receiver's too from then on, and stays ours."""
    text, descriptors = json.dumps(message).encode(), [one.fileno() for one in attached]
    try:
        socket.send_fds(sock, [text], descriptors, socket.MSG_NOSIGNAL)
    except OSError:
        return False
    return True


def receive_message(sock: socket.socket) -> tuple[dict[str, Any], list[socket.socket]] | None:
    """(message, what came with it); None at the end, or if nothing has come where the socket does not block."""
    try:
        text, descriptors, _, _ = socket.recv_fds(sock, MAX_MESSAGE_BYTES, MAX_ATTACHED, _CLOSE_ON_EXEC)
    except OSError:
        return None
    attached = [socket.socket(fileno=descriptor) for descriptor in descriptors]
    for one in attached:
        one.set_inheritable(False)
    return (json.loads(text), attached) if text else None


class OwnerLine:
    """The owner's end of a socket to one run of the engine after the other. Never blocks.

    Neither it nor what comes over it is kept by a process that is forked from the owner.
    """

    def __init__(self) -> None:
        self._ours: socket.socket | None = None

    def open(self, message: Mapping[str, Any], attached: Sequence[socket.socket] = ()) -> socket.socket:
        """What the next run's process inherits, the message in it; the caller closes it when the process has it.

        REQUIRES: closed.
        """
        ours, theirs = socket_pair()
        ours.setblocking(False)
        self._ours = not_for_children(ours)
        send_message(ours, message, attached)
        return not_for_children(theirs)

    def close(self) -> list[tuple[dict[str, Any], list[socket.socket]]]:
        """All that the run has sent; nothing more comes of it. What is attached is the caller's to close."""
        ours, self._ours = self._ours, None
        received = []
        if ours is not None:
            with ours:
                while (message := receive_message(ours)) is not None:
                    received.append(message)
                    for one in message[1]:
                        not_for_children(one)
        return received
