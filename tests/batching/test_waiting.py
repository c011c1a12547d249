"""A line is bounded in time: by what batches are known to take, the rows before a request, and whose turn comes when."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from jupyter_tfserve.batching.caller import QUEUE_CALLER
from jupyter_tfserve.batching.planner import BatchPlanner
from jupyter_tfserve.batching.queue import BatchQueue
from jupyter_tfserve.batching.scheduler import BatchScheduler
from jupyter_tfserve.batching.task import BatchTask
from jupyter_tfserve.batching.waiting import check_wait
from jupyter_tfserve.errors import Code, Overloaded
from jupyter_tfserve.options import BatchOptions
from jupyter_tfserve.types import Tensors

ROW_S = 0.01


def task(rows: int = 1, caller: str = "a", timeout_s: float | None = None, signature: str = "s") -> BatchTask:
    inputs = {"x": np.zeros(max(rows, 1), np.float32)}
    deadline = None if timeout_s is None else timeout_s
    future: asyncio.Future[Tensors] = asyncio.get_running_loop().create_future()
    made = BatchTask(signature, inputs, ("y",), rows, 4, 0.0, deadline, future, caller=caller)
    made.alone = rows == 0
    return made


@pytest.fixture
def planner() -> BatchPlanner:
    """Knows that a row takes 10 ms, in batches of any size."""
    planner = BatchPlanner(BatchOptions())
    for _ in range(64):
        for rows in (1, 32, 64):
            planner.learn("s", rows, rows * ROW_S)
    return planner


def line(planner: BatchPlanner, *tasks: BatchTask) -> BatchQueue:
    queue = BatchQueue(BatchOptions(), planner)
    for one in tasks:
        queue.add(one)
    return queue


def is_admitted(planner: BatchPlanner, queue: BatchQueue, one: BatchTask, lanes: int = 1) -> bool:
    try:
        check_wait(one, queue, planner, lanes, max_wait_ms=1000)
    except Overloaded:
        return False
    return True


async def test_request_is_refused_when_the_rows_before_it_take_longer_than_it_may_wait(planner):
    assert is_admitted(planner, line(planner, *(task() for _ in range(98))), task())
    assert not is_admitted(planner, line(planner, *(task() for _ in range(110))), task())
    assert is_admitted(planner, line(planner, *(task() for _ in range(110))), task(), lanes=2)


async def test_refusal_is_unavailable_and_says_when_to_come_again(planner):
    queue = line(planner, *(task() for _ in range(300)))
    with pytest.raises(Overloaded, match=r"wait for about 3(\.\d)? s, and at most 1 s") as caught:
        check_wait(task(), queue, planner, 1, max_wait_ms=1000)
    assert caught.value.code is Code.UNAVAILABLE
    assert caught.value.retry_after_s == pytest.approx(2, rel=0.1)


async def test_caller_that_has_little_time_is_refused_earlier(planner):
    queue = line(planner, *(task() for _ in range(50)))
    assert not is_admitted(planner, queue, task(timeout_s=0.6))
    assert is_admitted(planner, queue, task(timeout_s=1.4))


async def test_caller_whose_turn_comes_soon_is_admitted_though_another_fills_the_line(planner):
    queue = line(planner, *(task(caller="greedy") for _ in range(1000)))
    assert not is_admitted(planner, queue, task(caller="greedy"))
    assert is_admitted(planner, queue, task(caller="other"))
    for _ in range(60):
        queue.add(task(caller="other"))
    assert not is_admitted(planner, queue, task(caller="other"))


async def test_one_caller_with_few_large_requests_fills_the_line_by_their_rows(planner):
    queue = line(planner, task(rows=150), task(rows=150))
    assert not is_admitted(planner, queue, task())


async def test_large_requests_are_counted_by_what_such_a_one_takes(planner):
    """Run whole, 10,000 rows take 0.7 s, whatever small batches take."""
    planner.learn("s", 10_000, 0.7)
    assert is_admitted(planner, line(planner, task(10_000)), task(10_000))
    assert not is_admitted(planner, line(planner, task(10_000), task(10_000)), task(10_000))


async def test_everybody_is_admitted_while_nothing_is_known_of_the_signature(planner):
    queue = line(planner, *(task(signature="new") for _ in range(1000)))
    assert is_admitted(planner, queue, task(signature="new"))


async def test_requests_that_share_no_batch_are_counted_one_by_one(planner):
    planner.learn_alone("s", 0.2)
    assert is_admitted(planner, line(planner, *(task(0) for _ in range(5))), task(0))
    assert not is_admitted(planner, line(planner, *(task(0) for _ in range(6))), task(0))


async def test_larger_batches_than_any_seen_are_believed_quick_until_they_are_seen():
    """One row takes 0.3 s, and so do 64 for all that is known: a burst is not refused for it."""
    planner = BatchPlanner(BatchOptions())
    for _ in range(4):
        planner.learn("s", 1, 0.3)
    assert is_admitted(planner, line(planner, *(task() for _ in range(150))), task())
    assert not is_admitted(planner, line(planner, *(task() for _ in range(300))), task())


async def test_size_that_is_to_be_tried_next_makes_no_line_longer():
    """Batches of 64 take 0.64 s and gained from growing, so 128 come next: rows still take 10 ms each, 1 s is 100."""
    planner = BatchPlanner(BatchOptions())
    for _ in range(40):
        planner.learn("s", 32, 0.4)
        planner.learn("s", 64, 0.64)
    assert planner.limit("s") == 128
    assert is_admitted(planner, line(planner, *(task() for _ in range(95))), task())
    assert not is_admitted(planner, line(planner, *(task() for _ in range(105))), task())


async def test_line_becomes_shorter_with_the_next_batches_when_the_model_becomes_slower():
    """The machine is busy with something else from now on: sixteen batches would be half a minute."""
    planner = BatchPlanner(BatchOptions())
    for _ in range(50):
        planner.learn("s", 64, 0.64)
    assert is_admitted(planner, line(planner, *(task() for _ in range(90))), task())
    for _ in range(8):
        planner.learn("s", 64, 1.9)
    assert not is_admitted(planner, line(planner, *(task() for _ in range(50))), task())


async def test_line_is_judged_by_the_first_large_batch_as_soon_as_it_is_over():
    planner = BatchPlanner(BatchOptions())
    for _ in range(40):
        planner.learn("s", 1, 0.01)
    assert is_admitted(planner, line(planner, *(task() for _ in range(150))), task())
    planner.learn("s", 60, 0.6)
    assert not is_admitted(planner, line(planner, *(task() for _ in range(150))), task())


class Lane:
    """Takes as long for a row as the test's clock is told."""

    compute_s = busy_share = 0.0

    def __init__(self, now: list[float], row_s: float) -> None:
        self.now, self.row_s, self.gate = now, row_s, asyncio.Event()
        self.gate.set()

    async def run_batch(
        self, signature: str, inputs: Tensors, outputs: tuple[str, ...], timeout_s: float | None
    ) -> Tensors:
        await self.gate.wait()
        self.now[0] += self.row_s * len(inputs["x"])
        return {"y": inputs["x"]}


