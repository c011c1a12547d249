"""Connections to engines' loopback ports, kept between requests: making one takes as long as half of a request."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from tornado.iostream import IOStream

from jupyter_tfserve.engine.control_call import unreachable

CONNECT_TIMEOUT_S: Final = 5.0
MAX_IDLE: Final = 16
MAX_IDLE_S: Final = 60.0
"""Much shorter than the engine's own patience, so that it never closes one that is just taken."""


@dataclass(frozen=True, slots=True)
class _Idle:
    url: str
    stream: IOStream
    since: float


class EngineConnections:
    """REQUIRES: used on the Jupyter server's event loop only."""

    def __init__(self) -> None:
        self._idle: deque[_Idle] = deque()

    @property
    def idle(self) -> int:
        """How many are kept."""
        return len(self._idle)

    async def take(self, url: str) -> IOStream:
        """One that is nobody else's, kept or new; UNAVAILABLE. Whoever takes it closes it or puts it back."""
        self._drop_old()
        for kept in reversed(self._idle):
            if kept.url == url:
                self._idle.remove(kept)
                kept.stream.set_close_callback(None)
                return kept.stream
        return await _connect(url)

    def put_back(self, url: str, stream: IOStream) -> None:
        """The connection is kept for the next. REQUIRES: what was asked on it is answered to the last byte."""
        if stream.closed():
            return
        kept = _Idle(url, stream, time.monotonic())
        self._idle.append(kept)
        # An engine that stops or dies closes it, and the next on the same port must not be asked on it.
        stream.set_close_callback(partial(self._forget, kept))
        if len(self._idle) > MAX_IDLE:
            self._drop_first()

    def close(self) -> None:
        """None is kept."""
        while self._idle:
            self._drop_first()

    def _forget(self, kept: _Idle) -> None:
        if kept in self._idle:
            self._idle.remove(kept)

    def _drop_old(self) -> None:
        oldest = time.monotonic() - MAX_IDLE_S
        while self._idle and self._idle[0].since < oldest:
            self._drop_first()

    def _drop_first(self) -> None:
        stream = self._idle.popleft().stream
        stream.set_close_callback(None)
        stream.close()


async def _connect(url: str) -> IOStream:
    """A new connection. The address is a number: asking a resolver would take a thread."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    stream = IOStream(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET))
    try:
        connecting = stream.connect((host, parts.port or 80))
        # Not `wait_for`: before Python 3.12 it forgets to be cancelled if the connection is there just then,
        # and the request of a client that has gone would wait for its body for ever.
        await asyncio.wait([connecting], timeout=CONNECT_TIMEOUT_S)
        if not connecting.done() or connecting.exception() is not None:
            raise unreachable()
    except BaseException:
        stream.close()
        raise
    stream.set_nodelay(True)
    return stream
