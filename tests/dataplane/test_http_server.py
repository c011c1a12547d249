"""The HTTP server over real sockets: what it answers, in which order, and what it refuses before it costs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from jupyter_tfserve.dataplane.http_message import HttpRequest, HttpResponse
from jupyter_tfserve.dataplane.http_server import HttpServer, bind_sockets
from jupyter_tfserve.errors import ServingError
from jupyter_tfserve.options import LimitOptions

Handler = Callable[[HttpRequest], Awaitable[HttpResponse]]


async def mirror(request: HttpRequest) -> HttpResponse:
    return HttpResponse(200, f"{request.method} {request.target} {len(request.body)}".encode(), "text/plain")


@contextlib.asynccontextmanager
async def serving(
    handler: Handler = mirror,
    limits: LimitOptions | None = None,
    local_only: bool = True,
    foreign_pages: bool = True,
) -> AsyncIterator[tuple[HttpServer, int]]:
    server = HttpServer(handler, limits or LimitOptions(), local_only, foreign_pages=foreign_pages)
    port = await server.start("127.0.0.1", 0)
    try:
        yield server, port
    finally:
        await server.stop(1)


async def exchange(port: int, data: bytes) -> bytes:
    """Everything that the server answers to these bytes until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    answer = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return answer


def get(path: str = "/", **headers: str) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in {"Host": "localhost", **headers}.items())
    return f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1")


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


async def test_answer_has_length_date_and_type() -> None:
    async with serving() as (_, port):
        answer = await exchange(port, get("/a?b=1", Connection="close"))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert body == b"GET /a?b=1 0"
    assert b"Content-Length: 12" in head
    assert b"Content-Type: text/plain" in head
    assert b"\r\nDate: " in head
    assert b" GMT" in head


async def test_pipelined_requests_are_answered_in_order() -> None:
    async def slow_first(request: HttpRequest) -> HttpResponse:
        for _ in range(50 if request.target == "/0" else 1):
            await asyncio.sleep(0)
        return await mirror(request)

    async with serving(slow_first) as (_, port):
        requests = [get(f"/{n}") for n in range(59)] + [get("/59", Connection="close")]
        answer = await exchange(port, b"".join(requests))
    order = [int(part.split(b" ")[0]) for part in answer.split(b"GET /")[1:]]
    assert order == list(range(60))


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 11\r\n\r\nhello world",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
    ],
)
async def test_body_arrives_whole_when_sent_byte_by_byte(framing: bytes) -> None:
    async with serving() as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for byte in b"POST /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + framing:
            writer.write(bytes([byte]))
            await writer.drain()
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
    assert answer.endswith(b"POST /x 11")


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2147483648\r\n\r\n", 413),
        (
            b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
            + b"8\r\n12345678\r\n" * 20,
            413,
        ),
        (get("/", **{"X-Long": "a" * 5000}), 431),
        (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\n\r\n", 431),
        (
            b"GET / HTTP/1.1\r\nHost: localhost\r\n"
            + b"".join(b"X-%d: 1\r\n" % n for n in range(200))
            + b"\r\n",
            431,
        ),
        (
            b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400),
        (b"BREW /pot HTTP/1.1\r\nHost: localhost\r\n\r\n", 501),
        (b"get / HTTP/1.1\r\nHost: localhost\r\n\r\n", 501),
        (b"NOISE\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost localhost\n\n", 400),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nExpect: a-miracle\r\nContent-Length: 1\r\n\r\na", 417),
        (get("/", Host="evil.test"), 403),
        (get("/", Host="localhost.evil.test:80"), 403),
        (get("http://evil.test/v1/models/m"), 403),
    ],
)
async def test_hostile_request_is_refused_with_its_status(request_bytes: bytes, status: int) -> None:
    calls = 0

    async def count(request: HttpRequest) -> HttpResponse:
        nonlocal calls
        calls += 1
        return await mirror(request)

    limits = LimitOptions(max_body_bytes=100, max_header_bytes=4096, max_headers=100)
    async with serving(count, limits) as (_, port):
        answer = await exchange(port, request_bytes)
        assert status_of(answer) == status
        assert b"Connection: close" in answer
        assert calls == 0
        assert status_of(await exchange(port, get("/", Connection="close"))) == 200


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("http://localhost:8501/v1/models/m?a=b", "/v1/models/m?a=b"),
        ("HTTPS://127.0.0.1/a", "/a"),
        ("http://localhost", "/"),
        ("http://localhost?a", "/?a"),
        ("*", "*"),
    ],
)
async def test_target_is_its_path_when_it_is_absolute(target: str, path: str) -> None:
    """The host that counts is the target's, as RFC 9112 says."""
    headers = {"Host": "localhost" if target == "*" else "elsewhere.test", "Connection": "close"}
    async with serving() as (_, port):
        answer = await exchange(port, get(target, **headers))
    assert answer.endswith(f"GET {path} 0".encode())


async def test_refusal_reaches_a_client_that_is_still_sending() -> None:
    async with serving(limits=LimitOptions(max_body_bytes=1000)) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8000000\r\n\r\n")
        writer.write(b"a" * 8_000_000)
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    assert status_of(answer) == 413
    assert b"the limit is 1000 bytes" in answer


@pytest.mark.parametrize("host", ["localhost:8501", "127.0.0.1", "[::1]:8501", "LOCALHOST", "a.localhost"])
async def test_local_host_names_are_served(host: str) -> None:
    async with serving() as (_, port):
        assert status_of(await exchange(port, get("/", Host=host, Connection="close"))) == 200


