"""The end of listening sockets, which other processes may hold as well."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable
from typing import Final

BACKLOG: Final = 1024
"""How many connections may wait to be accepted."""


def end_listening(sockets: Iterable[socket.socket]) -> None:
    """Connections are refused from now on, whoever else holds the sockets. They are still to be closed."""
    for one in sockets:
        # The kernel goes on taking connections for as long as anybody holds the socket, an engine's owner for one.
        # Not every system knows this of a socket that listens; where it does not, nobody else holds it.
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
