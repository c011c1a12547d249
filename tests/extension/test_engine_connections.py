"""Connections that are kept: asked again when the answer before was whole, never when anything is left open."""

from __future__ import annotations

import asyncio

import pytest
from tornado.httputil import HTTPHeaders

from jupyter_tfserve.errors import ServingError
from jupyter_tfserve.extension import engine_connections
from jupyter_tfserve.extension.engine_connections import EngineConnections
from jupyter_tfserve.extension.engine_exchange import EngineExchange, EngineRequestHead

WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
LAST = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
BROKEN = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"


class Sink:
    """Takes what comes."""

    def begin_answer(self, status, headers):
        """Nothing."""

    async def write_answer(self, chunk):
        """Nothing."""


class Engine:
    """Gives one answer to everything and counts its connections."""

    def __init__(self):
        self.answer = WHOLE
        self.writers = []

    async def serve(self, reader, writer):
        self.writers.append(writer)
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(self.answer)
                if self.answer is BROKEN:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()


@pytest.fixture
async def engine():
    engine = Engine()
    server = await asyncio.start_server(engine.serve, "127.0.0.1", 0)
    engine.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield engine
    for writer in engine.writers:
        writer.close()
    server.close()
    await server.wait_closed()


@pytest.fixture
async def connections():
    connections = EngineConnections()
    yield connections
    connections.close()
    assert connections.idle == 0


async def ask(engine, connections):
    head = EngineRequestHead(engine.url, "GET", "/v1/models", HTTPHeaders({"Host": "h"}))
    await asyncio.wait_for(EngineExchange(Sink(), connections).run(head, None), 30)


async def test_connection_is_asked_again_when_its_answer_was_whole(engine, connections):
    for _ in range(3):
        await ask(engine, connections)
    assert len(engine.writers) == connections.idle == 1


async def test_connection_is_not_kept_when_the_engine_closes_it(engine, connections):
    engine.answer = LAST
    await ask(engine, connections)
    assert connections.idle == 0


async def test_connection_is_not_kept_when_its_answer_broke_off(engine, connections):
    engine.answer = BROKEN
    with pytest.raises(ServingError):
        await ask(engine, connections)
    assert connections.idle == 0


async def test_connection_is_forgotten_when_the_engine_ends_while_it_is_idle(engine, connections):
    await ask(engine, connections)
    engine.writers[0].close()
    deadline = asyncio.get_running_loop().time() + 30
    while connections.idle and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 - a callback
        await asyncio.sleep(0)
    await ask(engine, connections)
    assert len(engine.writers) == 2


async def test_connections_are_kept_up_to_a_bound_and_an_age(engine, connections, monkeypatch):
    monkeypatch.setattr(engine_connections, "MAX_IDLE", 2)
    await asyncio.gather(*(ask(engine, connections) for _ in range(4)))
    assert connections.idle == 2
    monkeypatch.setattr(engine_connections, "MAX_IDLE_S", -1.0)
    before = len(engine.writers)
    await ask(engine, connections)
    assert len(engine.writers) == before + 1
