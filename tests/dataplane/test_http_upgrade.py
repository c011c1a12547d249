"""Requests that offer another protocol: answered in HTTP/1.1, their bodies and what follows them read as ever."""

from __future__ import annotations

import asyncio

import pytest

from jupyter_tfserve.dataplane import http_protocol
from jupyter_tfserve.dataplane.http_message import HttpRequest, HttpResponse
from jupyter_tfserve.dataplane.http_protocol import HttpProtocol
from jupyter_tfserve.dataplane.http_service import HttpService
from jupyter_tfserve.options import LimitOptions

OFFER = (
    b"Host: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
)
POST = b"POST /a HTTP/1.1\r\n" + OFFER
HELLO = POST + b"Content-Length: 5\r\n\r\nhello"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"
WEBSOCKET = b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
PLAIN = b"POST /b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc"
LARGE = POST + b"Content-Length: 100000\r\n\r\n" + b"x" * 100_000


class Peer(asyncio.Transport):
    """One connection of a server that keeps what it was asked, without a socket."""

    def __init__(self, limits: LimitOptions) -> None:
        super().__init__()
        self.asked: list[tuple[str, bytes]] = []
        self.written = b""
        self.closed = False
        self.protocol: asyncio.BaseProtocol = HttpProtocol(HttpService(self.handle, limits, True))
        self.protocol.connection_made(self)

    async def handle(self, request: HttpRequest) -> HttpResponse:
        self.asked.append((f"{request.method} {request.target}", request.body))
        return HttpResponse(200, b"")

    async def send(self, data: bytes, step: int) -> None:
        for start in range(0, len(data), step):
            rest = data[start : start + step]
            while rest and not self.closed:
                if isinstance(self.protocol, HttpProtocol):
                    self.protocol.data_received(rest)
                    break
                room = self.protocol.get_buffer(-1)
                size = min(len(room), len(rest))
                room[:size], rest = rest[:size], rest[size:]
                self.protocol.buffer_updated(size)
        for _ in range(400):
            await asyncio.sleep(0)

    @property
    def statuses(self) -> list[int]:
        return [int(part[:3]) for part in self.written.split(b"HTTP/1.1 ")[1:]]

    def write(self, data: bytes) -> None:
        self.written += data

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def is_closing(self) -> bool:
        return self.closed

    def is_reading(self) -> bool:
        return True

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        self.closed = True

    abort = close

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading


async def exchange(data: bytes, step: int, limits: LimitOptions | None = None) -> Peer:
    peer = Peer(limits or LimitOptions())
    await peer.send(data, step)
    return peer


@pytest.mark.parametrize("step", [1, 7, 100, 1 << 20])
async def test_bodies_and_what_follows_are_read_when_another_protocol_is_offered(step: int) -> None:
    peer = await exchange(HELLO + PLAIN + CHUNKED + WEBSOCKET + HELLO + HELLO + PLAIN, step)
    hello, plain = ("POST /a", b"hello"), ("POST /b", b"abc")
    assert peer.asked == [hello, plain, hello, ("GET /ws", b""), hello, hello, plain]
    assert peer.statuses == [200] * 7
    assert not peer.closed


@pytest.mark.parametrize("step", [60_000, 1 << 20])
async def test_large_body_is_read_when_another_protocol_is_offered(step: int) -> None:
    peer = await exchange(LARGE, step)
    await peer.send(PLAIN, step)
    assert peer.asked == [("POST /a", b"x" * 100_000), ("POST /b", b"abc")]


async def test_same_offer_is_answered_again_when_its_connection_is_kept() -> None:
    peer = await exchange(HELLO * 3, len(HELLO))
    assert peer.asked == [("POST /a", b"hello")] * 3


@pytest.mark.parametrize(
    "head",
    [
        POST.replace(b"HTTP/1.1", b"HTTP/1.0"),
        POST.replace(b"Upgrade, ", b"close, Upgrade, "),
        POST + b"Connection: close\r\n",
    ],
)
async def test_connection_closes_after_the_answer_when_the_sender_asks_for_it(head: bytes) -> None:
    peer = await exchange(head + b"Content-Length: 5\r\n\r\nhello", 1 << 20)
    assert (peer.asked, peer.closed) == ([("POST /a", b"hello")], True)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + PLAIN, 400),
        (POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n" + PLAIN, 400),
        (POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n" + PLAIN, 400),
        (POST + b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + PLAIN, 400),
        (POST + b"Transfer-Encoding: identity\r\n\r\n" + PLAIN, 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + PLAIN, 400),
        (POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
        (POST + b"Content-Length: 2000000\r\n\r\n", 413),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"ffff\r\n%b\r\n" % (b"x" * 65_535) * 17, 413),
        (POST + b"".join(b"X-%d: 1\r\n" % n for n in range(200)) + b"\r\n" + PLAIN, 431),
        (POST.replace(b"localhost", b"evil.test") + b"Content-Length: 5\r\n\r\nhello", 403),
    ],
)
@pytest.mark.parametrize("step", [1000, 1 << 22])
async def test_offer_opens_no_way_around_the_limits(sent: bytes, status: int, step: int) -> None:
    """Nothing of what was smuggled in is asked, and the connection ends."""
    peer = await exchange(sent, step, LimitOptions(max_body_bytes=1_000_000, max_headers=100))
    assert (peer.asked, peer.statuses, peer.closed) == ([], [status], True)


async def test_tunnel_ends_with_its_answer_when_it_is_asked_for() -> None:
    connect = b"CONNECT localhost:80 HTTP/1.1\r\n" + OFFER + b"Content-Length: 5\r\n\r\nhello"
    peer = await exchange(connect + PLAIN, 1 << 20)
    assert ([asked for asked, _ in peer.asked], peer.closed) == (["CONNECT localhost:80"], True)


async def test_expectation_is_met_once_when_another_protocol_is_offered() -> None:
    peer = await exchange(POST + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello", 1 << 20)
    assert peer.statuses == [100, 200]


async def test_body_is_refused_as_slow_when_it_does_not_follow_its_offer(monkeypatch) -> None:
    peer = await exchange(HELLO[:-2], 1 << 20, LimitOptions(header_timeout_s=5, min_body_bytes_per_s=1000))
    assert isinstance(peer.protocol, HttpProtocol)
    peer.protocol.check_deadlines(http_protocol.time.monotonic() + 100)
    assert (peer.asked, peer.statuses) == ([], [408])


@pytest.mark.parametrize("first", [PLAIN, HELLO])
async def test_garbage_is_a_bad_request_when_it_follows_a_good_one(first: bytes) -> None:
    peer = await exchange(first + b"!!garbage\r\n\r\n", 1 << 20)
    assert peer.statuses == [400]