def ask(scheduler: BatchScheduler, rows: int = 1):
    async def submit() -> Tensors:
        QUEUE_CALLER.set("one")
        return await scheduler.submit("s", {"x": np.zeros(rows, np.float32)}, ("y",))

    return asyncio.get_running_loop().create_task(submit())


async def overloaded(row_s: float, **options: object) -> int:
    """How many of 1,000 requests a scheduler refuses that knows its model and is busy."""
    now = [0.0]
    lane = Lane(now, row_s)
    scheduler = BatchScheduler(BatchOptions(**options), clock=lambda: now[0])  # type: ignore[arg-type]
    scheduler.add_lane(lane)
    for _ in range(20):
        await asyncio.gather(*(ask(scheduler) for _ in range(64)))
    lane.gate.clear()
    asked = [ask(scheduler) for _ in range(1000)]
    for _ in range(5):
        await asyncio.sleep(0)
    refused = [one for one in asked if one.done() and isinstance(one.exception(), Overloaded)]
    lane.gate.set()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(one, dict) for one in answers) == len(asked) - len(refused)
    return len(refused)


async def test_scheduler_refuses_what_would_wait_too_long_and_answers_the_rest():
    assert 400 <= await overloaded(row_s=0.01) <= 520
    assert await overloaded(row_s=0.001) == 0


async def test_scheduler_refuses_nothing_when_the_bound_is_off_or_the_rules_are_upstreams():
    assert await overloaded(row_s=0.01, max_queue_wait_ms=0) == 0
    assert await overloaded(row_s=0.01, strict=True, max_enqueued_batches=100) == 0
