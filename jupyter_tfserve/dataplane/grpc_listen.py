"""Where gRPC listens: TCP ports and Unix sockets, and what is told when one cannot be had."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import stat
from typing import Final

from jupyter_tfserve.dataplane.listening import BACKLOG
from jupyter_tfserve.errors import Code, ServingError

_SOCKET_MODE: Final = 0o600

logger = logging.getLogger(__name__)


def listen_tcp(host: str, port: int, reuse_port: bool) -> list[socket.socket]:
    """Listening sockets on every address of `host`, all on one port (0: a free one). Asks the resolver for a name.

    UNAVAILABLE if one cannot be had; nothing listens then. With `reuse_port` others may listen there as well.
    """
    bound: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, address in dict.fromkeys((one[0], one[4]) for one in found):
            chosen = bound[0].getsockname()[1] if bound else port
            bound.append(_listening(family, (address[0], chosen, *address[2:]), reuse_port))
    except OSError as error:
        for one in bound:
            one.close()
        if error.errno == errno.EADDRINUSE:
            raise ServingError(Code.UNAVAILABLE, f"gRPC port {port} is already in use") from None
        raise cannot_listen(f"on {_shown(host, port)}") from None
    return bound


def _listening(family: socket.AddressFamily, address: tuple[object, ...], reuse_port: bool) -> socket.socket:
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
        listening.setblocking(False)
    except OSError:
        listening.close()
        raise
    return listening


def listen_unix(path: str) -> socket.socket:
    """A listening socket of mode 0600 at `path`, in the place of one that is there. UNAVAILABLE if it can't be."""
    # Upstream's server removes whatever socket it finds there: scripts start one after another on the same path,
    # and expect the last to have it.
    if _is_served(path):
        logger.warning("Another server listens on the socket %s; from now on this one has it", path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # From its first moment on the socket is its user's alone. Folders that a thread makes meanwhile can be entered.
    mask = os.umask(0o077)
    try:
        if _is_socket(path):
            os.unlink(path)
        listening.bind(path)
        os.chmod(path, _SOCKET_MODE)
        listening.listen(BACKLOG)
        listening.setblocking(False)
    except OSError:
        listening.close()
        raise cannot_listen(f"on the socket {path}") from None
    finally:
        os.umask(mask)
    return listening


def remove_unix(path: str, inode: int) -> None:
    """Removes the socket's file unless another server has taken it over meanwhile."""
    with contextlib.suppress(OSError):
        if os.stat(path).st_ino == inode:
            os.unlink(path)


def cannot_listen(where: str, hint: str | None = None) -> ServingError:
    """UNAVAILABLE, naming the place."""
    return ServingError(Code.UNAVAILABLE, f"gRPC cannot listen {where}", hint)


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False


def _is_served(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True
