"""The scheduler with lanes that a test holds in its hand: order, merging, cancelling, losing a worker."""

from __future__ import annotations

import asyncio
from unittest import mock

import numpy as np
import pytest

from jupyter_tfserve.batching.scheduler import LONE_BATCHES, BatchScheduler
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.options import BatchOptions
from jupyter_tfserve.types import Tensors
from tests.batching.held_lanes import FIXED, HeldLane, ask, echo, plain, turns


async def test_requests_of_one_turn_share_a_batch_when_a_lane_is_free() -> None:
    scheduler, lane = plain(), HeldLane(held=False)
    scheduler.add_lane(lane)
    answers = await asyncio.gather(*(ask(scheduler, n) for n in range(5)))
    assert lane.batches == [[0, 1, 2, 3, 4]]
    assert [float(answer["y"][0]) for answer in answers] == [0, 10, 20, 30, 40]


async def test_requests_of_the_next_turn_join_the_batch_when_others_came_together() -> None:
    scheduler, lane = plain(), HeldLane(held=False)
    scheduler.add_lane(lane)
    loop = asyncio.get_running_loop()

    def begin(value: float) -> asyncio.Future[Tensors]:
        future: asyncio.Future[Tensors] = loop.create_future()
        rows = {"x": np.array([value], np.float32)}
        scheduler.begin("serving_default", rows, ("y",), None, True, future)
        return future

    together = [begin(1), begin(2)]
    await asyncio.sleep(0)
    together.append(begin(3))
    await asyncio.gather(*together)
    alone = begin(4)
    await asyncio.sleep(0)
    later = begin(5)
    await asyncio.gather(alone, later)
    assert lane.batches == [[1, 2, 3], [4], [5]]


async def test_request_waits_for_no_other_when_those_before_it_came_alone() -> None:
    scheduler, lane = plain(), HeldLane(held=False)
    scheduler.add_lane(lane)
    for n in range(LONE_BATCHES):
        await ask(scheduler, n)
    await asyncio.gather(*(ask(scheduler, n) for n in (20, 21, 22)))
    assert lane.batches[LONE_BATCHES:] == [[20], [21, 22]]
    await asyncio.gather(*(ask(scheduler, n) for n in (30, 31, 32)))
    assert lane.batches[LONE_BATCHES + 2 :] == [[30, 31, 32]]


async def test_request_that_came_alone_is_ended_when_its_time_is_up() -> None:
    scheduler, lane = plain(), HeldLane(held=False)
    scheduler.add_lane(lane)
    for n in range(LONE_BATCHES):
        await ask(scheduler, n)
    lane.gate.clear()
    with pytest.raises(ServingError) as caught:
        await ask(scheduler, 1, timeout_s=0.001)
    assert caught.value.code is Code.DEADLINE_EXCEEDED
    assert scheduler.statistics().busy_lanes == 1
    lane.gate.set()


async def test_requests_gather_while_the_lane_is_busy() -> None:
    scheduler, lane = plain(max_batch_size=3), HeldLane()
    scheduler.add_lane(lane)
    first = ask(scheduler, 0)
    await turns()
    rest = [ask(scheduler, n) for n in range(1, 6)]
    await turns()
    assert lane.batches == [[0]]
    lane.gate.set()
    await asyncio.gather(first, *rest)
    assert lane.batches == [[0], [1, 2, 3], [4, 5]]


async def test_rows_of_a_request_stay_together_when_the_batch_would_overflow() -> None:
    scheduler, lane = plain(max_batch_size=4), HeldLane(held=False)
    scheduler.add_lane(lane)
    await asyncio.gather(ask(scheduler, 1, 2, 3), ask(scheduler, 4, 5), ask(scheduler, 6))
    assert lane.batches == [[1, 2, 3], [4, 5, 6]]


