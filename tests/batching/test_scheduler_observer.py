"""What the scheduler tells its observer, which the metrics of batching are made of."""

from __future__ import annotations

import asyncio

import numpy as np

from jupyter_tfserve.batching.scheduler import BatchScheduler
from jupyter_tfserve.options import BatchOptions


class Told:
    def __init__(self) -> None:
        self.dequeued_tasks: list[tuple[int, int]] = []
        self.waits: list[float] = []
        self.batches: list[tuple[int, int]] = []

    def dequeued(self, tasks, now: float) -> None:
        self.waits += [now - task.enqueued for task in tasks]
        self.dequeued_tasks += [(task.rows, len(task.inputs)) for task in tasks]

    def ran(self, rows: int, executed_rows: int) -> None:
        self.batches.append((rows, executed_rows))


class EchoLane:
    busy_share = 0.0

    async def run_batch(self, _signature, inputs, _outputs, _timeout_s):
        return dict(inputs)


def scheduler(told: Told, **options) -> BatchScheduler:
    made = BatchScheduler(BatchOptions(verify=False, **options), observer=told)
    made.add_lane(EchoLane())
    return made


async def test_observer_hears_of_padding_when_sizes_are_allowed_only():
    """Upstream's AllowedBatchSizesRequirePadding: of 1, 3 and 4, two rows are run as three."""
    told = Told()
    batches = scheduler(told, max_batch_size=4, allowed_batch_sizes=(1, 3, 4))
    answer = await batches.submit("s", {"x": np.float32([1, 2])}, ("x",))
    assert answer["x"].tolist() == [1, 2]
    assert told.dequeued_tasks == [(2, 1)]
    assert told.batches == [(2, 3)]
    assert told.waits[0] >= 0


async def test_observer_hears_of_every_task_once_and_of_its_batch():
    told = Told()
    batches = scheduler(told, max_batch_size=8)
    pair = {"a": np.float32([1]), "b": np.float32([2])}
    await asyncio.gather(*(batches.submit("s", pair, ("a",)) for _ in range(3)))
    assert told.dequeued_tasks == [(1, 2)] * 3
    assert sum(rows for rows, _ in told.batches) == 3


async def test_observer_hears_of_no_rows_when_a_task_cannot_share_a_batch():
    told = Told()
    await scheduler(told).submit("s", {"x": np.float32(1)}, ("x",), batchable=False)
    assert (told.dequeued_tasks, told.batches) == ([(0, 1)], [])
