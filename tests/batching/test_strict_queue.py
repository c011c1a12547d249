"""The queue under TensorFlow Serving's rules: its bound, pieces of large requests, and requests that run alone."""

from __future__ import annotations

import asyncio

import numpy as np

from jupyter_tfserve.errors import Code
from tests.batching.strict_batches import (
    FULL,
    TenfoldLane,
    ask,
    refusal,
    strict,
    turns,
)


async def test_queue_is_full_when_the_request_does_not_fit_the_last_open_batch() -> None:
    lane = TenfoldLane(held=True)
    scheduler = strict(lane, max_batch_size=2, max_enqueued_batches=2)
    accepted = [ask(scheduler, 0, 0)]
    await turns()
    accepted += [ask(scheduler, 1, 1), ask(scheduler, 2)]
    await turns()
    assert await refusal(ask(scheduler, 3, 3)) == (
        Code.UNAVAILABLE,
        FULL + "currently 2 batches enqueued and max_enqueued_batches is 2",
    )
    accepted.append(ask(scheduler, 4))
    await turns()
    assert (await refusal(ask(scheduler, 5)))[0] is Code.UNAVAILABLE
    lane.gate.set()
    await asyncio.gather(*accepted)
    assert lane.batches == [[0, 0], [1, 1], [2, 4]]
    assert (await ask(scheduler, 6))["10x"].tolist() == [60]


async def test_bound_is_each_queues_own() -> None:
    lane = TenfoldLane(held=True)
    scheduler = strict(lane, max_batch_size=1, max_enqueued_batches=1)
    running = ask(scheduler, 0)
    await turns()
    waiting = ask(scheduler, 1)
    await turns()
    other = asyncio.ensure_future(scheduler.submit("other", {"x": np.float32([2])}, ("10x",)))
    await turns()
    assert (await refusal(ask(scheduler, 3)))[0] is Code.UNAVAILABLE
    lane.gate.set()
    await asyncio.gather(running, waiting, other)


async def test_bound_of_zero_means_one() -> None:
    lane = TenfoldLane(held=True)
    scheduler = strict(lane, max_batch_size=1, max_enqueued_batches=0)
    running = ask(scheduler, 0)
    await turns()
    waiting = ask(scheduler, 1)
    await turns()
    assert (await refusal(ask(scheduler, 2)))[1].endswith(
        "currently 1 batches enqueued and max_enqueued_batches is 1"
    )
    lane.gate.set()
    await asyncio.gather(running, waiting)


async def test_burst_is_not_refused_when_idle_lanes_are_about_to_take_it() -> None:
    lane = TenfoldLane()
    scheduler = strict(lane, max_batch_size=1, max_enqueued_batches=1)
    scheduler.add_lane(TenfoldLane())
    await asyncio.gather(*(ask(scheduler, n) for n in range(3)))


async def test_split_request_is_refused_whole_when_its_rows_have_no_room() -> None:
    lane = TenfoldLane(held=True)
    scheduler = strict(
        lane,
        max_batch_size=8,
        max_execution_batch_size=2,
        max_enqueued_batches=2,
        enable_large_batch_splitting=True,
    )
    running = ask(scheduler, 0, 0)
    await turns()
    waiting = ask(scheduler, 1)
    await turns()
    assert await refusal(ask(scheduler, 2, 2, 2, 2)) == (
        Code.UNAVAILABLE,
        FULL + "task size is 4 but scheduling capacity is only 3 (num_enqueued_batches=1, "
        "max_enqueued_batches=2, open_batch_size=1, max_execution_batch_size=2)",
    )
    fits = ask(scheduler, 3, 3, 3)
    await turns()
    lane.gate.set()
    await asyncio.gather(running, waiting, fits)
    assert sorted(map(len, lane.batches)) == [2, 2, 2]


async def test_pieces_of_a_cancelled_request_are_not_run() -> None:
    lane = TenfoldLane(held=True)
    scheduler = strict(lane, max_batch_size=9, max_execution_batch_size=1, enable_large_batch_splitting=True)
    running = ask(scheduler, 0)
    await turns()
    split = ask(scheduler, 1, 2, 3)
    await turns()
    split.cancel()
    await turns()
    lane.gate.set()
    await running
    assert (await ask(scheduler, 4))["10x"].tolist() == [40]
    assert lane.batches == [[0], [4]]


async def test_pieces_are_taken_back_when_one_of_them_is_refused() -> None:
    """The bound in bytes is looked at piece by piece."""
    lane = TenfoldLane(held=True)
    scheduler = strict(
        lane,
        max_batch_size=9,
        max_execution_batch_size=1,
        max_enqueued_bytes=8,
        enable_large_batch_splitting=True,
    )
    running = ask(scheduler, 0)
    await turns()
    assert (await refusal(ask(scheduler, 1, 2, 3)))[0] is Code.UNAVAILABLE
    lane.gate.set()
    await running
    assert (await ask(scheduler, 4))["10x"].tolist() == [40]
    assert lane.batches == [[0], [4]]


async def test_unbatched_signature_runs_alone_and_in_turn() -> None:
    lane = TenfoldLane(held=True)
    scheduler = strict(lane, max_batch_size=8, max_enqueued_batches=2)
    running = ask(scheduler, 0, batchable=False)
    await turns()
    waiting = [ask(scheduler, n, n, batchable=False) for n in (1, 2)]
    await turns()
    assert (await refusal(ask(scheduler, 3, batchable=False)))[0] is Code.UNAVAILABLE
    lane.gate.set()
    await asyncio.gather(running, *waiting)
    assert lane.batches == [[0], [1, 1], [2, 2]]
