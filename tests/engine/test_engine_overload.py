"""Overload of a real engine: ten times of what a model can do, with a limit, beside a model that nobody overloads.

These are measurements: they take tens of seconds, and what they print is the figure.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest

from tests.reliability.neighbour import neighbour

PHASE_S = 6.0
CONNECTIONS = 48
IN_FLIGHT = 4
OVERLOAD = 10
CALM_RATE = 50


@dataclass
class Outcome:
    """Milliseconds from the write to the whole answer, by status."""

    by_status: dict[int, list[float]] = field(default_factory=dict)
    late: int = 0

    def rate(self, status: int) -> float:
        return len(self.by_status.get(status, ())) / PHASE_S

    def percentile(self, status: int, hundredth: int) -> float:
        values = self.by_status[status]
        return statistics.quantiles(values, n=100)[hundredth - 1] if len(values) > 1 else values[0]


async def send_all(url: str, model: str, ticks: AsyncIterator[None], outcome: Outcome) -> None:
    """One connection that sends at each tick."""
    parts, body = urlsplit(url), b'{"instances": [1.0]}'
    head = (
        f"POST /v1/models/{model}:predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    request = head.encode() + body
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        async for _ in ticks:
            began = time.perf_counter()
            writer.write(request)
            head_bytes = await reader.readuntil(b"\r\n\r\n")
            length = int(head_bytes.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
            took_ms = (time.perf_counter() - began) * 1000
            outcome.by_status.setdefault(int(head_bytes[9:12]), []).append(took_ms)
    finally:
        writer.close()


async def load(url: str, model: str, rate: float | None, connections: int) -> Outcome:
    """What came of a constant stream for one phase; a rate of None is as fast as answers come."""
    outcome, begun, sent = Outcome(), time.perf_counter(), 0

    async def ticks() -> AsyncIterator[None]:
        nonlocal sent
        while (now := time.perf_counter()) < begun + PHASE_S:
            if rate is not None:
                due = begun + sent / rate
                sent += 1
                if due > now:
                    await asyncio.sleep(due - now)
            yield

    await asyncio.gather(*(send_all(url, model, ticks(), outcome) for _ in range(connections)))
    return outcome


@pytest.mark.nightly
async def test_goodput_holds_and_refusals_are_quick_at_ten_times_the_capacity(
    make_saved_models, start_engine, record_case
):
    """L13 and L17: a model with a limit answers as much as ever, and its neighbour does not notice."""
    models = make_saved_models("slow=1", "half_plus_two=1")
    # Every request runs alone: batching would make the model's capacity larger than this machine can overload.
    engine = start_engine("--enable_batching", "--enable_per_model_batching_parameters")
    engine.call("POST", "/control/open", path=str(models))
    engine.wait_version("slow", 1)
    engine.wait_version("half_plus_two", 1)
    url = engine.connection.rest_url
    alone = Outcome(await neighbour(url, "half_plus_two", CALM_RATE, PHASE_S))
    peak = (await load(url, "slow", None, IN_FLIGHT)).rate(200)
    engine.call("PUT", "/control/models/slow/limits", max_in_flight=IN_FLIGHT)
    stormy, answers = await asyncio.gather(
        load(url, "slow", OVERLOAD * peak, CONNECTIONS),
        neighbour(url, "half_plus_two", CALM_RATE, PHASE_S),
    )
    calm = Outcome(answers)
    figures = {
        "id": "L13",
        "peak_per_s": round(peak, 1),
        "offered_per_s": round(sum(map(len, stormy.by_status.values())) / PHASE_S, 1),
        "good_per_s": round(stormy.rate(200), 1),
        "refused_p50_ms": round(stormy.percentile(503, 50), 2),
        "refused_p99_ms": round(stormy.percentile(503, 99), 2),
        "neighbour_p50_ms": [round(alone.percentile(200, 50), 2), round(calm.percentile(200, 50), 2)],
        "neighbour_p99_ms": [round(alone.percentile(200, 99), 2), round(calm.percentile(200, 99), 2)],
    }
    print(json.dumps(figures))
    record_case("L13", "answered at ten times the capacity", 100 * stormy.rate(200) / peak, "% of the peak")
    record_case("L13", "a refusal, median", stormy.percentile(503, 50), "ms")
    record_case("L13", "a refusal, p99", stormy.percentile(503, 99), "ms")
    for name, one in (("before", alone), ("meanwhile", calm)):
        record_case("L17", f"the neighbour's median {name}", one.percentile(200, 50), "ms")
        record_case("L17", f"the neighbour's p99 {name}", one.percentile(200, 99), "ms")
    assert stormy.by_status.keys() == {200, 503}
    assert stormy.rate(200) >= 0.85 * peak
    assert stormy.percentile(503, 50) < 5
    assert calm.by_status.keys() == {200}
