"""What a request's head means to the protocol: whom it names, where its page comes from, and whether it is known already.

A sender's requests often begin with the same bytes, which mean the same each time: a connection keeps the last head that
its parser has read and that was let in, and does not parse it again.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from jupyter_tfserve.dataplane.http_message import HttpRequest

MAX_KNOWN_BYTES: Final = 4096
"""Longer heads are parsed each time: an idle connection should hold little."""

_END: Final = b"\r\n\r\n"
_HOP_BY_HOP: Final = frozenset({"connection", "upgrade", "http2-settings"})
_LOCAL_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "[::1]", ""})
_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://([^/@:\[\]]+|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?")


@dataclass(slots=True)
class KnownHead:
    """A head that is `text`, and what it means; with its body a message of it has `size` bytes."""

    text: bytes
    size: int
    method: str
    target: str
    headers: Mapping[str, str]

    def again(self, message: bytes) -> HttpRequest | None:
        """The request in a message that has this head; None for any other."""
        if len(message) == self.size and message.startswith(self.text):
            return HttpRequest(self.method, self.target, self.headers, message[len(self.text) :])
        return None


def known_head(message: bytes, request: HttpRequest) -> KnownHead | None:
    """The head of what a parser between two messages has read as that request; None if it need not mean the same again.

    That is so unless its length is what the head says it is, and nothing was before it or came after it.
    """
    end = message.find(_END) + len(_END)
    headers = request.headers
    if (
        end > MAX_KNOWN_BYTES
        or message[end:] != request.body
        or "transfer-encoding" in headers
        or "expect" in headers
    ):
        return None
    return KnownHead(message[:end], len(message), request.method, request.target, headers)


def head_without_upgrade(line: tuple[str, bytes, str], headers: Mapping[str, str], keep_alive: bool) -> bytes:
    """The head of the same request, its protocol being HTTP/1.1 as before: method, target, version, then the headers.

    REQUIRES: a parser has read them: none has a line's end in it, or could be read in another way.
    """
    method, target, version = line
    kept = {name: value for name, value in headers.items() if name not in _HOP_BY_HOP}
    kept["connection"] = "keep-alive" if keep_alive else "close"
    lines = "".join([f"{name}: {value}\r\n" for name, value in kept.items()])
    return b"%b %b HTTP/%b\r\n%b\r\n" % (method.encode(), target, version.encode(), lines.encode("latin-1"))


def is_local(host: str) -> bool:
    """Whether a Host header names this machine."""
    return _name(host) in _LOCAL_HOSTS


def is_foreign(origin: str) -> bool:
    """Whether an Origin header names a page of another machine, or none that can be told."""
    match = _ORIGIN.fullmatch(origin)
    return match is None or not is_local(match[1])


def other_host(transport: asyncio.BaseTransport) -> str | None:
    """The peer's address; None if that is this machine."""
    peer = transport.get_extra_info("peername")
    host = str(peer[0]) if isinstance(peer, tuple) else None
    return None if host is None or host.startswith("127.") or host == "::1" else host


def _name(host: str) -> str:
    name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
    return "localhost" if name.lower().endswith(".localhost") else name.lower()
