"""HTTP/1.1 on one connection: bytes to requests to bytes, on httptools (the parser that Node.js uses).

Written here because the limits are part of the promise: a peer is answered 408, 413 or 431 before it can cost
memory or time, and a request costs no more than parsing, one task and one write (an ASGI server on the same
parser answered less than half as many; docs/decisions.md). Requests of one connection are answered in order.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections import deque
from typing import cast

import httptools

from jupyter_tfserve.batching.caller import QUEUE_CALLER
from jupyter_tfserve.codec.json_models import encode_error
from jupyter_tfserve.dataplane.http_large_body import LARGE_BODY_BYTES, LargeBody
from jupyter_tfserve.dataplane.http_message import (
    HeadDoor,
    HttpRequest,
    HttpResponse,
    error_page,
    is_request_line,
    origin_form,
    response_head,
)
from jupyter_tfserve.dataplane.http_service import HttpService
from jupyter_tfserve.dataplane.pace import FullBuffer
from jupyter_tfserve.dataplane.write_parts import write_parts

logger = logging.getLogger(__name__)

_PIPELINE_HIGH_WATER = 16
_LINGER_S = 2.0
_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]", ""})
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://([^/@:\[\]]+|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?")


class HttpProtocol(asyncio.Protocol):
    """One connection. Owned by the server's loop."""

    def __init__(self, service: HttpService) -> None:
        self._service = service
        self._limits = service.limits
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        # Kept: until Python 3.12 asking for it asks the system for the process's number each time.
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[HttpRequest, bool]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._peer: str | None = None
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
        self._peer = _other_host(transport)
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
        if self._task is not None:
            self._task.cancel()
        self._service.closed(self)

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        in_head = self._in_message and not self._head_done
        if not self._in_message:
            self._since = time.monotonic()
            self._in_message = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # We speak no other protocol; the request was answered as HTTP/1.1, nothing after it is read.
            self._close_after_answers()
        except httptools.HttpParserInvalidMethodError:
            self._refuse_page(501 if is_request_line(data) else 400)
        except httptools.HttpParserError:
            self._refuse_page(400)
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
        if not self._target.startswith(b"/"):
            self._target, authority = origin_form(self._target)
            if authority:
                headers["host"] = authority
        length = headers.get("content-length", "0")
        size = int(length) if length.isdigit() else 0
        if size > self._limits.max_body_bytes:
            self._refuse_body()
        elif self._service.local_only and _host_name(headers.get("host", "")) not in _LOCAL_HOSTS:
            self._refuse(
                403, "The Host header names no local address, and this port serves only this machine"
            )
        elif "origin" in headers and not self._service.foreign_pages and self._is_foreign(headers["origin"]):
            self._refuse(403, "The Origin header names a page of another machine, and CORS is not enabled")
        elif self._service.door is not None and (refusal := self._refusal(self._service.door)) is not None:
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
        if self._closing:
            return
        self._in_message = False
        self._since = time.monotonic()
        parser = self._parser
        request = HttpRequest(
            parser.get_method().decode("latin-1"),
            self._target.decode("latin-1"),
            self._headers,
            bytes(self._body) if self._large is None else self._large.content(),
        )
        self._large = None
        self._waiting.append((request, parser.should_keep_alive()))
        if len(self._waiting) >= _PIPELINE_HIGH_WATER:
            self._transport.pause_reading()
        self._next_request()

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
        return self._task is not None or bool(self._waiting)

    def _next_request(self) -> None:
        if self._task is not None or self._full_buffer is not None or not self._waiting:
            return
        request, keep_alive = self._waiting.popleft()
        if len(self._waiting) == _PIPELINE_HIGH_WATER - 1:
            self._transport.resume_reading()
        self._task = self._loop.create_task(self._answer(request, keep_alive))

    async def _answer(self, request: HttpRequest, keep_alive: bool) -> None:
        if self._peer is not None:
            QUEUE_CALLER.set(self._peer)
        try:
            response = await self._service.handler(request)
        except Exception:
            # The request edge: whatever went wrong costs this request only.
            logger.exception("The handler of %s failed", request.method)
            response = HttpResponse(500, encode_error("Internal error; the server's log has the details"))
        keep_alive = keep_alive and not self._service.draining
        self._write(response, keep_alive, request.method == "HEAD")
        self._task = None
        if not keep_alive:
            self._close()
        elif self._waiting:
            self._next_request()
        elif self._closing:
            self._transport.close()

    def _write(self, response: HttpResponse, keep_alive: bool, head_only: bool = False) -> None:
        if self._transport.is_closing():
            return
        head = response_head(response, self._service.date, keep_alive)
        if head_only:
            self._transport.write(head)
        elif len(response.body) < 16_384:
            self._transport.write(head + response.body)
        else:
            write_parts(self._transport, (head, response.body))

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

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        self._check_head(self._head_bytes)

    def _check_head(self, size: int) -> None:
        limit = self._limits.max_header_bytes
        if size > limit:
            self._refuse(431, f"The request's header is too large; the limit is {limit} bytes")

    def _is_foreign(self, origin: str) -> bool:
        # OPTIONS asks what is allowed; a page that is not answered with permission keeps away by itself.
        is_question = self._parser.get_method() == b"OPTIONS"
        match = _ORIGIN.fullmatch(origin)
        return not is_question and (match is None or _host_name(match[1]) not in _LOCAL_HOSTS)

    def _refusal(self, door: HeadDoor) -> HttpResponse | None:
        method, target = self._parser.get_method().decode("latin-1"), self._target.decode("latin-1")
        return door(method, target, self._headers)

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

    def _close_after_answers(self) -> None:
        self._closing = True
        if not self._busy:
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
        self._in_message = False


def _host_name(host: str) -> str:
    name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
    return "localhost" if name.lower().endswith(".localhost") else name.lower()


def _other_host(transport: asyncio.BaseTransport) -> str | None:
    """The peer's address; None if that is this machine."""
    peer = transport.get_extra_info("peername")
    host = str(peer[0]) if isinstance(peer, tuple) else None
    return None if host is None or host.startswith("127.") or host == "::1" else host