async def test_request_larger_than_a_batch_runs_alone() -> None:
    scheduler, lane = plain(max_batch_size=2), HeldLane(held=False)
    scheduler.add_lane(lane)
    answers = await asyncio.gather(ask(scheduler, 1, 2, 3), ask(scheduler, 4))
    assert sorted(lane.batches) == [[1, 2, 3], [4]]
    assert list(answers[0]["y"]) == [10, 20, 30]


async def test_unbatched_signature_is_never_merged() -> None:
    scheduler, lane = plain(), HeldLane(held=False)
    scheduler.add_lane(lane)
    await asyncio.gather(*(ask(scheduler, n, n, n, signature=FIXED) for n in range(3)))
    assert lane.batches == [[0, 0, 0], [1, 1, 1], [2, 2, 2]]


async def test_cancelled_request_leaves_the_queue_and_its_mates_are_answered() -> None:
    scheduler, lane = plain(), HeldLane()
    scheduler.add_lane(lane)
    running = ask(scheduler, 0)
    await turns()
    waiting = [ask(scheduler, n) for n in (1, 2, 3)]
    await turns()
    waiting[1].cancel()
    await turns()
    lane.gate.set()
    assert float((await running)["y"][0]) == 0
    assert [float((await waiting[n])["y"][0]) for n in (0, 2)] == [10, 30]
    assert lane.batches == [[0], [1, 3]]


async def test_cancelling_a_running_request_detaches_only_its_caller() -> None:
    scheduler, lane = plain(), HeldLane()
    scheduler.add_lane(lane)
    together = [ask(scheduler, n) for n in (1, 2, 3)]
    await turns()
    assert lane.batches == [[1, 2, 3]]
    together[1].cancel()
    await turns()
    lane.gate.set()
    assert [float((await together[n])["y"][0]) for n in (0, 2)] == [10, 30]
    assert float((await ask(scheduler, 4))["y"][0]) == 40


async def test_expired_request_is_answered_and_never_run() -> None:
    now = [0.0]
    scheduler = BatchScheduler(BatchOptions(verify=False), clock=lambda: now[0])
    lane = HeldLane()
    scheduler.add_lane(lane)
    running = ask(scheduler, 0)
    await turns()
    late = ask(scheduler, 1, timeout_s=0.5)
    await turns()
    now[0] = 1.0
    with pytest.raises(ServingError) as error:
        await asyncio.wait_for(late, 5)
    assert error.value.code is Code.DEADLINE_EXCEEDED
    lane.gate.set()
    await running
    await turns()
    assert lane.batches == [[0]]


async def test_running_request_gets_deadline_exceeded_when_the_model_hangs() -> None:
    now = [0.0]
    scheduler = BatchScheduler(BatchOptions(verify=False), clock=lambda: now[0])
    lane = HeldLane()
    scheduler.add_lane(lane)
    hung = ask(scheduler, 0, timeout_s=0.5)
    await turns()
    now[0] = 1.0
    with pytest.raises(ServingError) as error:
        await asyncio.wait_for(hung, 5)
    assert error.value.code is Code.DEADLINE_EXCEEDED
    assert lane.timeouts == [0.5]
    lane.gate.set()


@pytest.mark.parametrize("is_ended", [True, False], ids=["ended by TensorFlow", "never ended"])
@pytest.mark.parametrize("rows", [1, 2])
async def test_run_that_is_not_over_in_time_is_counted_and_told(is_ended: bool, rows: int) -> None:
    now, told = [0.0], []
    scheduler = BatchScheduler(
        BatchOptions(verify=False), clock=lambda: now[0], on_overrun=lambda: told.append(now[0])
    )

    def late(inputs: Tensors) -> Tensors:
        if is_ended:
            raise ServingError(Code.DEADLINE_EXCEEDED, "Timed out waiting for notification")
        return echo(inputs)

    lane = HeldLane(late)
    scheduler.add_lane(lane)
    asked = [ask(scheduler, row, timeout_s=0.5) for row in range(rows)]
    await turns()
    now[0] = 1.0
    for one in asked:
        with pytest.raises(ServingError):
            await asyncio.wait_for(one, 5)
    lane.gate.set()
    await turns()
    assert (scheduler.statistics().overruns, told) == (1, [1.0])


