"""What the scheduler does by itself: splits large requests, lets callers take turns, follows new settings at once."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from jupyter_tfserve.batching.caller import QUEUE_CALLER
from jupyter_tfserve.batching.scheduler import BatchScheduler
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.options import BatchOptions
from jupyter_tfserve.types import Tensors


class Lane:
    """Ten times the input, once the gate is open; as long as the test's clock says."""

    compute_s = busy_share = 0.0

    def __init__(self, is_open: bool = True, now: list[float] | None = None, cost_s: float = 0.0) -> None:
        self.batches: list[list[float]] = []
        self.gate = asyncio.Event()
        if is_open:
            self.gate.set()
        self._now = now
        self._cost_s = cost_s

    async def run_batch(
        self, signature: str, inputs: Tensors, outputs: tuple[str, ...], timeout_s: float | None
    ) -> Tensors:
        self.batches.append(inputs["x"].tolist())
        await self.gate.wait()
        if self._now is not None:
            self._now[0] += self._cost_s
        return {"y": inputs["x"] * 10}


def ask(scheduler: BatchScheduler, *values: float, caller: str | None = None, timeout_s: float | None = None):
    async def submit() -> Tensors:
        QUEUE_CALLER.set(caller)
        return await scheduler.submit("s", {"x": np.array(values, np.float32)}, ("y",), timeout_s)

    return asyncio.get_running_loop().create_task(submit())


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def prove(scheduler: BatchScheduler) -> None:
    """Shows twice that rows are independent, which is what the scheduler asks for."""
    for _ in range(2):
        await asyncio.gather(ask(scheduler, 1), ask(scheduler, 2))


async def test_large_request_is_split_when_its_rows_are_proven_independent() -> None:
    scheduler, lane = BatchScheduler(BatchOptions(max_batch_size=4)), Lane()
    scheduler.add_lane(lane)
    await prove(scheduler)
    lane.batches.clear()
    answer = await ask(scheduler, *range(10))
    assert answer["y"].tolist() == [10 * n for n in range(10)]
    assert [len(batch) for batch in lane.batches] == [4, 4, 2]


async def test_large_request_is_run_whole_when_nothing_is_proven() -> None:
    scheduler, lane = BatchScheduler(BatchOptions(max_batch_size=4)), Lane()
    scheduler.add_lane(lane)
    assert (await ask(scheduler, *range(10)))["y"].tolist() == [10 * n for n in range(10)]
    assert [len(batch) for batch in lane.batches] == [10]


async def test_split_request_is_refused_whole_and_admitted_whole() -> None:
    scheduler, lane = BatchScheduler(BatchOptions(max_batch_size=2, max_enqueued_rows=4)), Lane()
    scheduler.add_lane(lane)
    await prove(scheduler)
    lane.gate.clear()
    running = ask(scheduler, 0)
    await turns()
    large = ask(scheduler, *range(9))
    await turns()
    with pytest.raises(ServingError) as error:
        await ask(scheduler, 1)
    assert error.value.code is Code.UNAVAILABLE
    lane.gate.set()
    await running
    assert len((await large)["y"]) == 9


async def test_rows_of_others_run_between_the_pieces_of_a_large_request() -> None:
    scheduler, lane = BatchScheduler(BatchOptions(max_batch_size=4)), Lane()
    scheduler.add_lane(lane)
    await prove(scheduler)
    lane.batches.clear()
    lane.gate.clear()
    large = ask(scheduler, *range(100, 140), caller="large")
    await turns()
    small = ask(scheduler, 1, caller="small")
    await turns()
    lane.gate.set()
    await asyncio.gather(large, small)
    place = next(n for n, batch in enumerate(lane.batches) if 1 in batch)
    assert place <= 4 < len(lane.batches)


async def test_caller_with_one_request_is_not_behind_a_caller_with_a_thousand() -> None:
    scheduler, lane = BatchScheduler(BatchOptions(max_batch_size=8, verify=False)), Lane(is_open=False)
    scheduler.add_lane(lane)
    many = [ask(scheduler, n, caller="many") for n in range(1000)]
    await turns()
    one = ask(scheduler, -1, caller="one")
    await turns()
    lane.gate.set()
    await asyncio.gather(one, *many)
    assert any(-1 in batch for batch in lane.batches[:3])
    order = [n for batch in lane.batches for n in batch if n >= 0]
    assert order == sorted(order)


