"""A gRPC client made of frames, over a real socket, and a server whose one method answers as it is told."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

from hpack import Decoder

from jupyter_tfserve.dataplane.grpc_options import server_arguments
from jupyter_tfserve.dataplane.grpc_server import GrpcServer
from jupyter_tfserve.dataplane.http2.frames import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    Setting,
    frame,
    read_head,
    settings_frame,
)
from jupyter_tfserve.dataplane.http2.header_blocks import header_block
from jupyter_tfserve.options import GrpcOptions, LimitOptions, ListenOptions

ECHO = "/test.Echo/Echo"
DEADLINE_S = 20
Answer = Callable[[bytes, Any], Awaitable[bytes]]


class Frame(NamedTuple):
    kind: int
    flags: int
    stream: int
    payload: bytes


def call_headers(path: str = ECHO, **more: str) -> list[tuple[bytes, bytes]]:
    """A call's headers; a `more` that is empty leaves that one out."""
    headers = {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": "localhost",
        "content-type": "application/grpc",
        "te": "trailers",
        **{name.replace("_", "-"): value for name, value in more.items()},
    }
    return [(name.encode(), value.encode()) for name, value in headers.items() if value]


def head(stream: int, flags: int = END_HEADERS, path: str = ECHO, **more: str) -> bytes:
    return frame(HEADERS, flags, stream, header_block(call_headers(path, **more)))


def message(body: bytes, compressed: int = 0) -> bytes:
    return struct.pack(">BL", compressed, len(body)) + body


def call(stream: int, body: bytes = b"hello", **more: str) -> bytes:
    """A whole call."""
    return head(stream, **more) + frame(DATA, END_STREAM, stream, message(body))


class Peer:
    """One connection. Frames that nobody asked for are kept in `seen`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.seen: list[Frame] = []
        self.goaway: int | None = None
        self.next_stream = 1
        self._decoder = Decoder()

    def send(self, *data: bytes) -> None:
        self.writer.write(b"".join(data))

    async def greet(self, settings: dict[Setting, int] | None = None) -> None:
        """The preface, and the server's settings acknowledged."""
        self.send(PREFACE, settings_frame(settings or {}), frame(SETTINGS, ACK, 0))
        await self.until(lambda one: one.kind == SETTINGS and one.flags & ACK)

    async def frame(self) -> Frame | None:
        """The next one; None at the end."""
        try:
            start = await asyncio.wait_for(self.reader.readexactly(9), DEADLINE_S)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        high, low, kind, flags, stream = read_head(start, 0)
        payload = await asyncio.wait_for(self.reader.readexactly(high << 8 | low), DEADLINE_S)
        found = Frame(kind, flags, stream, payload)
        self.seen.append(found)
        return found

    async def skim(self) -> None:
        """Reads what is there, and keeps only why the connection goes away."""
        with contextlib.suppress(asyncio.TimeoutError):
            data = await asyncio.wait_for(self.reader.read(2**20), 0.01)
            at = data.find(b"\x07\0\0\0\0\0")
            if at >= 0:
                self.goaway = int.from_bytes(data[at + 10 : at + 14], "big")

    async def until(self, is_it: Callable[[Frame], Any]) -> Frame:
        while (found := await self.frame()) is not None:
            if is_it(found):
                return found
        raise AssertionError(f"The connection ended after {self.seen}")

    async def answer(self, stream: int) -> tuple[bytes, dict[str, str]]:
        """What a call was answered: the bytes of its DATA, and all its headers and trailers."""
        body, headers = b"", {}
        while True:
            found = await self.until(lambda one: one.stream == stream)
            if found.kind == DATA:
                body += found.payload
            elif found.kind == HEADERS:
                headers.update(self._decoder.decode(found.payload))
            elif found.kind == RST_STREAM:
                raise AssertionError(f"reset: {found.payload.hex()}")
            if found.flags & END_STREAM and found.kind in (DATA, HEADERS):
                return body, headers

    async def reset_code(self, stream: int) -> int:
        found = await self.until(lambda one: one.kind == RST_STREAM and one.stream == stream)
        return int.from_bytes(found.payload, "big")

    async def goaway_code(self) -> int:
        """Why the connection is going away; it must end after that."""
        found = await self.until(lambda one: one.kind == GOAWAY)
        assert await self.frame() is None
        return int.from_bytes(found.payload[4:8], "big")

    async def is_well(self, stream: int = 2**31 - 1) -> bool:
        """Whether a call is answered."""
        self.send(call(stream, b"well"))
        return await self.answer(stream) == (message(b"well"), OK)

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


OK = {
    ":status": "200",
    "content-type": "application/grpc",
    "grpc-accept-encoding": "identity, deflate, gzip",
    "grpc-status": "0",
}


class EchoServices:
    """One unary method, asked of `begin` first if there is one."""

    def __init__(self, answer: Answer, begin: Any = None) -> None:
        self._answer = answer
        self._begin = begin

    def handlers(self) -> dict[str, dict[str, Answer]]:
        return {"test.Echo": {"Echo": self._answer}}

    def methods(self, ring: object) -> dict[str, Answer]:
        return {ECHO: self._answer}

    def beginners(self, ring: object) -> dict[str, Any]:
        return {} if self._begin is None else {ECHO: self._begin}


async def echo(body: bytes, context: Any) -> bytes:
    return body


@contextlib.asynccontextmanager
async def serving(
    answer: Answer = echo,
    limits: LimitOptions | None = None,
    arguments: Any = (),
    begin: Any = None,
    **http2: Any,
) -> AsyncIterator[tuple[GrpcServer, int]]:
    """A server and its port; `http2` are limits that no argument sets."""
    from dataclasses import replace

    limits = limits or LimitOptions()
    options = GrpcOptions(channel_arguments=arguments, enable_grpc_healthcheck_service=True)
    services = EchoServices(answer, begin)
    server = GrpcServer(None, ListenOptions(grpc_port=-1), limits, options, services=services)
    known = server_arguments(limits, arguments)
    server._arguments = replace(known, http2=replace(known.http2, **http2))
    port = await server.start()
    try:
        yield server, port
    finally:
        await server.stop(0)


@contextlib.asynccontextmanager
async def connected(port: int, settings: dict[Setting, int] | None = None) -> AsyncIterator[Peer]:
    """A peer that has greeted."""
    peer = Peer(*await asyncio.open_connection("127.0.0.1", port))
    try:
        await peer.greet(settings)
        yield peer
    finally:
        await peer.close()
