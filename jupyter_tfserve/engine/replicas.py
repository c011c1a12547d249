"""The processes that serve one version: how many there are, and the replacement of one that dies.

All of them serve one line of requests: a batch goes to the replica that has the least to do, and one that was lost
with its replica to another. Belongs to the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol

from jupyter_tfserve.batching.lane import BatchLane, LaneGone
from jupyter_tfserve.errors import Code, ModelDied, ServingError
from jupyter_tfserve.types import Tensors
from jupyter_tfserve.worker.lane import Call, Lane, LaneLost
from jupyter_tfserve.worker.worker import Worker

RESTART_BACKOFF_S: Final = (0.0, 0.0, 0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""How long to wait before the first, second, … start of a row."""
FORGIVEN_AFTER_S: Final = 1.0
"""Each such while that a worker lives takes one death before it out of the row: one that is killed now and then is
replaced at once, one that dies as soon as it is up is not."""


class LaneTaker(Protocol):
    """The scheduler."""

    def add_lane(self, lane: BatchLane, replica: int = 0) -> None:
        """The lane takes batches from now on."""

    def remove_lane(self, lane: BatchLane) -> None:
        """The lane gets no further batch."""


class ReplicaHost(Protocol):
    """The version, as its replicas need it."""

    async def spawn(self, is_replacement: bool = False) -> Worker:
        """A worker that has loaded the version; its ServingError. Requests may wait for a replacement."""

    async def prepare(self, worker: Worker) -> None:
        """Warms up a worker that joins others, before it takes requests; its ServingError."""

    def crashed(self, reason: str) -> None:
        """A worker has ended unasked."""

    def spawn_failed(self, error: ServingError) -> None:
        """Another worker could not be started; it is tried again."""

    def is_given_up(self, error: ModelDied) -> bool:
        """A worker died by its model's own fault: whether that was once too often, and no other is to follow."""


class WorkerLane:
    """A worker's lane as the scheduler wants it. `on_lost` is called before the batch is given back."""

    def __init__(self, lane: Lane, on_lost: Callable[[], None] = lambda: None) -> None:
        self._lane = lane
        self._on_lost = on_lost
        self.compute_s = 0.0
        self.busy_share = 0.0

    async def run_batch(
        self, signature: str, inputs: Tensors, outputs: tuple[str, ...], timeout_s: float | None
    ) -> Tensors:
        """See `BatchLane`."""
        try:
            result = await self._lane.submit(Call(signature, inputs, outputs, timeout_s))
        except LaneLost as lost:
            self._on_lost()
            raise LaneGone(lost.message) from None
        self.compute_s = result.compute_s
        self.busy_share = result.busy_share
        return result.outputs


class Replica:
    """One process of a version, replaced when it dies, until it is retired."""

    def __init__(self, worker: Worker, number: int, lanes: LaneTaker, host: ReplicaHost) -> None:
        self.worker: Worker | None = worker
        self._number = number
        self._taker = lanes
        self._host = host
        self._lanes: list[WorkerLane] = []
        self._lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._adopt(worker)
        self._keeper = asyncio.get_running_loop().create_task(self._keep_alive(worker))

    async def retire(self) -> None:
        """Ends the process once its batches are answered; its memory is the system's again."""
        self._keeper.cancel()
        await asyncio.wait([self._keeper])
        for lane in self._lanes:
            self._taker.remove_lane(lane)
        if self.worker is not None:
            await self.worker.stop()
            self.worker = None

    def _adopt(self, worker: Worker) -> None:
        self.worker = worker
        self._lost = asyncio.get_running_loop().create_future()
        self._lanes = [WorkerLane(lane, self._drop_lanes) for lane in worker.lanes]
        for lane in self._lanes:
            self._taker.add_lane(lane, self._number)

    async def _keep_alive(self, worker: Worker) -> None:
        """Replaces the worker whenever it dies, until cancelled by `retire`."""
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            started = loop.time()
            reason = await self._end_of(worker, self._lost)
            self._host.crashed(reason)
            if worker.is_own_fault and self._host.is_given_up(ModelDied(Code.UNAVAILABLE, reason)):
                return
            failures = deaths_in_a_row(failures, loop.time() - started)
            next_worker = await self._respawn(failures)
            if next_worker is None:
                return
            worker = next_worker
            failures += 1
            self._adopt(worker)

    async def _end_of(self, worker: Worker, lost: asyncio.Future[None]) -> str:
        """Why the worker ended, when it is gone. A lane that was lost because it spoke nonsense ends it too."""
        ends: list[asyncio.Future[Any]] = [worker.died, lost]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        self._drop_lanes()
        await worker.stop()
        self.worker = None
        return await worker.died

    async def _respawn(self, failures: int) -> Worker | None:
        """The next worker; None if the version was given up."""
        while True:
            await asyncio.sleep(RESTART_BACKOFF_S[min(failures, len(RESTART_BACKOFF_S) - 1)])
            failures += 1
            try:
                return await self._host.spawn(is_replacement=True)
            except ServingError as error:
                self._host.spawn_failed(error)
                if isinstance(error, ModelDied) and self._host.is_given_up(error):
                    return None

    def _drop_lanes(self) -> None:
        """One lost lane is a lost worker: a batch that is given back must not go to its other lanes."""
        if not self._lost.done():
            self._lost.set_result(None)
        for lane in self._lanes:
            self._taker.remove_lane(lane)
        self._lanes = []