async def test_lone_row_is_not_behind_another_connections_large_request() -> None:
    """Connections of this machine are one caller, but a request in pieces is a caller of its own."""
    scheduler, lane = BatchScheduler(BatchOptions(max_batch_size=8)), Lane()
    scheduler.add_lane(lane)
    await prove(scheduler)
    lane.gate.clear()
    lane.batches.clear()
    many = ask(scheduler, *range(800))
    await turns()
    one = ask(scheduler, -1)
    await turns()
    lane.gate.set()
    assert (await one)["y"].tolist() == [-10]
    assert (await many)["y"].tolist() == [10 * n for n in range(800)]
    assert any(-1 in batch for batch in lane.batches[:3])


async def test_request_is_not_run_when_its_time_is_up_between_two_sweeps() -> None:
    now = [0.0]
    scheduler = BatchScheduler(BatchOptions(verify=False), clock=lambda: now[0])
    lane = Lane(is_open=False)
    scheduler.add_lane(lane)
    running = ask(scheduler, 0)
    await turns()
    late = ask(scheduler, 1, timeout_s=0.5)
    await turns()
    now[0] = 1.0
    lane.gate.set()
    with pytest.raises(ServingError) as error:
        await late
    assert error.value.code is Code.DEADLINE_EXCEEDED
    await running
    assert lane.batches == [[0]]


async def test_new_settings_hold_for_requests_that_wait() -> None:
    scheduler, lane = BatchScheduler(BatchOptions(verify=False)), Lane(is_open=False)
    scheduler.add_lane(lane)
    running = ask(scheduler, 0)
    await turns()
    waiting = [ask(scheduler, n) for n in range(1, 7)]
    await turns()
    scheduler.configure(BatchOptions(verify=False, max_batch_size=3), {})
    lane.gate.set()
    answers = await asyncio.gather(running, *waiting)
    assert [float(answer["y"][0]) for answer in answers] == [10 * n for n in range(7)]
    assert lane.batches == [[0], [1, 2, 3], [4, 5, 6]]


async def test_settings_of_one_signature_leave_the_others_alone() -> None:
    scheduler, lane = BatchScheduler(BatchOptions(verify=False)), Lane(is_open=False)
    scheduler.add_lane(lane)
    scheduler.configure(BatchOptions(verify=False), {"single": BatchOptions(verify=False, max_batch_size=1)})

    def submit(signature: str, value: float) -> asyncio.Task[Tensors]:
        rows = {"x": np.array([value], np.float32)}
        return asyncio.ensure_future(scheduler.submit(signature, rows, ("y",)))  # type: ignore[return-value]

    running = submit("s", 0)
    await turns()
    waiting = [submit(signature, n) for signature in ("s", "single") for n in (1, 2)]
    await turns()
    lane.gate.set()
    await asyncio.gather(running, *waiting)
    assert sorted(lane.batches) == [[0], [1], [1, 2], [2]]


async def test_costs_are_learned_from_real_batches() -> None:
    now = [0.0]
    scheduler = BatchScheduler(BatchOptions(verify=False), clock=lambda: now[0])
    scheduler.add_lane(Lane(now=now, cost_s=0.25))
    for _ in range(4):
        await ask(scheduler, 1, 2)
    assert scheduler.learned()["s"].milliseconds == {2: 250.0}


async def test_rows_are_padded_only_when_they_are_proven_independent() -> None:
    """A model that looks at all rows at once must not see rows that nobody sent, wherever few sizes are wanted."""
    scheduler, lane = BatchScheduler(BatchOptions(pad_to_powers_of_two=True)), Lane()
    scheduler.add_lane(lane)
    await ask(scheduler, 1, 2, 3)
    assert lane.batches == [[1, 2, 3]]
    await prove(scheduler)
    lane.batches.clear()
    assert (await ask(scheduler, 1, 2, 3))["y"].tolist() == [10, 20, 30]
    assert [len(batch) for batch in lane.batches] == [4]
