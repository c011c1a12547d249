"""Heads that need no parsing again: they mean what the parser says, whatever is sent around them."""

from __future__ import annotations

import asyncio
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_tfserve.dataplane import http_head
from jupyter_tfserve.dataplane.http_head import KnownHead, is_foreign, is_local, known_head
from jupyter_tfserve.dataplane.http_message import HttpRequest, HttpResponse
from jupyter_tfserve.dataplane.http_protocol import HttpProtocol
from jupyter_tfserve.dataplane.http_service import HttpService
from jupyter_tfserve.options import LimitOptions

HEADERS = {"host": "localhost", "content-length": "3"}
HEAD = b"POST /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\n"


def request(body: bytes = b"abc", **headers: str) -> HttpRequest:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpRequest("POST", "/a", {**HEADERS, **named}, body)


def test_head_is_known_when_the_message_is_it_and_its_body() -> None:
    known = known_head(HEAD + b"abc", request())
    assert known is not None
    assert known.again(HEAD + b"xyz") == request(b"xyz")
    for other in (HEAD + b"xy", HEAD + b"wxyz", HEAD.replace(b"/a", b"/b") + b"xyz"):
        assert known.again(other) is None


@pytest.mark.parametrize(
    ("message", "read"),
    [
        (HEAD + b"abc\r\n", request()),
        (b"\r\n\r\n" + HEAD + b"abc", request()),
        (b"\r\n" + HEAD + b"abc" + HEAD + b"abc", request()),
        (HEAD + b"abc" + HEAD + b"abc", request()),
        (HEAD + b"abc" + HEAD + b"a", request()),
        (HEAD.replace(b"\r\n", b"\n") + b"abc", request()),
        (HEAD + b"abc", request(transfer_encoding="chunked")),
        (HEAD + b"abc", request(expect="100-continue")),
        (HEAD[:-2] + b"X: " + b"x" * http_head.MAX_KNOWN_BYTES + b"\r\n\r\nabc", request()),
    ],
)
def test_head_is_not_known_when_it_need_not_mean_the_same_again(message: bytes, read: HttpRequest) -> None:
    assert known_head(message, read) is None


class Peer:
    """A connection without a socket, and what was asked and written on it."""

    def __init__(self, service: HttpService) -> None:
        self.asked: list[HttpRequest] = []
        self.written = b""
        self.closed = False
        service.set_date(b"now")
        service.beginner = self._begin
        self.protocol = HttpProtocol(service)
        self.protocol.connection_made(self)  # type: ignore[arg-type]

    def _begin(self, request: HttpRequest, reply) -> Peer:
        self.asked.append(request)
        asyncio.get_running_loop().call_soon(reply, HttpResponse(200, b"%d" % len(self.asked)))
        return self

    def cancel(self) -> None:
        pass

    def get_extra_info(self, _name: str) -> tuple[str, int]:
        return "127.0.0.1", 1

    def is_closing(self) -> bool:
        return self.closed

    def is_reading(self) -> bool:
        return True

    def can_write_eof(self) -> bool:
        return False

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading


async def exchange(chunks: list[bytes]) -> tuple[list[HttpRequest], bytes, bool]:
    async def handler(_: HttpRequest) -> HttpResponse:
        raise AssertionError

    peer = Peer(HttpService(handler, LimitOptions(max_body_bytes=50, max_header_bytes=200), True))
    for chunk in chunks:
        if not peer.closed:
            peer.protocol.data_received(chunk)
        for _ in range(4):
            await asyncio.sleep(0)
    return peer.asked, peer.written, peer.closed


HEADS = [
    HEAD,
    HEAD.replace(b"/a", b"/b"),
    HEAD.replace(b"3\r\n", b"03\r\n"),
    HEAD.replace(b"localhost", b"evil.test"),
    HEAD.replace(b"Content-Length: 3", b"Content-Length: 3\r\nContent-Length: 4"),
    HEAD.replace(b"Content-Length: 3", b"Content-Length: 3\r\nTransfer-Encoding: chunked"),
    HEAD.replace(b"Content-Length: 3", b"Transfer-Encoding: chunked"),
    HEAD.replace(b"Content-Length: 3", b"Connection: close\r\nContent-Length: 3"),
    HEAD.replace(b"Content-Length: 3", b"Connection: Upgrade\r\nUpgrade: x\r\nContent-Length: 3"),
    HEAD.replace(b"1.1", b"1.0"),
    HEAD.replace(b"POST", b"GET").replace(b"Content-Length: 3\r\n", b""),
    HEAD.replace(b"\r\n", b"\n"),
    HEAD.replace(b"Content-Length: 3", b"Content-Length: 60"),
    b"\r\n" + HEAD,
]
BODIES = [b"abc", b"", b"ab", b"abcd", b"3\r\nabc\r\n0\r\n\r\n", b"abc\r\n", b"\r\n\r\n", HEAD]
CHUNKS = st.one_of(
    st.builds(lambda head, body: head + body, st.sampled_from(HEADS), st.sampled_from(BODIES)),
    st.builds(lambda head, end: head[:end], st.sampled_from(HEADS), st.integers(1, 40)),
    st.sampled_from(BODIES).filter(bool),
)


@settings(deadline=None, max_examples=150)
@given(first=st.sampled_from([HEADS[0], HEADS[10]]), chunks=st.lists(CHUNKS, max_size=5))
async def test_connection_means_the_same_when_heads_are_parsed_each_time(
    first: bytes, chunks: list[bytes]
) -> None:
    """Smuggled, cut, glued and hostile messages are told apart by the parser alone."""
    sent = [first + b"abc" * (b"POST" in first), *chunks]
    with mock.patch.object(http_head, "MAX_KNOWN_BYTES", -1):
        parsed = await exchange(sent)
    assert await exchange(sent) == parsed


async def test_head_is_not_parsed_when_it_is_the_last_one() -> None:
    with mock.patch.object(KnownHead, "again", autospec=True, side_effect=KnownHead.again) as again:
        asked, written, _ = await exchange([HEAD + b"abc", HEAD + b"xyz", HEAD + b"uvw"])
    assert [each.body for each in asked] == [b"abc", b"xyz", b"uvw"]
    assert asked[2] == request(b"uvw")
    assert written.count(b"HTTP/1.1 200 OK") == 3
    assert again.call_count == 2


async def test_known_head_is_refused_when_the_door_refuses_it_now() -> None:
    async def handler(_: HttpRequest) -> HttpResponse:
        raise AssertionError

    service = HttpService(handler, LimitOptions(), True)
    peer = Peer(service)
    peer.protocol.data_received(HEAD + b"abc")
    await asyncio.sleep(0)
    service.door = lambda method, target, _: HttpResponse(401, f"{method} {target}".encode())
    peer.protocol.data_received(HEAD + b"abc")
    assert peer.written.endswith(b"POST /a")
    assert (len(peer.asked), peer.closed) == (1, True)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8501", "[::1]:80", "[::1]", "a.LOCALHOST:1", ""])
def test_host_is_local_when_it_names_this_machine(host: str) -> None:
    assert is_local(host)


@pytest.mark.parametrize(
    "origin", ["null", "http://evil.test", "https://localhost.evil.test", "http://me@localhost", ""]
)
def test_origin_is_foreign_when_it_names_no_local_page(origin: str) -> None:
    assert is_foreign(origin)
    assert not is_foreign("http://localhost:8888")
