"""What a sender can put into one request: sizes, depth, headers."""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time

import grpc
import psutil
import pytest

from jupyter_tfserve.codec import protos
from jupyter_tfserve.engine.freed_memory import KEPT_BYTES
from tests.reliability.oracles import Oracles
from tests.reliability.test_storms import PREDICT as GRPC_PREDICT
from tests.reliability.test_storms import predict_message
from tests.reliability.wire import Wire, post, wires

PREDICT = "/v1/models/half_plus_two:predict"
BODY = b'{"instances": [1.0, 2.0, 5.0]}'
TRIES = 100
REPEATS = 5
CONTROLS = 300
WIDE = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
SMALL_REQUESTS = """
import http.client, select, sys, time
from urllib.parse import urlsplit
url, path, body, most = urlsplit(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
connection = http.client.HTTPConnection(url.hostname, url.port)
taken = []
while len(taken) < most if most else not select.select([sys.stdin], [], [], 0.005)[0]:
    began = time.perf_counter()
    connection.request("POST", path, body)
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 200
    taken.append((time.perf_counter() - began) * 1000)
    if len(taken) == 1:
        print("begun", flush=True)
print(*taken)
"""
"""Until its input ends, or so many."""


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
    assert growth < 16 * 2**20


@pytest.mark.parametrize("is_whole", [True, False], ids=["whole", "cut off"])
async def test_nested_bodies_are_refused_quickly(engine, oracles, record_case, is_whole) -> None:
    slowest = 0.0
    for depth in (50, 100, 101, 1000, 100_000):
        body = b'{"instances": ' + b"[" * depth + (b"1.0" + b"]" * depth + b"}" if is_whole else b"")
        tries = [await refused(engine.connection.rest_url, post(PREDICT, body)) for _ in range(REPEATS)]
        status, _, answer = tries[0]
        # A list of one list … is a tensor of as many dimensions: the model or we say no, and nobody crashes.
        assert 400 <= status < 500, answer[:200]
        oracles.check_clean(answer.decode())
        # The quickest try of each depth: what it costs, not what else the machine does.
        slowest = max(slowest, min(took_ms for _, took_ms, _ in tries))
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
    kept = await Wire.open(url)

    async def accepted(count: int) -> float:
        """Milliseconds of a request with so many headers of half a kilobyte."""
        more = b"".join(b"X-%d: %s\r\n" % (n, b"a" * 500) for n in range(count))
        began = time.perf_counter()
        assert (await kept.ask(start + more + b"\r\n" + BODY))[0] == 200
        return (time.perf_counter() - began) * 1000

    # The quickest of several: what is asked is how the work grows, not what the machine does beside it.
    once, twice = [min([await accepted(count) for _ in range(20)]) for count in (60, 120)]
    kept.close()
    record_case("L9", "twice the headers take", twice / once, "times as long")


@pytest.mark.nightly
@pytest.mark.parametrize("way", ["rows", "columns", "gRPC"])
@pytest.mark.parametrize("count", [100_000, 1_000_000])
async def test_large_lists_are_answered_right(engine, record_case, count, way) -> None:
    """L6: one after the other, while somebody asks for three numbers every few milliseconds."""
    oracles = await asyncio.to_thread(Oracles, engine)
    url, numbers = engine.connection.rest_url, [float(n % 1000) for n in range(count)]
    wanted = [x / 2 + 2 for x in numbers]
    member = {"rows": ("instances", "predictions"), "columns": ("inputs", "outputs")}.get(way)
    control = await waits_of(await others_asking(url, CONTROLS))

    async def over_rest(wire: Wire) -> float:
        body = json.dumps({member[0]: numbers}).encode()
        began = time.perf_counter()
        status, answer = await wire.ask(post(PREDICT, body))
        took = time.perf_counter() - began
        assert status == 200
        assert await asyncio.to_thread(lambda: json.loads(answer)[member[1]]) == wanted
        return took

    async def over_grpc(call) -> float:
        message = predict_message("half_plus_two", numbers)
        began = time.perf_counter()
        answer = await call(message, timeout=60)
        took = time.perf_counter() - began
        read = await asyncio.to_thread(protos.PredictResponse.FromString, answer)
        assert list(read.outputs["y"].float_val) == wanted
        return took

    others = await others_asking(url)
    async with (
        wires(url, 1) as (wire,),
        grpc.aio.insecure_channel(engine.connection.grpc_address, options=WIDE) as channel,
    ):
        call = channel.unary_unary(GRPC_PREDICT)
        took = [await (over_rest(wire) if member else over_grpc(call)) for _ in range(REPEATS)]
    waits = await waits_of(others)
    record_case("L6", f"{count:,} numbers as {way}, both ways", statistics.median(took) * 1000, "ms")
    record_case("L6", f"p99 of three numbers meanwhile ({way}, {count:,})", percentile(waits, 99), "ms")
    record_case("L6", "p99 of three numbers alone", percentile(control, 99), "ms")
    kept = await asyncio.to_thread(lambda: oracles.check(slack_bytes=KEPT_BYTES).resident_bytes)
    record_case(
        "L6", f"memory kept after {REPEATS} of them", (kept - oracles.before.resident_bytes) / 2**20, "MiB"
    )


async def others_asking(url: str, most: int = 0) -> asyncio.subprocess.Process:
    """Somebody who sends small requests, each of which must be answered, and has begun to.

    The engine's loop is what they wait for, so they are sent from a process of their own.
    """
    command = [sys.executable, "-c", SMALL_REQUESTS, url, PREDICT, BODY.decode(), str(most)]
    process = await asyncio.create_subprocess_exec(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"begun\n"
    return process


async def waits_of(others: asyncio.subprocess.Process) -> list[float]:
    """Milliseconds that their requests took: what the event loop's lag costs them. They end now, or at their number."""
    told, _ = await others.communicate(b"")
    assert others.returncode == 0
    return [float(line) for line in told.split()]


def percentile(values: list[float], hundredth: int) -> float:
    return statistics.quantiles(values, n=100)[hundredth - 1]
