"""Large bodies, which are read past the parser: over real sockets, on both event loops, plain and encrypted."""

from __future__ import annotations

import asyncio
import random
import shutil
import ssl
import subprocess
import zlib
from collections.abc import Awaitable, Callable

import pytest
import uvloop

from jupyter_tfserve.dataplane.http_large_body import LARGE_BODY_BYTES, LargeBody
from jupyter_tfserve.dataplane.http_message import HttpRequest, HttpResponse
from jupyter_tfserve.dataplane.http_server import HttpServer
from jupyter_tfserve.options import LimitOptions

TIMEOUT_S = 60
LARGE = random.Random(5).randbytes(5 * LARGE_BODY_BYTES + 7)
JUST_LARGE = LARGE[:LARGE_BODY_BYTES]
SMALL = LARGE[:100]


async def checksum(request: HttpRequest) -> HttpResponse:
    assert type(request.body) is bytes
    return HttpResponse(200, f"{request.target} {zlib.crc32(request.body)};".encode(), "text/plain")


def post(target: str, body: bytes, connection: str = "keep-alive") -> bytes:
    head = f"POST {target} HTTP/1.1\r\nHost: localhost\r\nConnection: {connection}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def pieces_of(data: bytes, seed: int) -> list[bytes]:
    chance, pieces = random.Random(seed), []
    while data:
        size = chance.choice((1, 100, 4096, 70_000, 300_000))
        pieces.append(data[:size])
        data = data[size:]
    return pieces


async def answers_to(pieces: list[bytes], contexts: tuple[ssl.SSLContext, ssl.SSLContext] | None) -> bytes:
    """What a server answers on one connection, the last request of which closes it."""
    ours, theirs = contexts or (None, None)
    server = HttpServer(checksum, LimitOptions(), tls=ours)
    port = await server.start("127.0.0.1", 0)
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=theirs)
        reading = asyncio.ensure_future(reader.read())
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        answer = await asyncio.wait_for(reading, TIMEOUT_S)
        writer.close()
        return answer
    finally:
        await server.stop(1)


async def until(holds: Callable[[], bool]) -> None:
    deadline = asyncio.get_running_loop().time() + TIMEOUT_S
    while not holds():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)


@pytest.fixture(scope="module")
def contexts(tmp_path_factory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    folder = tmp_path_factory.mktemp("certificate")
    key, certificate = folder / "key", folder / "certificate"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    subprocess.run([*command.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(certificate, key)
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    theirs.check_hostname, theirs.verify_mode = False, ssl.CERT_NONE
    return ours, theirs


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize("seed", [0, 1])
def test_bodies_arrive_whole_and_in_order_when_large_and_small_ones_are_mixed(
    run: Callable[[Awaitable[bytes]], bytes], encrypted: bool, seed: int, request: pytest.FixtureRequest
) -> None:
    bodies = [LARGE, SMALL, b"", JUST_LARGE, LARGE, LARGE[1:], *[SMALL] * 40, LARGE, JUST_LARGE[1:], SMALL]
    wire = b"".join(post(f"/{place}", body) for place, body in enumerate(bodies[:-1]))
    wire += post(f"/{len(bodies) - 1}", bodies[-1], "close")
    pair = request.getfixturevalue("contexts") if encrypted else None
    answer = run(answers_to(pieces_of(wire, seed) if seed else [wire], pair))
    found = [part.rpartition(b"\r\n\r\n")[2].decode() for part in answer.split(b";")[:-1]]
    assert found == [f"/{place} {zlib.crc32(body)}" for place, body in enumerate(bodies)]


async def test_connection_ends_when_its_peer_leaves_amid_a_large_body() -> None:
    server = HttpServer(checksum, LimitOptions())
    port = await server.start("127.0.0.1", 0)
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(post("/", LARGE)[: 3 * LARGE_BODY_BYTES])
    await writer.drain()
    await until(lambda: server.open_connections == 1)
    writer.close()
    await until(lambda: server.open_connections == 0)
    await server.stop(1)


async def test_large_body_that_comes_too_slowly_is_answered_408() -> None:
    server = HttpServer(checksum, LimitOptions(header_timeout_s=0.5, min_body_bytes_per_s=10**6))
    port = await server.start("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(post("/", LARGE)[: 2 * LARGE_BODY_BYTES])
    answer = await asyncio.wait_for(reader.read(), TIMEOUT_S)
    assert answer.startswith(b"HTTP/1.1 408 ")
    writer.close()
    await server.stop(1)


class Owner:
    is_closing = False
    completed = 0

    def large_body_complete(self) -> None:
        self.completed += 1

    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...
    def connection_lost(self, error: Exception | None) -> None: ...


def test_room_is_made_for_what_has_come_when_a_head_claims_more() -> None:
    owner = Owner()
    body = LargeBody(owner, 2**40)
    body.add(SMALL)
    assert body.get_buffer(-1).nbytes <= LARGE_BODY_BYTES
    for _ in range(200):
        room = body.get_buffer(-1)
        assert 0 < room.nbytes <= max(LARGE_BODY_BYTES, 4 * body.received)
        room[:5000] = b"x" * min(5000, room.nbytes)
        body.buffer_updated(min(5000, room.nbytes))
    assert not owner.completed


def test_body_is_complete_once_and_never_longer_than_told() -> None:
    owner = Owner()
    body = LargeBody(owner, len(LARGE))
    body.add(LARGE[:10])
    while not owner.completed:
        room = body.get_buffer(-1)
        count = min(len(room), 50_001)
        room[:count] = LARGE[body.received : body.received + count]
        body.buffer_updated(count)
    assert body.content() == LARGE
    assert owner.completed == 1


def test_bytes_that_come_after_a_refusal_are_dropped() -> None:
    owner = Owner()
    body = LargeBody(owner, len(LARGE))
    owner.is_closing = True
    for _ in range(20):
        body.buffer_updated(body.get_buffer(-1).nbytes)
    assert body.received == 0
