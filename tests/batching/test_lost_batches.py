"""Batches whose worker died or never comes to an end: who is tried again, and who is refused."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from jupyter_tfserve.batching.scheduler import BatchScheduler, LaneGone
from jupyter_tfserve.errors import Code, ServingError, invalid_argument
from jupyter_tfserve.options import BatchOptions
from jupyter_tfserve.types import Tensors
from tests.batching.held_lanes import HeldLane, ask, plain, turns


async def test_lost_batch_is_retried_one_by_one_on_the_next_lane() -> None:
    class DyingLane(HeldLane):
        async def run_batch(self, *call: object) -> Tensors:
            raise LaneGone("signal 9")

    scheduler, dying = plain(), DyingLane()
    scheduler.add_lane(dying)
    requests = [ask(scheduler, n) for n in (1, 2)]
    await turns()
    lane = HeldLane(held=False)
    scheduler.add_lane(lane)
    assert [float((await request)["y"][0]) for request in requests] == [10, 20]
    assert lane.batches == [[1], [2]]


async def test_request_that_kills_two_workers_is_unavailable() -> None:
    class DyingLane(HeldLane):
        async def run_batch(self, *call: object) -> Tensors:
            raise LaneGone("signal 6")

    scheduler = plain()
    scheduler.add_lane(DyingLane())
    request = ask(scheduler, 1)
    await turns()
    scheduler.add_lane(DyingLane())
    with pytest.raises(ServingError, match="signal 6") as error:
        await request
    assert error.value.code is Code.UNAVAILABLE


async def test_request_whose_shape_kills_is_refused_and_its_neighbours_are_tried_again() -> None:
    """One death: neither the killer nor its like in the queue reaches the next worker."""

    class DyingLane(HeldLane):
        async def run_batch(self, *call: object) -> Tensors:
            await self.gate.wait()
            raise LaneGone("signal 6")

    def refusal(_signature: str, inputs: Tensors) -> ServingError | None:
        return invalid_argument("has no channel") if inputs["x"][0] < 0 else None

    scheduler, dying = BatchScheduler(BatchOptions(verify=False), refusal=refusal), DyingLane()
    scheduler.add_lane(dying)
    ran = [ask(scheduler, n) for n in (1, -1, 2)]
    await turns()
    ran[0].cancel()
    waited = [ask(scheduler, n) for n in (-2, 3)]
    await turns()
    dying.gate.set()
    answers = await asyncio.gather(ran[1], waited[0], return_exceptions=True)
    assert [getattr(answer, "code", None) for answer in answers] == [Code.INVALID_ARGUMENT] * 2
    lane = HeldLane(held=False)
    scheduler.add_lane(lane)
    assert [float((await request)["y"][0]) for request in (ran[2], waited[1])] == [20, 30]
    assert lane.batches == [[2], [3]]


async def test_stuck_is_told_when_every_lane_computes_for_nobody_and_others_wait() -> None:
    now, stuck = [0.0], asyncio.Event()
    scheduler = BatchScheduler(BatchOptions(verify=False), clock=lambda: now[0], on_stuck=stuck.set)
    lanes = [HeldLane(), HeldLane()]
    scheduler.add_lane(lanes[0])
    scheduler.add_lane(lanes[1])
    abandoned = ask(scheduler, 1, timeout_s=0.5)
    await turns()
    patient = ask(scheduler, 2)
    await turns()
    waiting = ask(scheduler, 3, timeout_s=1000)
    now[0] = 1.0
    with pytest.raises(ServingError):
        await asyncio.wait_for(abandoned, 5)
    now[0] = 100.0
    other = ask(scheduler, 4, timeout_s=0.001)
    await turns()
    now[0] = 101.0
    with pytest.raises(ServingError):  # the sweep has looked: one lane still works for somebody
        await asyncio.wait_for(other, 5)
    assert not stuck.is_set()
    patient.cancel()
    for step in range(200):
        if stuck.is_set():
            break
        now[0] = 102.0 + step
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(stuck.wait(), 0.05)
    assert stuck.is_set()
    for lane in lanes:
        lane.gate.set()
    assert float((await waiting)["y"][0]) == 30
