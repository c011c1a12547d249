"""stopwatch: where a request's time goes adds up, and the scheduler tells the two parts that it knows."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tfserve.batching.scheduler import BatchScheduler
from jupyter_tfserve.batching.stopwatch import Stopwatch, server_timing
from jupyter_tfserve.options import BatchOptions

SPAN = st.floats(0, 100)


class TimedLane:
    """A model that takes `compute_s`, and a clock that goes on while it is asked."""

    busy_share = 0.0

    def __init__(self, clock: Clock, compute_s: float) -> None:
        self.clock, self.compute_s = clock, compute_s

    async def run_batch(self, signature, inputs, outputs, timeout_s):
        self.clock.now += 10
        return {"y": inputs["x"]}


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def ask(scheduler: BatchScheduler, watch: Stopwatch | None) -> asyncio.Future:
    rows = np.zeros(2, np.float32)
    return asyncio.ensure_future(scheduler.submit("s", {"x": rows}, ("y",), None, True, watch))


@pytest.mark.parametrize(
    ("options", "computed"),
    [
        (BatchOptions(verify=False), 1.5),
        (BatchOptions(verify=True), 3.0),
        (BatchOptions(strict=True, verify=False), 1.5),
        (BatchOptions(enabled=False, max_batch_size=2), 1.5),
    ],
    ids=["merged", "verified", "strict", "alone"],
)
async def test_scheduler_tells_the_wait_and_the_models_time(options, computed):
    clock = Clock()
    scheduler = BatchScheduler(options, clock)
    first, second = Stopwatch(0.0), Stopwatch(0.0)
    waiting = [ask(scheduler, first), ask(scheduler, None), ask(scheduler, second)]
    await asyncio.sleep(0)
    clock.now = 4.0
    scheduler.add_lane(TimedLane(clock, 1.5))
    await asyncio.gather(*waiting)
    assert first.queue_s == 4.0
    assert first.compute_s == computed


@given(SPAN, SPAN, SPAN, SPAN, SPAN)
def test_stages_add_up_to_the_whole(decode, queue, batch, compute, encode):
    watch = Stopwatch(5.0, 5.0 + decode, queue + batch + compute, queue, compute)
    end = 5.0 + decode + watch.run_s + encode
    stages = watch.split(end)
    assert sum(stages.values()) == pytest.approx(end - 5.0, abs=1e-6)
    assert [stages[name] for name in ("queue", "compute")] == pytest.approx([queue, compute], abs=1e-6)
    assert stages["batch"] == pytest.approx(batch, abs=1e-6)


def test_model_takes_no_longer_than_the_run_when_pieces_ran_side_by_side():
    watch = Stopwatch(0.0, 0.0, run_s=1.0, queue_s=0.25, compute_s=1.5)
    assert watch.split(1.0) == {"decode": 0, "queue": 0.25, "batch": 0, "compute": 0.75, "encode": 0}


def test_header_is_in_milliseconds_with_the_whole_at_its_end():
    watch = Stopwatch(1.0, 1.25, 0.5, 0.125, 0.25)
    assert server_timing(watch, 2.0) == (
        "decode;dur=250.0000, queue;dur=125.0000, batch;dur=125.0000, compute;dur=250.0000, "
        "encode;dur=250.0000, total;dur=1000.0000"
    )
