"""Requests that are begun without a coroutine, over real sockets: their order, their peers that leave, their faults."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest

from jupyter_tfserve.batching.caller import QUEUE_CALLER
from jupyter_tfserve.dataplane import http_protocol
from jupyter_tfserve.dataplane.http_message import HttpRequest, HttpResponse, Reply
from jupyter_tfserve.dataplane.http_server import HttpServer
from jupyter_tfserve.options import LimitOptions

TIMEOUT_S = 20


class Begun:
    """What was begun, answered when the test says so."""

    def __init__(self, request: HttpRequest, reply: Reply) -> None:
        self.request = request
        self.caller = QUEUE_CALLER.get()
        self.cancelled = asyncio.Event()
        self._reply = reply

    def cancel(self) -> None:
        self.cancelled.set()

    def answer(self) -> None:
        self._reply(HttpResponse(200, self.request.target.encode(), "text/plain"))


class Beginner:
    """Begins whatever is below /begin, except what is broken."""

    def __init__(self) -> None:
        self.begun: asyncio.Queue[Begun] = asyncio.Queue()

    def __call__(self, request: HttpRequest, reply: Reply) -> Begun | None:
        if request.target.startswith("/broken"):
            raise ZeroDivisionError
        if not request.target.startswith("/begin"):
            return None
        begun = Begun(request, reply)
        self.begun.put_nowait(begun)
        return begun

    async def next(self) -> Begun:
        return await asyncio.wait_for(self.begun.get(), TIMEOUT_S)


async def handler(request: HttpRequest) -> HttpResponse:
    return HttpResponse(200, b"handled " + request.target.encode(), "text/plain")


@contextlib.asynccontextmanager
async def connected() -> AsyncIterator[tuple[Beginner, asyncio.StreamReader, asyncio.StreamWriter]]:
    beginner = Beginner()
    server = HttpServer(handler, LimitOptions())
    server.put_before(handler, None, beginner)
    port = await server.start("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield beginner, reader, writer
    finally:
        writer.close()
        await server.stop(1)


def get(target: str) -> bytes:
    return f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


async def body_of(reader: asyncio.StreamReader) -> bytes:
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), TIMEOUT_S)
    length = next(line for line in head.split(b"\r\n") if line.startswith(b"Content-Length"))
    return await asyncio.wait_for(reader.readexactly(int(length.split(b" ")[1])), TIMEOUT_S)


async def test_pipelined_requests_are_begun_and_answered_one_after_another() -> None:
    async with connected() as (beginner, reader, writer):
        writer.write(get("/begin/1") + get("/other") + get("/begin/2"))
        first = await beginner.next()
        assert beginner.begun.empty()
        first.answer()
        assert await body_of(reader) == b"/begin/1"
        assert await body_of(reader) == b"handled /other"
        (await beginner.next()).answer()
        assert await body_of(reader) == b"/begin/2"


async def test_begun_request_is_cancelled_when_its_peer_leaves() -> None:
    async with connected() as (beginner, _, writer):
        writer.write(get("/begin"))
        begun = await beginner.next()
        writer.close()
        await asyncio.wait_for(begun.cancelled.wait(), TIMEOUT_S)
        begun.answer()  # too late, and harmless


async def test_late_answer_is_dropped_when_the_connection_was_refused_meanwhile() -> None:
    async with connected() as (beginner, reader, writer):
        writer.write(get("/begin"))
        begun = await beginner.next()
        writer.write(b"NOISE\r\n\r\n")
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n"), TIMEOUT_S)
        begun.answer()
        assert answer.startswith(b"HTTP/1.1 400")
        assert b"/begin" not in await asyncio.wait_for(reader.read(), TIMEOUT_S)


async def test_request_is_answered_500_when_it_cannot_be_begun(caplog: pytest.LogCaptureFixture) -> None:
    async with connected() as (beginner, reader, writer):
        writer.write(get("/broken"))
        assert b"Internal error" in await body_of(reader)
        writer.write(get("/begin"))
        (await beginner.next()).answer()
        assert await body_of(reader) == b"/begin"
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(("host", "caller"), [(None, None), ("10.0.0.7", "10.0.0.7")])
async def test_queue_knows_the_caller_by_its_host(
    monkeypatch: pytest.MonkeyPatch, host: str | None, caller: str | None
) -> None:
    other_host: Callable[[object], str | None] = lambda _: host  # noqa: E731
    monkeypatch.setattr(http_protocol, "other_host", other_host)
    async with connected() as (beginner, reader, writer):
        for _ in range(2):
            writer.write(get("/begin"))
            begun = await beginner.next()
            begun.answer()
            assert begun.caller == caller
            assert await body_of(reader) == b"/begin"
    assert QUEUE_CALLER.get() is None
