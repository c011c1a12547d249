"""TLS handshakes: they have places among the connections and a time limit, for REST and for gRPC alike."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator

import pytest

from jupyter_tfserve.dataplane import accepting
from jupyter_tfserve.dataplane.grpc_server import GrpcServer
from jupyter_tfserve.dataplane.http_message import HttpRequest, HttpResponse
from jupyter_tfserve.dataplane.http_server import HttpServer
from jupyter_tfserve.dataplane.tls import server_context
from jupyter_tfserve.options import GrpcOptions, LimitOptions, ListenOptions, TlsOptions

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")
DEADLINE_S = 20


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> TlsOptions:
    folder = tmp_path_factory.mktemp("certificate")
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=server "
        f"-addext subjectAltName=DNS:localhost -keyout {folder}/key -out {folder}/certificate"
    )
    subprocess.run(command.split(), check=True, capture_output=True)
    return TlsOptions((folder / "key").read_bytes(), (folder / "certificate").read_bytes())


async def say_hello(request: HttpRequest) -> HttpResponse:
    return HttpResponse(200, b"hello", "text/plain")


@contextlib.asynccontextmanager
async def serving(kind: str, tls: TlsOptions, limits: LimitOptions) -> AsyncIterator[tuple[int, object]]:
    """A server's port, and what counts its handshakes."""
    if kind == "REST":
        server = HttpServer(say_hello, limits, tls=server_context(tls))
        port = await server.start("127.0.0.1", 0)
    else:
        server = GrpcServer(None, ListenOptions(grpc_port=-1), limits, GrpcOptions(tls=tls))
        port = await server.start()
    try:
        yield port, server._service
    finally:
        await server.stop(1)


async def connect(port: int, tls: TlsOptions, kind: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A client that ends its handshake."""
    context = ssl.create_default_context(cadata=tls.server_cert.decode())
    context.set_alpn_protocols(["h2" if kind == "gRPC" else "http/1.1"])
    return await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")


async def until(condition) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


@pytest.mark.parametrize("kind", ["REST", "gRPC"])
async def test_handshakes_take_places_of_connections_until_their_time_is_over(tls, kind) -> None:
    async with serving(kind, tls, LimitOptions(max_connections=3, header_timeout_s=2.0)) as (port, service):
        _, connected = await connect(port, tls, kind)
        await until(lambda: len(service.connections) == 1 and not service.handshakes)
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        await until(lambda: service.handshakes == 2)
        reader, over = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), DEADLINE_S) == b""
        assert service.handshakes == 2
        for waiting, _ in silent:
            with contextlib.suppress(ConnectionError):
                assert await asyncio.wait_for(waiting.read(), DEADLINE_S) == b""
        assert not service.handshakes
        _, again = await connect(port, tls, kind)
        for _, writer in [(None, connected), *silent, (None, over), (None, again)]:
            await close(writer)


async def test_place_is_free_again_when_a_handshake_fails(tls) -> None:
    async with serving("REST", tls, LimitOptions(max_connections=1)) as (port, service):
        for _ in range(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            with contextlib.suppress(ConnectionError):
                await asyncio.wait_for(reader.read(), DEADLINE_S)
            await close(writer)
            await until(lambda: not service.handshakes)
        reader, writer = await connect(port, tls, "REST")
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert (await asyncio.wait_for(reader.read(), DEADLINE_S)).endswith(b"hello")
        await close(writer)


async def test_stop_ends_handshakes_and_waits_for_none(tls) -> None:
    async with serving("REST", tls, LimitOptions()) as (port, service):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await until(lambda: service.handshakes == 1)
    with contextlib.suppress(ConnectionError):
        assert await asyncio.wait_for(reader.read(), DEADLINE_S) == b""
    await until(lambda: not service.handshakes)
    await close(writer)


class Exhausted(socket.socket):
    """A listening socket that cannot be accepted from, the first time."""

    tries = 0
    error = 0

    def accept(self):
        self.tries += 1
        if self.tries == 1:
            raise OSError(self.error, "Not now")
        return super().accept()


@pytest.mark.fault
@pytest.mark.parametrize("error", [errno.EMFILE, errno.EPERM, errno.EPROTO])
async def test_accepting_goes_on_when_the_system_refused_for_a_while(tls, monkeypatch, error: int) -> None:
    monkeypatch.setattr(accepting, "PAUSE_S", 0.01)
    listening = Exhausted(socket.AF_INET, socket.SOCK_STREAM)
    listening.error = error
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    listening.setblocking(False)
    server = HttpServer(say_hello, LimitOptions(), tls=server_context(tls))
    port = await server.serve([listening])
    _, writer = await connect(port, tls, "REST")
    assert listening.tries >= 2
    await close(writer)
    await server.stop(1)


async def test_loop_is_left_alone_when_another_process_has_ended_the_listening() -> None:
    """Fronts share a socket, and their engine ends its listening before they have closed it."""
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    server = HttpServer(say_hello, LimitOptions())
    port = await server.start("127.0.0.1", 0)
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    (listening,) = server.listening
    with listening.dup() as elsewhere:
        elsewhere.shutdown(socket.SHUT_RDWR)
    for _ in range(20):  # turns of the loop
        await asyncio.sleep(0)
    assert told == []
    writer.close()
    await server.stop(1)