class ReplicaSet:
    """A version's replicas: as many as were asked for last."""

    def __init__(self, lanes: LaneTaker, host: ReplicaHost) -> None:
        self._taker = lanes
        self._host = host
        self._replicas: list[Replica] = []
        self._wanted = 1
        self._next_number = 0
        self._resizing: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def workers(self) -> tuple[Worker, ...]:
        """Those that are alive."""
        return tuple(each.worker for each in self._replicas if each.worker is not None)

    async def start(self, count: int) -> tuple[Worker, ...]:
        """So many workers, started side by side, none of which takes requests before `join`.

        The first one's ServingError if any of them fails; then, or if it is cancelled, none is left.
        """
        self._wanted = count
        return await spawn_all([self._host.spawn for _ in range(count)])

    def join(self, worker: Worker) -> None:
        """The worker takes requests from now on."""
        self._replicas.append(Replica(worker, self._next_number, self._taker, self._host))
        self._next_number += 1

    def resize(self, count: int) -> None:
        """So many replicas as soon as that can be; requests that run on those that go are answered."""
        self._wanted = count
        if len(self._replicas) == count:
            return
        if self._resizing is None or self._resizing.done():
            self._resizing = asyncio.get_running_loop().create_task(self._resize())

    async def close(self) -> None:
        """Ends them all."""
        self._closed = True
        if self._resizing is not None:
            self._resizing.cancel()
            await asyncio.wait([self._resizing])
        await asyncio.gather(*(replica.retire() for replica in self._replicas))
        self._replicas = []

    async def _resize(self) -> None:
        failures = 0
        while not self._closed and len(self._replicas) != self._wanted:
            if len(self._replicas) > self._wanted:
                await self._replicas[-1].retire()
                self._replicas.pop()
                continue
            await asyncio.sleep(RESTART_BACKOFF_S[min(failures, len(RESTART_BACKOFF_S) - 1)])
            try:
                await self._grow()
            except ServingError as error:
                failures += 1
                self._host.spawn_failed(error)
                if isinstance(error, ModelDied) and self._host.is_given_up(error):
                    return

    async def _grow(self) -> None:
        worker = await self._host.spawn()
        try:
            await self._host.prepare(worker)
        except BaseException:  # also a resize that is cancelled
            await worker.stop()
            raise
        self.join(worker)


def deaths_in_a_row(earlier: int, lived_s: float) -> int:
    """How many of the `earlier` ones still count when a worker dies that has lived so long."""
    return max(0, earlier - int(lived_s / FORGIVEN_AFTER_S))


async def spawn_all(spawns: Sequence[Callable[[], Awaitable[Worker]]]) -> tuple[Worker, ...]:
    """The workers, in order; the first ServingError if one fails. Then, or if it is cancelled, none is left."""
    tasks = [asyncio.ensure_future(spawn()) for spawn in spawns]
    try:
        return tuple(await asyncio.gather(*tasks))
    except BaseException:  # also a load that is cancelled
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        up = [task.result() for task in tasks if not task.cancelled() and task.exception() is None]
        await asyncio.gather(*(worker.stop() for worker in up))
        raise