async def test_run_is_no_overrun_when_it_is_over_in_time_or_nobody_set_one() -> None:
    scheduler, lane = plain(), HeldLane(held=False)
    scheduler.add_lane(lane)
    await ask(scheduler, 1, timeout_s=60)
    await ask(scheduler, 2)
    assert scheduler.statistics().overruns == 0


async def test_full_queue_refuses_with_unavailable() -> None:
    scheduler, lane = plain(max_enqueued_rows=2), HeldLane()
    scheduler.add_lane(lane)
    running = ask(scheduler, 0)
    await turns()
    waiting = [ask(scheduler, 1), ask(scheduler, 2)]
    with pytest.raises(ServingError, match="queue to which this task was submitted is full") as error:
        await ask(scheduler, 3)
    assert error.value.code is Code.UNAVAILABLE
    lane.gate.set()
    await asyncio.gather(running, *waiting)


async def test_poison_row_fails_alone_with_its_own_error() -> None:
    def picky(inputs: Tensors) -> Tensors:
        if 2 in inputs["x"]:
            raise ServingError(Code.INVALID_ARGUMENT, f"bad rows {inputs['x'].tolist()}")
        return echo(inputs)

    scheduler, lane = plain(), HeldLane(picky, held=False)
    scheduler.add_lane(lane)
    answers = await asyncio.gather(*(ask(scheduler, n) for n in (1, 2, 3)), return_exceptions=True)
    assert str(answers[1]) == "INVALID_ARGUMENT: bad rows [2.0]"
    assert [float(answers[n]["y"][0]) for n in (0, 2)] == [10, 30]


async def test_dependent_rows_are_never_merged_when_verified() -> None:
    def cumsum(inputs: Tensors) -> Tensors:
        return {"y": np.cumsum(inputs["x"])}

    scheduler = BatchScheduler(BatchOptions())
    lane = HeldLane(cumsum, held=False)
    scheduler.add_lane(lane)
    for _ in range(3):
        answers = await asyncio.gather(ask(scheduler, 1, 2), ask(scheduler, 3, 4), ask(scheduler, 5))
        assert [list(answer["y"]) for answer in answers] == [[1, 3], [3, 7], [5]]
    assert lane.batches[:4] == [[1, 2, 3, 4, 5], [1, 2], [3, 4], [5]]
    assert lane.batches[4:7] == [[1, 2], [3, 4], [5]]


async def test_output_without_a_row_per_input_row_is_answered_from_single_runs() -> None:
    def total(inputs: Tensors) -> Tensors:
        return {"y": np.array([inputs["x"].sum()])}

    scheduler, lane = plain(), HeldLane(total, held=False)
    scheduler.add_lane(lane)
    answers = await asyncio.gather(ask(scheduler, 1, 2), ask(scheduler, 3, 4))
    assert [list(answer["y"]) for answer in answers] == [[3], [7]]


async def test_independent_rows_are_merged_after_verification() -> None:
    scheduler, lane = BatchScheduler(BatchOptions()), HeldLane(held=False)
    scheduler.add_lane(lane)
    for _ in range(4):
        await asyncio.gather(ask(scheduler, 1), ask(scheduler, 2))
    assert lane.batches == [[1, 2], [1], [2], [1, 2], [1], [2], [1, 2], [1, 2]]


async def test_signatures_take_turns_when_one_is_busy() -> None:
    scheduler, lane = plain(max_batch_size=1), HeldLane()
    scheduler.add_lane(lane)
    flood = [ask(scheduler, 1) for _ in range(5)]
    await turns()
    other = asyncio.ensure_future(scheduler.submit("other", {"x": np.float32([7])}, ("y",)))
    await turns()
    lane.gate.set()
    await asyncio.gather(other, *flood)
    assert lane.batches.index([7]) <= 5


