"""The load generator against a real HTTP server whose answers are known."""

from __future__ import annotations

import asyncio
import time

from hypothesis import given
from hypothesis import strategies as st

from jupyter_tfserve.notebook.bench_load import MAX_SAMPLES, request_bytes, run_phase, sample

BODY = b'{"instances": [1]}'


class Answering:
    """Answers every request after `delay_s`; `pause_at` is a request that waits longer, like a stalled server."""

    def __init__(self, status=200, delay_s=0.0, stall_at=None, stall_s=0.0):
        self.status, self.delay_s, self.stall_at, self.stall_s = status, delay_s, stall_at, stall_s
        self.received = []
        self.times = []

    async def __aenter__(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self.server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/v1/models/m:predict"
        return self

    async def __aexit__(self, *_):
        self.server.close()
        await self.server.wait_closed()

    async def _serve(self, reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.times.append(time.perf_counter())
                self.received.append(head + await reader.readexactly(len(BODY)))
                stalls = len(self.received) == self.stall_at
                await asyncio.sleep(self.stall_s if stalls else self.delay_s)
                writer.write(f"HTTP/1.1 {self.status} X\r\nContent-Length: 2\r\n\r\n{{}}".encode())
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def measure(server, **phase):
    return await run_phase(server.url, request_bytes(server.url, BODY), phase)


async def test_every_request_is_whole_when_sent():
    async with Answering() as server:
        result = await measure(server, connections=2, seconds=0.2)
    assert result["errors"] == 0
    # One request of each connection opens it and is not counted.
    assert len(server.received) == result["answers"] + 2
    assert server.received[0].startswith(b"POST /v1/models/m:predict HTTP/1.1\r\nHost: 127.0.0.1:")
    assert server.received[0].endswith(BODY)


async def test_closed_loop_has_one_request_per_connection_when_the_server_is_slow():
    async with Answering(delay_s=0.05) as server:
        result = await measure(server, connections=4, seconds=0.5)
    assert 20 <= result["answers"] <= 44
    assert min(result["latencies_ms"]) >= 49


async def test_open_loop_keeps_its_rate_when_the_server_is_quick():
    async with Answering() as server:
        result = await measure(server, connections=8, seconds=0.5, rate=100.0)
    assert result["answers"] == 50
    assert 0.4 < result["seconds"] < 2.0


async def test_latency_counts_from_the_intended_start_when_the_server_stalls():
    async with Answering(stall_at=5, stall_s=0.5) as server:
        result = await measure(server, connections=1, seconds=0.5, rate=100.0)
    # The requests that had to wait behind the stalled one are slow as well: nothing is left out.
    assert sum(latency > 100 for latency in result["latencies_ms"]) > 20


async def test_errors_are_counted_with_the_servers_words_when_it_refuses():
    async with Answering(status=400) as server:
        result = await measure(server, connections=1, seconds=0.2)
    assert result["answers"] == 0
    assert result["errors"] > 0
    assert result["first_error"] == "HTTP 400: {}"


async def test_phase_ends_when_nobody_listens():
    async with Answering() as server:
        url = server.url
    result = await run_phase(url, request_bytes(url, BODY), {"connections": 1, "seconds": 30})
    assert result["answers"] == 0
    assert result["errors"] == 100


@given(st.lists(st.floats(0, 1000), max_size=50), st.integers(1, 3))
def test_sample_keeps_the_ends_when_there_are_many(latencies, times):
    many = latencies * (times * 200)
    kept = sample(many)
    assert len(kept) <= MAX_SAMPLES
    assert kept == sorted(kept)
    if many:
        assert (kept[0], kept[-1]) == (min(many), max(many))


def test_request_names_the_host_when_the_address_is_of_version_six():
    assert b"Host: [::1]:8501\r\n" in request_bytes("http://[::1]:8501/x", b"")