async def test_any_host_name_is_served_when_not_only_local() -> None:
    async with serving(local_only=False) as (_, port):
        assert status_of(await exchange(port, get("/", Host="models.example", Connection="close"))) == 200


FOREIGN = [
    "https://page.example",
    "http://localhost.evil.test",
    "http://127.0.0.1.evil.test:8501",
    "http://localhost:80@evil.test",
    "http://evil.test/http://localhost",
    "null",
    "",
    "localhost",
]


@pytest.mark.parametrize("origin", FOREIGN)
async def test_pages_of_other_machines_are_refused_unless_they_are_welcome(origin: str) -> None:
    """S4: a page cannot read the answer without CORS, but it could have the model run."""
    request = get("/", Origin=origin, Connection="close")
    async with serving(foreign_pages=False) as (_, port):
        assert status_of(await exchange(port, request)) == 403
        question = request.replace(b"GET", b"OPTIONS", 1)
        assert status_of(await exchange(port, question)) == 200
    async with serving(foreign_pages=True) as (_, port):
        assert status_of(await exchange(port, request)) == 200


@pytest.mark.parametrize("origin", ["http://localhost:3000", "https://127.0.0.1", "http://[::1]:8888"])
async def test_pages_of_this_machine_may_ask(origin: str) -> None:
    async with serving(foreign_pages=False) as (_, port):
        assert status_of(await exchange(port, get("/", Origin=origin, Connection="close"))) == 200


async def test_expect_100_continue_is_honoured() -> None:
    async with serving() as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            b"POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        )
        assert await asyncio.wait_for(reader.readline(), 10) == b"HTTP/1.1 100 Continue\r\n"
        writer.write(b"ok")
        await reader.readline()
        assert await asyncio.wait_for(reader.readline(), 10) == b"HTTP/1.1 200 OK\r\n"
        writer.close()


@pytest.mark.parametrize(
    "sent", [b"GET / HT", b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nab"]
)
async def test_slow_sender_is_answered_408_and_closed(sent: bytes) -> None:
    limits = LimitOptions(header_timeout_s=0.5, min_body_bytes_per_s=1000)
    async with serving(limits=limits) as (_, port):
        assert status_of(await exchange(port, sent)) == 408


async def test_idle_connection_is_closed() -> None:
    async with serving(limits=LimitOptions(idle_timeout_s=0.2)) as (_, port):
        assert await exchange(port, b"") == b""


async def test_connections_over_the_limit_are_refused_at_once() -> None:
    async with serving(limits=LimitOptions(max_connections=2)) as (_, port):
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        for _, writer in held:
            writer.write(get())
        for reader, _ in held:
            await reader.readuntil(b"GET / 0")
        answer = await exchange(port, b"")
        assert status_of(answer) == 503
        for _, writer in held:
            writer.close()


async def test_connections_are_refused_after_a_stop_when_another_process_holds_the_socket_too() -> None:
    server = HttpServer(mirror, LimitOptions())
    (listening,) = await bind_sockets("127.0.0.1", 0)
    with listening.dup():
        port = await server.serve([listening])
        await exchange(port, get(Connection="close"))
        await server.stop(1)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)


async def test_handler_that_fails_costs_only_its_request() -> None:
    async def fail(request: HttpRequest) -> HttpResponse:
        if request.target == "/bad":
            raise RuntimeError("secret stack")
        return await mirror(request)

    async with serving(fail) as (_, port):
        answer = await exchange(port, get("/bad") + get("/good", Connection="close"))
    assert status_of(answer) == 500
    assert b"secret" not in answer
    assert answer.endswith(b"GET /good 0")


async def test_client_that_leaves_cancels_its_request() -> None:
    entered, left = asyncio.Event(), asyncio.Event()

    async def wait(request: HttpRequest) -> HttpResponse:
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()
        raise AssertionError

    async with serving(wait) as (_, port):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get())
        await asyncio.wait_for(entered.wait(), 10)
        writer.transport.abort()
        await asyncio.wait_for(left.wait(), 10)


async def test_stop_lets_the_running_request_end_and_closes_idle_connections() -> None:
    entered, finish = asyncio.Event(), asyncio.Event()

    async def wait(request: HttpRequest) -> HttpResponse:
        entered.set()
        await finish.wait()
        return await mirror(request)

    async with serving(wait) as (server, port):
        idle_reader, idle_writer = await asyncio.open_connection("127.0.0.1", port)
        busy = asyncio.ensure_future(exchange(port, get()))
        await asyncio.wait_for(entered.wait(), 10)
        stopping = asyncio.ensure_future(server.stop(10))
        assert await asyncio.wait_for(idle_reader.read(), 10) == b""
        idle_writer.close()
        assert not stopping.done()
        finish.set()
        assert (await busy).endswith(b"GET / 0")
        await stopping
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)


async def test_taken_port_is_named() -> None:
    async with serving() as (_, port):
        with pytest.raises(ServingError, match=f"HTTP port {port} is already in use"):
            await HttpServer(mirror, LimitOptions()).start("127.0.0.1", port)


async def test_head_is_answered_without_a_body() -> None:
    async with serving() as (_, port):
        answer = await exchange(port, get(Connection="close").replace(b"GET", b"HEAD", 1))
    assert status_of(answer) == 200
    assert answer.endswith(b"\r\n\r\n")