async def test_batch_is_padded_to_an_allowed_size_and_padding_never_leaves() -> None:
    scheduler, lane = plain(allowed_batch_sizes=(4, 8), max_batch_size=8), HeldLane(held=False)
    scheduler.add_lane(lane)
    answers = await asyncio.gather(ask(scheduler, 1, 2), ask(scheduler, 3))
    assert lane.batches == [[1, 2, 3, 3]]
    assert [list(answer["y"]) for answer in answers] == [[10, 20], [30]]
    assert scheduler.statistics().padding_rows == 1


async def test_underfull_batch_waits_for_the_timeout_and_a_full_one_does_not() -> None:
    now = [0.0]
    options = BatchOptions(verify=False, max_batch_size=2, batch_timeout_micros=10_000)
    scheduler, lane = BatchScheduler(options, clock=lambda: now[0]), HeldLane(held=False)
    scheduler.add_lane(lane)
    early = ask(scheduler, 1)
    await turns()
    assert lane.batches == []
    await asyncio.gather(early, ask(scheduler, 2))
    assert lane.batches == [[1, 2]]
    alone = ask(scheduler, 3)
    await turns()
    now[0] = 1.0
    assert float((await asyncio.wait_for(alone, 5))["y"][0]) == 30


async def test_closed_scheduler_fails_the_waiting_and_refuses_the_new() -> None:
    scheduler = plain()
    waiting = ask(scheduler, 1)
    await turns()
    scheduler.close(ServingError(Code.UNAVAILABLE, "gone"))
    for request in (waiting, ask(scheduler, 2)):
        with pytest.raises(ServingError, match="gone"):
            await request


async def test_few_rows_of_a_large_first_batch_are_compared() -> None:
    """Single runs of all 20 would hold up whoever comes after them."""
    scheduler, lane = BatchScheduler(BatchOptions()), HeldLane(held=False)
    scheduler.add_lane(lane)
    answers = await asyncio.gather(*(ask(scheduler, n) for n in range(20)))
    assert [float(answer["y"][0]) for answer in answers] == [10 * n for n in range(20)]
    assert [len(batch) for batch in lane.batches] == [8, *[1] * 8, 8, *[1] * 8, 4]


async def test_large_first_batch_is_answered_right_when_its_rows_depend_on_each_other() -> None:
    scheduler = BatchScheduler(BatchOptions())
    lane = HeldLane(lambda inputs: {"y": np.cumsum(inputs["x"], axis=0)}, held=False)
    scheduler.add_lane(lane)
    answers = await asyncio.gather(*(ask(scheduler, n) for n in range(20)))
    assert [float(answer["y"][0]) for answer in answers] == list(range(20))
    assert [len(batch) for batch in lane.batches] == [8, *[1] * 20]


async def test_batch_mates_are_answered_when_one_of_them_cannot_be_told(caplog) -> None:
    scheduler, lane = plain(), HeldLane(held=False)
    scheduler.add_lane(lane)
    loop = asyncio.get_running_loop()
    broken = mock.Mock(done=lambda: False)
    broken.set_result.side_effect = ZeroDivisionError
    waiters = [loop.create_future(), broken, loop.create_future()]
    for n, waiter in enumerate(waiters):
        scheduler.begin("serving_default", {"x": np.array([n], np.float32)}, ("y",), None, True, waiter)
    answers = await asyncio.wait_for(asyncio.gather(waiters[0], waiters[2]), 20)
    assert [float(answer["y"][0]) for answer in answers] == [0, 20]
    assert lane.batches == [[0, 1, 2]]
    broken.set_result.assert_called_once()
    broken.set_exception.assert_not_called()
    assert caplog.text.count("ZeroDivisionError") == 1
