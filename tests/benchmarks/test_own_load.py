"""The open loop counts what coordinated omission would hide, and the load process can tell a wrong answer."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.benchmarks.figures import intended_starts
from tests.benchmarks.own_load import Tally, _open, run_phase


class StalledWire:
    """A connection to a server that answers nothing before `until`, and at once from then on."""

    def __init__(self, until: float) -> None:
        self.until = until
        self.asked: list[int] = []

    async def ask(self, number: int) -> str:
        self.asked.append(number)
        while time.perf_counter() < self.until:  # noqa: ASYNC110 - a time of day is no event
            await asyncio.sleep(0)
        return ""


async def test_open_loop_counts_from_when_a_request_was_due_when_the_server_stalls() -> None:
    """One connection, ten requests a 100th of a second apart, no answer for 0.3 s: all ten have waited for it."""
    tally, began = Tally(), time.perf_counter()
    wire = StalledWire(began + 0.3)
    await _open([wire], tally, began, intended_starts(100, 0.1))
    assert wire.asked == list(range(10))
    assert len(tally.latencies) == 10
    assert all(waited >= 300 - 10 * number for number, waited in enumerate(tally.latencies))


async def serve_once(answer: bytes):
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readline():
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            assert await reader.readexactly(length) == b"{}"
            writer.write(answer)
        writer.close()

    return await asyncio.start_server(handle, "127.0.0.1", 0)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", ""),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", ""),
        (b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n", "HTTP 503"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "an answer without a length"),
    ],
)
async def test_load_tells_right_answers_from_others(answer, error) -> None:
    server = await serve_once(answer)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    call = {"address": address, "path": "/", "grpc": False, "headers": {}}
    phase = {"calls": [call], "connections": 2, "seconds": 0.02, "rate": 200.0}
    found = await asyncio.wait_for(run_phase(phase, [b"{}"]), 30)
    server.close()
    assert (found["first_error"][: len(error)], bool(found["latencies_ms"])) == (error, not error)
    assert found["first_error"].startswith(error)
    assert bool(found["latencies_ms"]) is not bool(error)
