"""When a model is held to be stuck: nobody waits for what it runs, others wait for a lane, and it takes far too long."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from jupyter_tfserve.batching.planner import BatchPlanner
from jupyter_tfserve.batching.running import RunningBatch
from jupyter_tfserve.batching.stuck import STUCK_AFTER_S, StuckLanes
from jupyter_tfserve.batching.task import BatchTask
from jupyter_tfserve.options import BatchOptions


@pytest.fixture
async def batch():
    """`batch(rows, began)`: one whose caller has gone."""

    class Lane:
        busy_share = 0.0

    def make(rows: int = 1, began: float = 0.0, is_gone: bool = True) -> RunningBatch:
        future = asyncio.get_running_loop().create_future()
        if is_gone:
            future.cancel()
        inputs = {"x": np.zeros(max(rows, 1), np.float32)}
        return RunningBatch([BatchTask("s", inputs, ("y",), rows, 4, 0.0, None, future)], Lane(), began, 0.0)

    return make


@pytest.fixture
def planner() -> BatchPlanner:
    return BatchPlanner(BatchOptions())


def is_told(stuck: StuckLanes, batches, until_s: float, since_s: float = 0.0) -> bool:
    """Whether one of the looks, ten a second, tells so."""
    return any(stuck.are_stuck(batches, since_s + n / 10) for n in range(int((until_s - since_s) * 10) + 1))


async def test_lanes_are_stuck_when_they_run_for_nobody(batch, planner):
    assert not is_told(StuckLanes(planner), [batch()], STUCK_AFTER_S - 0.2)
    assert is_told(StuckLanes(planner), [batch()], STUCK_AFTER_S + 0.2)


async def test_lanes_are_not_stuck_when_one_works_for_somebody(batch, planner):
    assert not is_told(StuckLanes(planner), [batch(), batch(is_gone=False)], 60)


async def test_lanes_are_not_stuck_when_nobody_waits_or_one_is_free(planner):
    assert not is_told(StuckLanes(planner), [], 60)


@pytest.mark.parametrize("rows", [0, 1])
async def test_slow_model_is_not_stuck_when_its_callers_are_impatient(batch, planner, rows):
    """A batch takes two seconds, its callers wait for half of one: that is no hang."""
    for _ in range(4):
        if rows:
            planner.learn("s", rows, 2.0)
        else:
            planner.learn_alone("s", 2.0)
    assert not is_told(StuckLanes(planner), [batch(rows)], 9.5)
    assert is_told(StuckLanes(planner), [batch(rows)], 10.5)


async def test_waiting_begins_anew_when_somebody_came_meanwhile(batch, planner):
    stuck = StuckLanes(planner)
    assert not is_told(stuck, [batch()], 0.8)
    assert not stuck.are_stuck([batch(is_gone=False)], 0.9)
    assert not is_told(stuck, [batch()], 1.7, since_s=1.0)
    assert is_told(stuck, [batch()], 2.2, since_s=1.8)
