"""One request to the engine's loopback port and its answer, both streamed.

Written on tornado's HTTP/1.1 connection rather than its client: the client reads an answer only after the
whole body was sent, so a refusal in the middle of a large upload would be lost, and it cannot be cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from tornado.http1connection import HTTP1Connection, HTTP1ConnectionParameters
from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, RequestStartLine, ResponseStartLine
from tornado.iostream import IOStream, StreamClosedError

from jupyter_tfserve.engine.control_call import unreachable
from jupyter_tfserve.extension.body_pipe import BodyPipe
from jupyter_tfserve.extension.engine_connections import EngineConnections

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

    def __init__(self, sink: AnswerSink, connections: EngineConnections) -> None:
        self._sink = sink
        self._connections = connections
        self._whole: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._stays_open = False

    async def run(self, head: EngineRequestHead, body: BodyPipe | None) -> None:
        """The whole answer has gone to the sink; UNAVAILABLE if the engine gave none, or not all of it."""
        try:
            stream = await self._connections.take(head.url)
            is_clean = False
            try:
                is_clean = await self._talk(stream, head, body)
            finally:
                if is_clean:
                    self._connections.put_back(head.url, stream)
                else:
                    stream.close()
        finally:
            if body is not None:
                body.leave()
        if not self._whole.done():
            raise unreachable()

    async def _talk(self, stream: IOStream, head: EngineRequestHead, body: BodyPipe | None) -> bool:
        """Whether another request may follow on the stream."""
        parameters = HTTP1ConnectionParameters(no_keep_alive=True, max_body_size=MAX_ANSWER_BYTES)
        http = HTTP1Connection(stream, True, parameters)
        sending = asyncio.ensure_future(_send(http, head, body))
        receiving = asyncio.ensure_future(http.read_response(self))
        try:
            # `receiving` lasts until the request is sent as well; an early answer need not wait for that.
            ends: set[asyncio.Future[Any]] = {receiving, self._whole}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            is_over = sending.done() and receiving.done()
            if not is_over:
                sending.cancel()
                receiving.cancel()
            await asyncio.gather(sending, receiving, return_exceptions=True)
        return is_over and self._stays_open and self._whole.done()

    async def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> None:
        """tornado's hook."""
        if isinstance(start_line, ResponseStartLine) and start_line.code >= 200:
            is_current = start_line.version == "HTTP/1.1"
            self._stays_open = is_current and headers.get("Connection", "").lower() != "close"
            self._sink.begin_answer(start_line.code, headers)

    async def data_received(self, chunk: bytes) -> None:
        """tornado's hook. What it raises is logged with a trace; a reader that left is no accident."""
        try:
            await self._sink.write_answer(chunk)
        except StreamClosedError:
            raise asyncio.CancelledError from None

    def finish(self) -> None:
        """tornado's hook: the answer is whole."""
        if not self._whole.done():
            self._whole.set_result(None)


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
