"""What a sender can put into one request: sizes, depth, headers."""

from __future__ import annotations

import asyncio
import json
import time

import psutil
import pytest

from tests.reliability.oracles import Oracles
from tests.reliability.wire import Wire, post

PREDICT = "/v1/models/half_plus_two:predict"
BODY = b'{"instances": [1.0, 2.0, 5.0]}'
TRIES = 100


async def refused(url: str, request: bytes) -> tuple[int, float, bytes]:
    """Status, milliseconds and body of the answer to bytes that may be no whole request."""
    wire = await Wire.open(url)
    try:
        began = time.perf_counter()
        status, body = await asyncio.wait_for(wire.ask(request), 60)
        return status, (time.perf_counter() - began) * 1000, body
    finally:
        wire.close()


async def test_huge_bodies_cost_no_memory(engine, oracles, record_case) -> None:
    url, process = engine.connection.rest_url, psutil.Process(engine.process.pid)
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: localhost\r\n".encode()
    announced = head + b"Content-Length: 2147483648\r\n\r\n" + b"[" * 60_000
    assert (await refused(url, announced))[0] == 413
    before = process.memory_info().rss
    for _ in range(TRIES):
        assert (await refused(url, announced))[0] == 413
    pieces = head + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\n \r\n" * 1_000_000 + b"0\r\n\r\n"
    status, _, body = await refused(url, pieces)
    assert status == 400
    oracles.check_clean(body.decode())
    growth = process.memory_info().rss - before
    record_case("L4", f"memory after {TRIES} of them and a million pieces", growth / 2**20, "MiB more")
    assert growth < 64 * 2**20


@pytest.mark.parametrize("is_whole", [True, False], ids=["whole", "cut off"])
async def test_nested_bodies_are_refused_quickly(engine, oracles, record_case, is_whole) -> None:
    slowest = 0.0
    for depth in (50, 100, 101, 1000, 100_000):
        body = b'{"instances": ' + b"[" * depth + (b"1.0" + b"]" * depth + b"}" if is_whole else b"")
        status, took_ms, answer = await refused(engine.connection.rest_url, post(PREDICT, body))
        # A list of one list … is a tensor of as many dimensions: the model or we say no, and nobody crashes.
        assert 400 <= status < 500, answer[:200]
        oracles.check_clean(answer.decode())
        slowest = max(slowest, took_ms)
    record_case("L5", f"slowest refusal, {'whole' if is_whole else 'cut off'}", slowest, "ms")


async def test_hostile_headers_are_answered(engine, oracles, record_case) -> None:
    url = engine.connection.rest_url
    start = f"POST {PREDICT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(BODY)}\r\n".encode()
    hostile = {
        b"X-Long: " + b"a" * 70_000 + b"\r\n": 431,
        b"".join(b"X-%d: 1\r\n" % n for n in range(1000)): 431,
        b"X-Same: 1\r\n" * 10_000: 431,
        b"Transfer-Encoding: chunked\r\n": 400,
        b"Content-Length: 3\r\n": 400,
        b"X-Control: a\0b\r\n": 400,
        b"No colon\r\n": 400,
    }
    slowest = 0.0
    for headers, wanted in hostile.items():
        status, took_ms, answer = await refused(url, start + headers + b"\r\n" + BODY)
        assert status == wanted, headers[:40]
        oracles.check_clean(answer.decode())
        slowest = max(slowest, took_ms)
    record_case("L9", "slowest refusal", slowest, "ms")


@pytest.mark.nightly
@pytest.mark.parametrize("count", [100_000, 1_000_000])
async def test_large_lists_are_answered_right(engine, record_case, count) -> None:
    oracles = Oracles(engine)
    numbers = [float(n % 1000) for n in range(count)]
    body = json.dumps({"instances": numbers}).encode()
    wire = await Wire.open(engine.connection.rest_url)
    began = time.perf_counter()
    status, answer = await wire.ask(post(PREDICT, body))
    took = time.perf_counter() - began
    wire.close()
    assert status == 200
    assert json.loads(answer)["predictions"] == [x / 2 + 2 for x in numbers]
    record_case("L6", f"{count:,} rows, both ways", took * 1000, "ms")
    record_case("L6", "event loop's largest lag meanwhile", oracles.loop_lag_s() * 1000, "ms")
