"""A load process of ours, for open loops and where the public tools are missing: `own_load '{"calls": […], …}'`.

HTTP/1.1 on raw protocols, so that the load costs less than the servers do; gRPC by grpc.aio. In an open loop a request's
clock starts when it was due, also if no connection was free then: what waits for a slow server is counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import re
import sys
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from tests.benchmarks.figures import intended_starts, percentile

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_LAST_CHUNK = b"0\r\n\r\n"
_SPIN_S = 0.0015
"""Timers of event loops are accurate to a millisecond; the rest of a wait is spent looking at the clock."""
_DRAIN_S = 30.0


class Tally:
    """What came of a phase."""

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self.errors = 0
        self.first_error = ""

    def add(self, due: float, error: str) -> None:
        """One answer to a request that was due at `due`."""
        if error:
            self.errors += 1
            self.first_error = self.first_error or error
        else:
            self.latencies.append((time.perf_counter() - due) * 1000)


class Wire(Protocol):
    """One connection."""

    async def ask(self, number: int) -> str:
        """Sends request `number` and waits for the answer: "", or what was wrong."""


class HttpWire(asyncio.Protocol):
    """One connection that carries a request at a time."""

    def __init__(self, requests: list[bytes]) -> None:
        self._requests = requests
        self._answer: asyncio.Future[str] | None = None
        self._buffer = bytearray()
        self._want = 0
        self._status = b""
        self._is_chunked = False
        self._lost = "the connection was closed"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        self._settle(self._lost)

    async def ask(self, number: int) -> str:
        if self._transport.is_closing():
            return self._lost
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(self._requests[number % len(self._requests)])
        return await self._answer

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._want:
            head = self._buffer.find(b"\r\n\r\n")
            if head < 0:
                return
            length = _LENGTH.search(self._buffer, 0, head)
            self._status = bytes(self._buffer[9:12])
            self._is_chunked = length is None and _CHUNKED.search(self._buffer, 0, head) is not None
            if length is None and not self._is_chunked:
                self._lost = "an answer without a length"
                self._transport.abort()
                return
            self._want = head + 4 + (int(length[1]) if length is not None else len(_LAST_CHUNK))
        # One request at a time: what ends with the last chunk is the whole answer.
        if len(self._buffer) >= self._want and (not self._is_chunked or self._buffer.endswith(_LAST_CHUNK)):
            self._buffer.clear()
            self._want = 0
            self._settle("" if self._status == b"200" else f"HTTP {self._status.decode('latin-1')}")

    def _settle(self, error: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(error)


class GrpcWire:
    """One channel of grpc.aio, a connection of its own."""

    def __init__(self, address: str, methods: list[tuple[str, bytes]]) -> None:
        import grpc.aio

        # Channels to one address share a connection unless they are told not to.
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]
        self._channel = grpc.aio.insecure_channel(address, options=options)
        self._calls = [(self._channel.unary_unary(path), body) for path, body in methods]
        self._error = grpc.RpcError

    async def ask(self, number: int) -> str:
        call, body = self._calls[number % len(self._calls)]
        try:
            await call(body)
        except self._error as error:
            return str(error)[:200]
        return ""


async def run_phase(phase: dict[str, Any], bodies: list[bytes]) -> dict[str, Any]:
    """What came of `{"calls", "connections", "seconds", "rate"}`; a rate of 0 is the closed loop."""
    wires = await _connect(phase["calls"], bodies, phase["connections"])
    tally = Tally()
    # The first answers of each connection are not what is measured.
    await asyncio.gather(*(wire.ask(number) for number, wire in enumerate(wires)))
    gc.collect()
    gc.freeze()
    began = time.perf_counter()
    if phase["rate"]:
        await _open(wires, tally, began, intended_starts(phase["rate"], phase["seconds"]))
    else:
        await asyncio.gather(*(_closed(wire, tally, began + phase["seconds"]) for wire in wires))
    return {
        "seconds": time.perf_counter() - began,
        "latencies_ms": tally.latencies,
        "errors": tally.errors,
        "first_error": tally.first_error,
    }


async def _connect(calls: list[dict[str, Any]], bodies: list[bytes], connections: int) -> list[Wire]:
    if calls[0]["grpc"]:
        methods = [(call["path"], body) for call, body in zip(calls, bodies, strict=True)]
        return [GrpcWire(calls[0]["address"], methods) for _ in range(connections)]
    requests = [_request(call, body) for call, body in zip(calls, bodies, strict=True)]
    host, _, port = calls[0]["address"].rpartition(":")
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: HttpWire(requests), host, int(port)) for _ in range(connections)
    ]
    return [wire for _, wire in made]


def _request(call: dict[str, Any], body: bytes) -> bytes:
    headers = {"Host": call["address"], **call["headers"], "Content-Length": len(body)}
    lines = [f"POST {call['path']} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body


async def _closed(wire: Wire, tally: Tally, until: float) -> None:
    number = 0
    while (now := time.perf_counter()) < until and tally.errors < 100:
        tally.add(now, await wire.ask(number))
        number += 1


async def _open(wires: list[Wire], tally: Tally, began: float, starts: Iterable[float]) -> None:
    free, late, under_way = deque(wires), deque[tuple[int, float]](), set[asyncio.Task[None]]()

    async def carry(wire: Wire, number: int, due: float) -> None:
        while True:
            tally.add(due, await wire.ask(number))
            if not late:
                free.append(wire)
                return
            number, due = late.popleft()

    for number, start in enumerate(starts):
        due = began + start
        await _until(due)
        if not free:
            late.append((number, due))
            continue
        task = asyncio.ensure_future(carry(free.popleft(), number, due))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    if under_way:
        _, unanswered = await asyncio.wait(set(under_way), timeout=_DRAIN_S)
        for task in unanswered:
            task.cancel()
        tally.errors += len(unanswered) + len(late)


async def _until(due: float) -> None:
    left = due - time.perf_counter()
    if left > _SPIN_S:
        await asyncio.sleep(left - _SPIN_S)
    while time.perf_counter() < due:  # noqa: ASYNC110 - no event comes for a time of day
        await asyncio.sleep(0)


def main() -> None:
    """Runs the phase that the command line describes, and prints what came of it."""
    with contextlib.suppress(ImportError):
        import uvloop

        uvloop.install()
    phase = json.loads(sys.argv[1])
    bodies = [Path(call["body"]).read_bytes() for call in phase["calls"]]
    told = asyncio.run(run_phase(phase, bodies))
    latencies = sorted(told.pop("latencies_ms"))
    percentiles = {f"p{percent}_ms": percentile(latencies, percent) for percent in (50, 99) if latencies}
    print(json.dumps({**told, **percentiles, "answers": len(latencies)}))


if __name__ == "__main__":
    main()
