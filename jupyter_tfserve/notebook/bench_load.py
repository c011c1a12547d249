"""A load generator in a process of its own: `python -m jupyter_tfserve.notebook.bench_load`.

A kernel that measured by itself would share its interpreter with the user's code. Each line of standard input
is a phase of load (JSON), each line of standard output what came of it; it ends when its input does.

Closed loop: so many connections, each sends its next request when the last is answered. Open loop: requests
start at fixed times whatever happened to those before, and their latency counts from those times, so that a
server that falls behind cannot hide it.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

MAX_SAMPLES: Final = 4000
"""Latencies that are handed over: evenly spaced ones of the sorted, so that percentiles stay what they are."""
DRAIN_S: Final = 2.0
ANSWER_TIMEOUT_S: Final = 10.0
MAX_HEAD_BYTES: Final = 64 * 2**10
MAX_ANSWER_BYTES: Final = 2**30
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass(slots=True)
class Tally:
    """What a phase has so far. Latencies in seconds."""

    latencies: list[float] = field(default_factory=list)
    errors: int = 0
    first_error: str = ""

    def fail(self, reason: str) -> None:
        """Counts a request without a good answer."""
        self.errors += 1
        self.first_error = self.first_error or reason


class Wire:
    """One kept connection that sends the same request again and again."""

    def __init__(self, host: str, port: int, request: bytes) -> None:
        self._address = (host, port)
        self._request = request
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, tally: Tally, since: float) -> None:
        """One request and its answer, counted from `since`."""
        try:
            status, body = await asyncio.wait_for(self._exchange(), ANSWER_TIMEOUT_S)
        except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError, ValueError) as error:
            tally.fail(str(error) or type(error).__name__)
            self.close()
            return
        if status == 200:
            tally.latencies.append(time.perf_counter() - since)
        else:
            tally.fail(f"HTTP {status}: {body[:200].decode('utf-8', 'replace')}")

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def _exchange(self) -> tuple[int, bytes]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address, limit=MAX_HEAD_BYTES)
        reader, writer = self._streams
        writer.write(self._request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if length is None or int(length[1]) > MAX_ANSWER_BYTES:
            raise ValueError("an answer without a length")
        return int(head.split(b" ", 2)[1]), await reader.readexactly(int(length[1]))


def request_bytes(url: str, body: bytes) -> bytes:
    """The request as it goes over the wire."""
    parts = urlsplit(url)
    head = (
        f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("ascii") + body


async def run_phase(url: str, request: bytes, phase: Mapping[str, Any]) -> dict[str, Any]:
    """What came of one phase: `{"connections", "seconds", "rate"}`, the rate for the open loop only."""
    parts = urlsplit(url)
    wires = [Wire(parts.hostname or "", parts.port or 80, request) for _ in range(phase["connections"])]
    tally = Tally()
    try:
        # Opening connections is not what is measured.
        await asyncio.gather(*(wire.ask(Tally(), 0.0) for wire in wires))
        began = time.perf_counter()
        if phase.get("rate"):
            await _open_loop(wires, tally, began, phase["rate"], phase["seconds"])
        else:
            await asyncio.gather(*(_closed_loop(wire, tally, began + phase["seconds"]) for wire in wires))
        seconds = time.perf_counter() - began
    finally:
        for wire in wires:
            wire.close()
    return {
        **phase,
        "seconds": seconds,
        "answers": len(tally.latencies),
        "errors": tally.errors,
        "first_error": tally.first_error,
        "latencies_ms": sample([1000 * latency for latency in tally.latencies]),
    }


async def _closed_loop(wire: Wire, tally: Tally, end: float) -> None:
    while (now := time.perf_counter()) < end and tally.errors < 100:
        await wire.ask(tally, now)


async def _open_loop(wires: list[Wire], tally: Tally, began: float, rate: float, seconds: float) -> None:
    """Request number n starts at `began + n / rate`; what has no free connection then waits, and its clock runs."""
    count = max(1, int(rate * seconds))
    due = iter(range(count))

    async def work(wire: Wire) -> None:
        for number in due:
            start = began + number / rate
            delay = start - time.perf_counter()
            if delay > 0:
                await asyncio.sleep(delay)
            elif delay < -DRAIN_S - seconds:
                # Hopelessly late: it counts as not answered, so that a phase ends.
                tally.fail("not answered in time")
                continue
            await wire.ask(tally, start)

    await asyncio.gather(*(work(wire) for wire in wires))


def sample(latencies: list[float]) -> list[float]:
    """At most `MAX_SAMPLES` of them, sorted, with both ends."""
    ordered = sorted(latencies)
    if len(ordered) <= MAX_SAMPLES:
        return ordered
    return [ordered[round(i * (len(ordered) - 1) / (MAX_SAMPLES - 1))] for i in range(MAX_SAMPLES)]


def main() -> None:
    """Serves phases until standard input ends."""
    try:
        import uvloop
    except ImportError:  # Windows
        pass
    else:
        uvloop.install()
    setting = json.loads(sys.stdin.readline())
    request = request_bytes(setting["url"], setting["body"].encode())
    for line in sys.stdin:
        result = asyncio.run(run_phase(setting["url"], request, json.loads(line)))
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
