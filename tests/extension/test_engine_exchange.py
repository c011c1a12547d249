"""The way to the engine: what happens between a client that leaves and a connection that comes."""

from __future__ import annotations

import asyncio

import pytest
from tornado.httputil import HTTPHeaders

from jupyter_tfserve.errors import ServingError
from jupyter_tfserve.extension import engine_exchange
from jupyter_tfserve.extension.engine_exchange import EngineExchange, EngineRequestHead

HEAD = EngineRequestHead("http://127.0.0.1:1", "POST", "/v1/m", HTTPHeaders())


class Stream:
    """A connection that only can be closed."""

    is_closed = False

    def close(self):
        self.is_closed = True


@pytest.fixture
async def connecting(monkeypatch):
    """The connection that is being made."""
    future = asyncio.get_running_loop().create_future()

    class Client:
        def connect(self, _host, _port):
            return future

    monkeypatch.setattr(engine_exchange, "TCPClient", Client)
    return future


@pytest.mark.parametrize("is_connected", [True, False])
async def test_exchange_ends_when_its_client_leaves_as_the_connection_comes(connecting, is_connected):
    stream = Stream()
    exchange = asyncio.ensure_future(EngineExchange(None).run(HEAD, None))
    for _ in range(5):
        await asyncio.sleep(0)
    assert connecting._callbacks
    if is_connected:
        connecting.set_result(stream)
    exchange.cancel()
    with pytest.raises(asyncio.CancelledError):
        await exchange
    assert connecting.cancelled() or stream.is_closed


async def test_engine_is_unreachable_when_no_connection_comes(connecting, monkeypatch):
    monkeypatch.setattr(engine_exchange, "CONNECT_TIMEOUT_S", 0.01)
    with pytest.raises(ServingError):
        await EngineExchange(None).run(HEAD, None)
    assert connecting.cancelled()
