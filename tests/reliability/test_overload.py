"""Ten times as many requests as a model can answer, with the settings that an engine has by default.

An open loop: requests come at their time, whatever became of those before them, each on a connection that is free.
What is asserted are counts; times are figures, since client and server share the machine's cores.
"""

from __future__ import annotations

import asyncio
import resource
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from jupyter_tfserve.engine.descriptors import PORTS, raised_limit
from jupyter_tfserve.options import LimitOptions
from tests.reliability.neighbour import neighbour
from tests.reliability.oracles import GOOD, Oracles
from tests.reliability.test_storms import rows_request
from tests.reliability.wire import Wire, wires

PEAK_S = 8.0
FILLING_S = 8.0
"""The line is full then, and answers come as late as they ever will."""
COUNTED_S = 12.0
OVERLOAD = 10
NEIGHBOUR_RATE = 50


@dataclass
class Outcome:
    """Milliseconds of the answers that came from `since` on, by status."""

    since: float
    by_status: dict[int, list[float]] = field(default_factory=dict)
    texts: dict[int, bytes] = field(default_factory=dict)
    """An answer of each."""

    def note(self, status: int, began: float, text: bytes) -> None:
        now = time.perf_counter()
        self.texts.setdefault(status, text[:300])
        if now >= self.since:
            self.by_status.setdefault(status, []).append((now - began) * 1000)

    def count(self, status: int) -> int:
        return len(self.by_status.get(status, ()))

    def percentile(self, status: int, hundredth: int) -> float:
        return statistics.quantiles(self.by_status[status], n=100)[hundredth - 1]


async def closed_loop(url: str, model: str, connections: int, seconds: float) -> float:
    """Answers a second to callers who ask again as soon as they are answered."""
    end, answered = time.perf_counter() + seconds, 0

    async def ask(wire: Wire) -> None:
        nonlocal answered
        while time.perf_counter() < end:
            status, body = await wire.ask(rows_request([1.0], model))
            assert status == 200, body
            answered += 1

    async with wires(url, connections) as opened:
        await asyncio.gather(*map(ask, opened))
    return answered / seconds


async def open_loop(url: str, model: str, rate: float, outcome: Outcome, end: float) -> None:
    """So many requests a second until `end`; who still waits then hangs up."""
    opened: list[Wire] = []
    free: list[Wire] = []
    under_way: set[asyncio.Task[None]] = set()
    request, begun, sent = rows_request([1.0], model), time.perf_counter(), 0

    async def ask(began: float) -> None:
        if free:
            wire = free.pop()
        else:
            wire = await Wire.open(url)
            opened.append(wire)
        status, text = await wire.ask(request)
        outcome.note(status, began, text)
        free.append(wire)

    while (now := time.perf_counter()) < end:
        due = begun + sent / rate
        if due > now:
            await asyncio.sleep(due - now)
        sent += 1
        # From when it should have been sent: a client that is late must not make the server look quick.
        task = asyncio.ensure_future(ask(max(due, begun)))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    for task in under_way:
        task.cancel()
    await asyncio.gather(*under_way, return_exceptions=True)
    for wire in opened:
        wire.close()
    await asyncio.gather(*(wire.writer.wait_closed() for wire in opened), return_exceptions=True)


@pytest.fixture
def many_files() -> Iterator[None]:
    """A connection for each request that waits."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    raised_limit(PORTS * LimitOptions().max_connections)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.nightly
@pytest.mark.usefixtures("many_files")
async def test_goodput_holds_by_default_at_ten_times_the_capacity(
    saved_models, tmp_path, start_engine, record_case
) -> None:
    """L13 and L17, without any limit set: `costly_rows` gains nothing from batches, so it can be overloaded."""
    models = tmp_path / "models"
    models.mkdir()
    for name in ("costly_rows", GOOD):
        (models / name).symlink_to(saved_models / name)
    engine = await asyncio.to_thread(start_engine, f"--model_base_path={models}")
    for name in ("costly_rows", GOOD):
        await asyncio.to_thread(engine.wait_version, name, 1)
    oracles, url = await asyncio.to_thread(Oracles, engine), engine.connection.rest_url
    # Its first batches are run one by one to compare them: after that is what a server does all day.
    await closed_loop(url, "costly_rows", 64, 2.0)
    peak = await closed_loop(url, "costly_rows", 64, PEAK_S)
    alone = Outcome(0, await neighbour(url, GOOD, NEIGHBOUR_RATE, PEAK_S))
    begun = time.perf_counter()
    stormy = Outcome(begun + FILLING_S)
    storm_s = FILLING_S + COUNTED_S
    _, answers = await asyncio.gather(
        open_loop(url, "costly_rows", OVERLOAD * peak, stormy, begun + storm_s),
        neighbour(url, GOOD, NEIGHBOUR_RATE, storm_s, FILLING_S),
    )
    calm = Outcome(0, answers)
    good_rate, refused = stormy.count(200) / COUNTED_S, stormy.count(503)
    record_case(
        "L13", "answered by default at ten times the capacity", 100 * good_rate / peak, "% of the peak"
    )
    record_case(
        "L13", "offered meanwhile", (stormy.count(200) + refused) / COUNTED_S / peak, "times the peak"
    )
    record_case("L13", "a refusal by default, median", stormy.percentile(503, 50), "ms")
    record_case("L13", "a refusal by default, p99", stormy.percentile(503, 99), "ms")
    record_case("L13", "an answer of the full line, p99", stormy.percentile(200, 99) / 1000, "s")
    for name, one in (("before", alone), ("meanwhile", calm)):
        record_case("L17", f"the neighbour's median {name}, by default", one.percentile(200, 50), "ms")
        record_case("L17", f"the neighbour's p99 {name}, by default", one.percentile(200, 99), "ms")
    assert stormy.by_status.keys() == {200, 503}, stormy.texts
    assert calm.by_status.keys() == {200}
    assert good_rate >= 0.85 * peak
    await asyncio.to_thread(oracles.check)
