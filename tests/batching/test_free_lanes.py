"""Which replica's lane takes the next batch."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from jupyter_tfserve.batching.free_lanes import take_least_loaded
from jupyter_tfserve.batching.overlap import LaneOverlap, Turns
from jupyter_tfserve.batching.scheduler import BatchScheduler
from jupyter_tfserve.options import BatchOptions
from jupyter_tfserve.types import Tensors


class Lane:
    """Runs until it is told to stop."""

    def __init__(self) -> None:
        self.compute_s = self.busy_share = 0.0
        self.gate = asyncio.Event()
        self.batches = 0

    async def run_batch(
        self, signature: str, inputs: Tensors, outputs: tuple[str, ...], timeout_s: float | None
    ) -> Tensors:
        self.batches += 1
        await self.gate.wait()
        return inputs


@given(st.integers(2, 5), st.integers(1, 4))
def test_batches_differ_by_at_most_one_between_replicas_when_none_ends(replicas, lanes_each):
    replica_of = {Lane(): replica for replica in range(replicas) for _ in range(lanes_each)}
    free = list(replica_of)
    taken: Counter[int] = Counter()
    while free:
        taken[replica_of[take_least_loaded(free, replica_of)]] += 1
        counts = [taken[replica] for replica in range(replicas)]
        assert max(counts) - min(counts) <= 1
    assert sum(taken.values()) == replicas * lanes_each


def test_batch_goes_to_the_idle_replica_when_another_has_a_free_lane_too():
    busy, idle = [Lane(), Lane()], [Lane(), Lane()]
    replica_of = {**dict.fromkeys(busy, 0), **dict.fromkeys(idle, 1)}
    free = [*busy, *idle]
    assert take_least_loaded(free, replica_of) is busy[0]
    assert take_least_loaded(free, replica_of) is idle[0]
    free.append(idle[0])
    assert take_least_loaded(free, replica_of) in idle


def test_lanes_run_side_by_side_when_they_are_of_several_replicas():
    @dataclass
    class Batch:
        began: float
        mark: float
        rows: int = 8
        signature: str = "s"
        busy_share: float = 1.0

    overlap = LaneOverlap()
    seen = set()
    for spread in (False, True):
        overlap.is_spread = spread
        for number in range(100):
            overlap.ended(number + 0.5, Batch(number, overlap.began(number, number)))
            seen.add((spread, overlap.turns))
    assert Turns.ONE_AT_A_TIME in {turns for spread, turns in seen if not spread}
    assert {turns for spread, turns in seen if spread} == {Turns.SIDE_BY_SIDE}


async def test_requests_go_to_every_replica_when_all_are_idle():
    scheduler = BatchScheduler(BatchOptions(enabled=False))
    lanes = [Lane() for _ in range(4)]
    for number, lane in enumerate(lanes):
        scheduler.add_lane(lane, number // 2)
    asked = []
    for _ in range(2):
        asked.append(asyncio.ensure_future(scheduler.submit("s", {}, (), batchable=False)))
        for _ in range(5):
            await asyncio.sleep(0)
    assert [sum(lane.batches for lane in lanes[:2]), sum(lane.batches for lane in lanes[2:])] == [1, 1]
    for lane in lanes:
        lane.gate.set()
    await asyncio.gather(*asked)
    scheduler.remove_lane(lanes[2])
    scheduler.remove_lane(lanes[3])
    assert scheduler.statistics().lanes == 2
