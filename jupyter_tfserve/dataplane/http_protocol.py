"""HTTP/1.1 on one connection: bytes to requests to bytes, on httptools (the parser that Node.js uses).

Written here because the limits are part of the promise: a peer is answered 408, 413 or 431 before it can cost
memory or time, and a request costs no more than parsing and one write (an ASGI server on the same
parser answered less than half as many; docs/decisions.md). Requests of one connection are answered in order.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections import deque
from typing import cast

import httptools

from jupyter_tfserve.batching.caller import QUEUE_CALLER
from jupyter_tfserve.codec.json_models import encode_error
from jupyter_tfserve.dataplane.http_head import KnownHead, head_without_upgrade, known_head, other_host
from jupyter_tfserve.dataplane.http_large_body import LARGE_BODY_BYTES, LargeBody
from jupyter_tfserve.dataplane.http_message import (
    Begun,
    HttpRequest,
    HttpResponse,
    error_page,
    internal_error,
    is_request_line,
    origin_form,
)
from jupyter_tfserve.dataplane.http_service import HttpService
from jupyter_tfserve.dataplane.pace import FullBuffer
from jupyter_tfserve.dataplane.write_parts import write_parts

_PIPELINE_HIGH_WATER = 16
_LINGER_S = 2.0


class HttpProtocol(asyncio.Protocol):
    """One connection. Owned by the server's loop."""

    def __init__(self, service: HttpService) -> None:
        self._service = service
        self._limits = service.limits
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        # Kept: until Python 3.12 asking for it asks the system for the process's number each time.
        self._loop = asyncio.get_running_loop()
        self._context = contextvars.copy_context()
        self._waiting: deque[tuple[HttpRequest, bool]] = deque()
        self._under_way: Begun | None = None
        self._keep_alive = True
        self._head_only = False
        self._last: HttpRequest | None = None
        self._known: KnownHead | None = None
        self._closing = False
        self._full_buffer: FullBuffer | None = None
        self._linger_since: float | None = None
        self._since = time.monotonic()
        self._in_message = False
        self._target = b""
        self._large: LargeBody | None = None
        self._new_message()

    # The transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if (peer := other_host(transport)) is not None:
            self._context.run(QUEUE_CALLER.set, peer)
        if self._service.draining or len(self._service.connections) >= self._limits.max_connections:
            # Closed at once: a connection over the limit must not linger, and no sweep would find it.
            message = f"Too many connections; the limit is {self._limits.max_connections}"
            self._write(HttpResponse(503, encode_error(message)), keep_alive=False)
            self._close()
            return
        self._service.connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._closing = True
        self._waiting.clear()
        if self._under_way is not None:
            self._under_way.cancel()
        self._service.closed(self)

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        known = None if self._in_message else self._known
        if known is not None and (request := known.again(data)) is not None:
            self._take_known(request)
            return
        in_head = self._in_message and not self._head_done
        is_new = not self._in_message
        if is_new:
            self._since = time.monotonic()
            self._in_message = True
        try:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                self._ignore_upgrade(data, upgrade.args[0])
        except httptools.HttpParserInvalidMethodError:
            # After another request of the same bytes nothing tells where the one begins that is at fault.
            self._refuse_page(501 if self._last is None and is_request_line(data) else 400)
        except httptools.HttpParserError:
            self._refuse_page(400)
        else:
            if is_new and self._last is not None:
                self._known = known_head(data, self._last)
        self._last = None
        if in_head and not self._head_done:
            # The parser keeps an unfinished header line to itself: count what goes into it.
            self._unfinished_bytes += len(data)
            self._check_head(self._unfinished_bytes)
        if self._large is not None and not self._closing and self._transport.is_reading():
            self._read_into(self._large)

    def eof_received(self) -> bool:
        # A peer that closed its side has left, as far as HTTP servers can tell: its request is cancelled.
        return False

    def pause_writing(self) -> None:
        self._full_buffer = FullBuffer(self._transport, self._limits, time.monotonic())

    def resume_writing(self) -> None:
        self._full_buffer = None
        self._next_request()

    def _ignore_upgrade(self, data: bytes, at: int) -> None:
        """Reads on in HTTP/1.1, the only protocol here; from `at` on the parser has left it to another one."""
        rest = memoryview(data)
        while not self._closing:
            if not self._is_upgrade:
                # CONNECT was answered; what comes next is for somebody else.
                self.close_when_idle()
                return
            parser, rest = self._parser, rest[at:]
            line = self._method(), self._target, parser.get_http_version()
            head = head_without_upgrade(line, self._headers, parser.should_keep_alive())
            self._parser = httptools.HttpRequestParser(self)
            self._parser.feed_data(head)
            try:
                self._parser.feed_data(rest)
            except httptools.HttpParserUpgrade as upgrade:
                at = upgrade.args[0]
            else:
                return

    # The parser's side

    def on_message_begin(self) -> None:
        self._new_message()
        self._in_message = True

    def on_url(self, url: bytes) -> None:
        self._target += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count_head(len(name) + len(value))
        if self._closing:
            return
        if len(self._headers) >= self._limits.max_headers:
            self._refuse(431, f"Too many headers; the limit is {self._limits.max_headers}")
        self._headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))

    def on_headers_complete(self) -> None:
        self._head_done = True
        headers = self._headers
        if "upgrade" in headers and self._parser.should_upgrade() and self._method() != "CONNECT":
            # The parser is about to take the message for complete, and its body for another protocol.
            self._is_upgrade = True
            return
        if not self._target.startswith(b"/"):
            self._target, authority = origin_form(self._target)
            if authority:
                headers["host"] = authority
        length = headers.get("content-length", "0")
        size = int(length) if length.isdigit() else 0
        if size > self._limits.max_body_bytes:
            self._refuse_body()
        elif (
            refusal := self._service.refusal(self._method(), self._target.decode("latin-1"), headers)
        ) is not None:
            self._last_answer(refusal)
        elif "expect" in headers:
            self._expect(headers["expect"])
        if size >= LARGE_BODY_BYTES and not self._closing and "transfer-encoding" not in headers:
            self._large = LargeBody(self, size)

    def on_body(self, data: bytes) -> None:
        if self._closing:
            return
        if self._large is not None:
            self._large.add(data)
            return
        self._body += data
        if len(self._body) > self._limits.max_body_bytes:
            self._refuse_body()

    def on_message_complete(self) -> None:
        if self._closing or self._is_upgrade:
            return
        self._in_message = False
        self._since = time.monotonic()
        request = HttpRequest(
            self._method(),
            self._target.decode("latin-1"),
            self._headers,
            bytes(self._body) if self._large is None else self._large.content(),
        )
        keep_alive = self._parser.should_keep_alive()
        if not keep_alive:
            # The parser takes nothing more.
            self._known = None
        elif self._large is None:
            self._last = request
        self._large = None
        self._body.clear()
        self._take(request, keep_alive)

    def _take_known(self, request: HttpRequest) -> None:
        """Takes a request that its connection's parser, which is between two messages, has not seen."""
        door = self._service.door
        if (
            door is not None
            and (refusal := door(request.method, request.target, request.headers)) is not None
        ):
            self._last_answer(refusal)
            return
        self._since = time.monotonic()
        self._take(request, True)

    def _take(self, request: HttpRequest, keep_alive: bool) -> None:
        if self._under_way is None and self._full_buffer is None and not self._waiting:
            self._begin(request, keep_alive)
            return
        self._waiting.append((request, keep_alive))
        if len(self._waiting) >= _PIPELINE_HIGH_WATER:
            self._transport.pause_reading()

    # The large body's side

    @property
    def is_closing(self) -> bool:
        """What still comes is of no use."""
        return self._closing

    def large_body_complete(self) -> None:
        """The body that was read past the parser is whole."""
        self._read_into(self)
        self.on_message_complete()
        # The old one still waits for the body.
        self._parser = httptools.HttpRequestParser(self)

    def _read_into(self, protocol: LargeBody | HttpProtocol) -> None:
        transport = self._transport
        # uvloop looks at the kind of protocol when reading starts.
        transport.pause_reading()
        transport.set_protocol(protocol)
        transport.resume_reading()

    # Answering, one request at a time

    @property
    def _busy(self) -> bool:
        return self._under_way is not None or bool(self._waiting)

    def _next_request(self) -> None:
        if self._under_way is not None or self._full_buffer is not None or not self._waiting:
            return
        request, keep_alive = self._waiting.popleft()
        if len(self._waiting) == _PIPELINE_HIGH_WATER - 1:
            self._transport.resume_reading()
        self._begin(request, keep_alive)

    def _begin(self, request: HttpRequest, keep_alive: bool) -> None:
        self._keep_alive = keep_alive
        self._head_only = request.method == "HEAD"
        beginner, context = self._service.beginner, self._context
        if beginner is not None:
            try:
                self._under_way = context.run(beginner, request, self._reply)
            except Exception:
                # The request edge: whatever went wrong costs this request only.
                self._reply(internal_error(request))
                return
        if self._under_way is None:
            self._under_way = context.run(self._loop.create_task, self._handle(request))

    async def _handle(self, request: HttpRequest) -> None:
        try:
            response = await self._service.handler(request)
        except Exception:
            # The request edge, as above.
            response = internal_error(request)
        self._reply(response)

    def _reply(self, response: HttpResponse) -> None:
        keep_alive = self._keep_alive and not self._service.draining
        self._write(response, keep_alive, self._head_only)
        self._under_way = None
        if not keep_alive:
            self._close()
        elif self._waiting:
            # Not here: who replies may be answering others.
            self._loop.call_soon(self._next_request)
        elif self._closing:
            self._transport.close()

    def _write(self, response: HttpResponse, keep_alive: bool, head_only: bool = False) -> None:
        transport = self._transport
        if transport.is_closing() or self._linger_since is not None:
            return
        head = self._service.head(response, keep_alive)
        if head_only:
            transport.write(head)
        elif len(response.body) < 16_384:
            transport.write(head + response.body)
        else:
            write_parts(transport, (head, response.body))

    # Limits

    def check_deadlines(self, now: float) -> None:
        """Called once a second by the server: reaps peers that send, read or idle slower than allowed."""
        limits = self._limits
        if self._linger_since is not None:
            if now - self._linger_since > _LINGER_S:
                self.abort()
        elif self._full_buffer is not None:
            if self._full_buffer.is_too_slow(now):
                self.abort()
        elif self._closing or self._busy:
            return
        elif not self._in_message:
            if now - self._since > limits.idle_timeout_s:
                self._close()
        else:
            self._check_message(now - self._since)

    def _check_message(self, age_s: float) -> None:
        allowed_s = self._limits.header_timeout_s
        if self._head_done:
            received = len(self._body) if self._large is None else self._large.received
            allowed_s += received / self._limits.min_body_bytes_per_s
        if age_s > allowed_s:
            part = "body" if self._head_done else "header"
            self._refuse(408, f"The request's {part} came too slowly")

    def close_when_idle(self) -> None:
        """Closes now, or after the answers that are under way."""
        if self._busy:
            self._closing = True
        else:
            self._close()

    def abort(self) -> None:
        """Cuts the connection."""
        self._closing = True
        self._transport.abort()

    def _method(self) -> str:
        return str(self._parser.get_method(), "latin-1")

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        self._check_head(self._head_bytes)

    def _check_head(self, size: int) -> None:
        limit = self._limits.max_header_bytes
        if size > limit:
            self._refuse(431, f"The request's header is too large; the limit is {limit} bytes")

    def _refuse_body(self) -> None:
        limit = self._limits.max_body_bytes
        self._refuse(413, f"The request's body is too large; the limit is {limit} bytes")

    def _expect(self, value: str) -> None:
        if value.lower() == "100-continue":
            if not self._busy:
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        else:
            self._refuse_page(417)

    def _refuse(self, status: int, message: str) -> None:
        self._last_answer(HttpResponse(status, encode_error(message)))

    def _refuse_page(self, status: int) -> None:
        self._last_answer(error_page(status))

    def _last_answer(self, response: HttpResponse) -> None:
        """Answers out of turn and closes; requests already under way on this connection lose theirs."""
        if self._closing:
            return
        self._write(response, keep_alive=False)
        self._closing = True
        self._waiting.clear()
        if self._transport.can_write_eof():
            # Closing at once, with unread bytes of the request, would reset the connection under the answer.
            self._linger_since = time.monotonic()
            self._transport.write_eof()
        else:
            self._transport.close()

    def _close(self) -> None:
        self._closing = True
        self._waiting.clear()
        self._transport.close()

    def _new_message(self) -> None:
        self._target = b""
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._large = None
        self._head_bytes = 0
        self._unfinished_bytes = 0
        self._head_done = False
        self._is_upgrade = False
        self._in_message = False
