"""One request to the engine's loopback port and its answer, both streamed.

Written on tornado's HTTP/1.1 connection rather than its client: the client reads an answer only after the
whole body was sent, so a refusal in the middle of a large upload would be lost, and it cannot be cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import urlsplit

from tornado.http1connection import HTTP1Connection, HTTP1ConnectionParameters
from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, RequestStartLine, ResponseStartLine
from tornado.iostream import IOStream, StreamClosedError
from tornado.tcpclient import TCPClient

from jupyter_tfserve.engine.control_call import unreachable
from jupyter_tfserve.extension.body_pipe import BodyPipe

CONNECT_TIMEOUT_S: Final = 5.0
MAX_ANSWER_BYTES: Final = 2**50
"""No limit: the engine is ours, and its answer is never held whole."""


class AnswerSink(Protocol):
    """Where the engine's answer goes. `write` waits for a slow reader; StreamClosedError when it is gone."""

    def begin_answer(self, status: int, headers: HTTPHeaders) -> None:
        """The head of the answer."""

    def write_answer(self, chunk: bytes) -> Awaitable[None]:
        """A part of the body."""


@dataclass(frozen=True, slots=True)
class EngineRequestHead:
    """What to ask of whom: `url` is the engine's address, `target` what follows it."""

    url: str
    method: str
    target: str
    headers: HTTPHeaders


class EngineExchange(HTTPMessageDelegate):
    """Runs once. Cancelling `run` closes the connection to the engine, which drops the request there."""

    def __init__(self, sink: AnswerSink) -> None:
        self._sink = sink
        self._is_whole = asyncio.Event()

    async def run(self, head: EngineRequestHead, body: BodyPipe | None) -> None:
        """The whole answer has gone to the sink; UNAVAILABLE if the engine gave none, or not all of it."""
        try:
            stream = await _connect(head.url)
            try:
                await self._talk(stream, head, body)
            finally:
                stream.close()
        finally:
            if body is not None:
                body.leave()
        if not self._is_whole.is_set():
            raise unreachable()

    async def _talk(self, stream: IOStream, head: EngineRequestHead, body: BodyPipe | None) -> None:
        parameters = HTTP1ConnectionParameters(no_keep_alive=True, max_body_size=MAX_ANSWER_BYTES)
        http = HTTP1Connection(stream, True, parameters)
        sending = asyncio.ensure_future(_send(http, head, body))
        receiving = asyncio.ensure_future(http.read_response(self))
        whole = asyncio.ensure_future(self._is_whole.wait())
        try:
            # `receiving` lasts until the request is sent as well; an early answer need not wait for that.
            await asyncio.wait({receiving, whole}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, receiving, whole):
                task.cancel()
            await asyncio.gather(sending, receiving, whole, return_exceptions=True)

    async def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> None:
        """tornado's hook."""
        if isinstance(start_line, ResponseStartLine) and start_line.code >= 200:
            self._sink.begin_answer(start_line.code, headers)

    async def data_received(self, chunk: bytes) -> None:
        """tornado's hook. What it raises is logged with a trace; a reader that left is no accident."""
        try:
            await self._sink.write_answer(chunk)
        except StreamClosedError:
            raise asyncio.CancelledError from None

    def finish(self) -> None:
        """tornado's hook: the answer is whole."""
        self._is_whole.set()


async def _connect(url: str) -> IOStream:
    parts = urlsplit(url)
    connecting = asyncio.ensure_future(TCPClient().connect(parts.hostname or "", parts.port or 80))
    connecting.add_done_callback(_see)
    try:
        # Not `wait_for`: before Python 3.12 it forgets to be cancelled if the connection is there just then,
        # and the request of a client that has gone would wait for its body for ever.
        await asyncio.wait([connecting], timeout=CONNECT_TIMEOUT_S)
    except asyncio.CancelledError:
        connecting.add_done_callback(_close)
        raise
    finally:
        connecting.cancel()
    if connecting.cancelled() or not connecting.done() or connecting.exception() is not None:
        raise unreachable()
    stream = connecting.result()
    stream.set_nodelay(True)
    return stream


def _see(connecting: asyncio.Future[IOStream]) -> None:
    """Its failure is nobody's surprise."""
    if not connecting.cancelled():
        connecting.exception()


def _close(connecting: asyncio.Future[IOStream]) -> None:
    if not connecting.cancelled() and connecting.exception() is None:
        connecting.result().close()


async def _send(http: HTTP1Connection, head: EngineRequestHead, body: BodyPipe | None) -> None:
    try:
        await http.write_headers(RequestStartLine(head.method, head.target, "HTTP/1.1"), head.headers)
        if body is not None:
            async for chunk in body.read():
                await http.write(chunk)
        http.finish()
    except StreamClosedError:
        # Whoever reads the answer notices as well, and may still find one.
        return
