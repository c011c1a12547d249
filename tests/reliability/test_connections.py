"""Peers that hold connections and streams, from Debian's own tools and from a thousand sockets."""

from __future__ import annotations

import asyncio
import contextlib
import re
import statistics
import subprocess
import time
from collections.abc import AsyncIterator

import grpc
import psutil
import pytest

from jupyter_tfserve.dataplane.http2.frames import PING, ErrorCode, frame, rst_stream_frame
from tests.dataplane.http2_peer import Peer, connected
from tests.dataplane.http2_peer import call as http2_call
from tests.reliability.test_storms import PREDICT, predict_message
from tests.reliability.wire import Wire, post, wires

REQUEST = post("/v1/models/half_plus_two:predict", b'{"instances": [1.0, 2.0, 5.0]}')
IDLE = 1000
GOOD_REQUESTS = 500


async def latencies(url: str) -> list[float]:
    """Milliseconds of good requests, one after the other; each must be answered."""
    wire, taken = await Wire.open(url), []
    for _ in range(GOOD_REQUESTS):
        began = time.perf_counter()
        status, _ = await wire.ask(REQUEST)
        taken.append((time.perf_counter() - began) * 1000)
        assert status == 200
    wire.close()
    return taken


def p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[98]


@contextlib.asynccontextmanager
async def tool_running(*command: str) -> AsyncIterator[None]:
    """A program beside the block, ended with it."""
    quiet = subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, stdin=quiet, stdout=quiet, stderr=quiet)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


@pytest.mark.nightly
async def test_idle_connections_cost_little_and_hurt_nobody(engine, oracles, record_case) -> None:
    url, process = engine.connection.rest_url, psutil.Process(engine.process.pid)
    before, alone = process.memory_info().rss, await latencies(url)
    async with wires(url, IDLE):
        beside = await latencies(url)
        cost = (process.memory_info().rss - before) / IDLE
    record_case("L2", f"memory of an idle connection, of {IDLE:,}", max(0.0, cost) / 1024, "KiB")
    record_case("L2", "p99 of others before", p99(alone), "ms")
    record_case("L2", "p99 of others meanwhile", p99(beside), "ms")
    assert cost < 64 * 1024


@pytest.mark.nightly
@pytest.mark.parametrize("kind", ["-H", "-B", "-X"], ids=["headers", "bodies", "readers"])
async def test_slow_clients_hurt_nobody(engine, oracles, tool, record_case, kind) -> None:
    url = f"{engine.connection.rest_url}/v1/models/half_plus_two"
    attack = (tool("slowhttptest"), kind, "-c", "500", "-r", "200", "-i", "5", "-l", "25", "-u", url)
    async with tool_running(*attack):
        deadline = time.monotonic() + 20
        while _connections(engine) < 200:
            assert time.monotonic() < deadline, "the attack did not begin"
            await asyncio.sleep(0.1)
        beside = await latencies(engine.connection.rest_url)
    record_case("L3", f"p99 of others beside 500 slow ones ({kind})", p99(beside), "ms")


def _connections(engine) -> int:
    page = engine.control.get("/monitoring/prometheus/metrics").text
    return sum(int(float(value)) for value in re.findall(r"open_connections\{[^}]*rest[^}]*\} (\S+)", page))


@pytest.mark.nightly
async def test_many_streams_hurt_nobody(engine, oracles, tool, record_case) -> None:
    address = engine.connection.grpc_address
    attack = (tool("h2load"), "-n", "20000", "-c", "4", "-m", "1000", f"http://{address}/nothing")
    async with tool_running(*attack), grpc.aio.insecure_channel(address) as channel:
        call = channel.unary_unary(PREDICT)
        taken = await grpc_latencies(channel)
        huge = (("x-huge", "a" * 2**20),)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(predict_message("half_plus_two", [1.0]), timeout=20, metadata=huge)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    record_case("L16", "p99 of gRPC calls beside four times 1,000 streams", p99(taken), "ms")


async def grpc_latencies(channel: grpc.aio.Channel) -> list[float]:
    """Milliseconds of good calls, one after the other; each must be answered."""
    call, taken = channel.unary_unary(PREDICT), []
    for _ in range(GOOD_REQUESTS):
        began = time.perf_counter()
        await call(predict_message("half_plus_two", [1.0]), timeout=20)
        taken.append((time.perf_counter() - began) * 1000)
    return taken


def rapid_resets(peer: Peer) -> bytes:
    """A hundred more calls, each taken back at once."""
    first = peer.next_stream
    peer.next_stream += 200
    return b"".join(
        http2_call(number, predict_message("half_plus_two", [1.0]), path=PREDICT)
        + rst_stream_frame(number, ErrorCode.CANCEL)
        for number in range(first, first + 200, 2)
    )


FLOODS = {"rapid reset": rapid_resets, "ping flood": lambda _: frame(PING, 0, 0, b"12345678") * 100}


@pytest.mark.nightly
@pytest.mark.parametrize("kind", FLOODS)
async def test_floods_hurt_nobody(engine, oracles, record_case, kind) -> None:
    """An attacker that comes back whenever it is sent away."""
    address = engine.connection.grpc_address
    port, ended = int(address.rpartition(":")[2]), 0
    process = psutil.Process(engine.process.pid)
    before = process.memory_info().rss

    async def attack() -> None:
        nonlocal ended
        while True:
            async with connected(port) as peer:
                with contextlib.suppress(ConnectionError):
                    while not peer.writer.is_closing():
                        peer.send(FLOODS[kind](peer))
                        await peer.writer.drain()
                        if peer.reader.at_eof():
                            break
                        await peer.skim()
                ended += peer.goaway == ErrorCode.ENHANCE_YOUR_CALM

    async with grpc.aio.insecure_channel(address) as channel:
        alone = await grpc_latencies(channel)
        attacker = asyncio.ensure_future(attack())
        beside = await grpc_latencies(channel)
        attacker.cancel()
        await asyncio.gather(attacker, return_exceptions=True)
    record_case("L16", "p99 of gRPC calls before", p99(alone), "ms")
    record_case("L16", f"p99 of gRPC calls beside a {kind}", p99(beside), "ms")
    record_case("L16", f"connections ended by a {kind}", ended, "")
    # Who resets calls is read slowly and keeps the connection: ordinary deadlines look like that.
    assert (ended > 0) == (kind == "ping flood")
    assert process.memory_info().rss - before < 64 * 2**20
