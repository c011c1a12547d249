"""The way to the engine: what happens between a client that leaves and a connection that comes."""

from __future__ import annotations

import asyncio

import pytest
from tornado.httputil import HTTPHeaders

from jupyter_tfserve.errors import ServingError
from jupyter_tfserve.extension import engine_connections
from jupyter_tfserve.extension.engine_connections import EngineConnections
from jupyter_tfserve.extension.engine_exchange import EngineExchange, EngineRequestHead

HEAD = EngineRequestHead("http://127.0.0.1:1", "POST", "/v1/m", HTTPHeaders())


class Connecting(asyncio.Future):
    """The future of a connection, and its stream."""

    stream = None


@pytest.fixture
async def connecting(monkeypatch):
    """The connection that is being made."""
    future = Connecting(loop=asyncio.get_running_loop())

    class Stream:
        """A connection that comes when the test lets it."""

        is_closed = False

        def __init__(self, socket):
            socket.close()
            future.stream = self

        def connect(self, _address):
            return future

        def set_nodelay(self, _value):
            """Nothing."""

        def close(self):
            self.is_closed = True

    monkeypatch.setattr(engine_connections, "IOStream", Stream)
    return future


@pytest.mark.parametrize("is_connected", [True, False])
async def test_exchange_ends_when_its_client_leaves_as_the_connection_comes(connecting, is_connected):
    exchange = asyncio.ensure_future(EngineExchange(None, EngineConnections()).run(HEAD, None))
    for _ in range(5):
        await asyncio.sleep(0)
    assert connecting._callbacks
    if is_connected:
        connecting.set_result(None)
    exchange.cancel()
    with pytest.raises(asyncio.CancelledError):
        await exchange
    assert connecting.stream.is_closed


async def test_engine_is_unreachable_when_no_connection_comes(connecting, monkeypatch):
    monkeypatch.setattr(engine_connections, "CONNECT_TIMEOUT_S", 0.01)
    with pytest.raises(ServingError):
        await EngineExchange(None, EngineConnections()).run(HEAD, None)
    assert connecting.stream.is_closed
