"""Feeds free lanes with batches. A free lane takes what waits, at once; while lanes are busy, rows gather.

So nothing waits when the model is idle and batches are full when it is loaded, without a timeout to tune
(`batch_timeout_micros` adds one where asked for). One event loop owns the scheduler. A caller's fate is its
own future: cancelling it drops the task from the queue, or, once it runs, only stops the waiting.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from jupyter_tfserve.batching.assemble import agree, merge, padded_size, split
from jupyter_tfserve.batching.queue import BatchQueue, expire
from jupyter_tfserve.batching.task import BatchTask, batch_rows, size_bytes
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.options import BatchOptions
from jupyter_tfserve.types import Tensors

SWEEP_INTERVAL_S = 0.02
VERIFIED_BATCHES = 2
"""So many of a signature's first batches are compared with single runs."""


class BatchLane(Protocol):
    """Runs one batch at a time. `WorkerLost` errors mean that the model's process is gone."""

    async def run_batch(
        self, signature: str, inputs: Tensors, outputs: tuple[str, ...], timeout_s: float | None
    ) -> Tensors:
        """The outputs by alias; ServingError from the model; `LaneGone` when the lane broke."""


class LaneGone(Exception):
    """The lane broke while it ran a batch: its process died. The batch may be tried elsewhere."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class BatchObserver(Protocol):
    """Is told what happens to tasks that may share a batch; on every request's way, so it must be quick."""

    def dequeued(self, waited_s: float, rows: int, inputs: int) -> None:
        """A task leaves the queue, with so many rows in each of its inputs."""

    def ran(self, rows: int, executed_rows: int) -> None:
        """A batch is given to a lane, padded to `executed_rows`."""


@dataclass(frozen=True, slots=True)
class BatchStatistics:
    """What the scheduler has done and holds. `padding_rows` were computed for nobody."""

    lanes: int
    busy_lanes: int
    waiting_tasks: int
    waiting_rows: int
    batches: int
    tasks: int
    rows: int
    padding_rows: int


class BatchScheduler:
    """The queue and the lanes of one loaded version."""

    def __init__(
        self,
        options: BatchOptions,
        clock: Callable[[], float] = time.monotonic,
        observer: BatchObserver | None = None,
    ) -> None:
        self._options = options
        self._observer = observer
        self._clock = clock
        self._queue = BatchQueue(options)
        self._free: list[BatchLane] = []
        self._running: dict[asyncio.Task[None], list[BatchTask]] = {}
        self._lanes: set[BatchLane] = set()
        self._to_verify: dict[tuple[str, tuple[str, ...]], int] = {}
        self._dispatching = False
        self._wake_handle: asyncio.Handle | None = None
        self._sweep_handle: asyncio.Handle | None = None
        self._closed: ServingError | None = None
        self._batches = self._tasks = self._rows = self._padding_rows = 0

    def add_lane(self, lane: BatchLane) -> None:
        """The lane takes batches from now on."""
        self._lanes.add(lane)
        self._free.append(lane)
        self._schedule()

    def remove_lane(self, lane: BatchLane) -> None:
        """The lane gets no further batch."""
        self._lanes.discard(lane)
        if lane in self._free:
            self._free.remove(lane)

    async def submit(
        self,
        signature: str,
        inputs: Tensors,
        outputs: tuple[str, ...],
        timeout_s: float | None = None,
        batchable: bool = True,
    ) -> Tensors:
        """This request's outputs by alias, views into the batch's. `batchable` is `is_batchable` of the signature.

        DEADLINE_EXCEEDED after `timeout_s`, UNAVAILABLE when the queue is full, the scheduler is closed, or the
        model's process died twice under this request; otherwise the model's own error. Cancelling leaves the queue.
        """
        if self._closed is not None:
            raise self._closed
        now = self._clock()
        task = BatchTask(
            signature=signature,
            inputs=inputs,
            outputs=outputs,
            rows=batch_rows(inputs) if batchable else 0,
            size_bytes=size_bytes(inputs),
            enqueued=now,
            deadline=None if timeout_s is None else now + timeout_s,
            future=asyncio.get_running_loop().create_future(),
        )
        task.alone = self._must_run_alone(task)
        self._queue.add(task)
        self._schedule()
        if task.deadline is not None:
            self._start_sweep()
        return await task.future

    def close(self, error: ServingError) -> None:
        """Refuses new tasks and fails those that still wait. Running batches end as they end."""
        self._closed = error
        for task in list(self._queue):
            if not task.future.done():
                task.future.set_exception(error)
        self._queue = BatchQueue(self._options)

    def statistics(self) -> BatchStatistics:
        """A snapshot."""
        return BatchStatistics(
            lanes=len(self._lanes),
            busy_lanes=len(self._running),
            waiting_tasks=len(self._queue),
            waiting_rows=self._queue.rows,
            batches=self._batches,
            tasks=self._tasks,
            rows=self._rows,
            padding_rows=self._padding_rows,
        )

    def _must_run_alone(self, task: BatchTask) -> bool:
        return (
            task.rows == 0
            or task.rows >= self._options.max_batch_size
            or self._to_verify.get((task.signature, task.outputs), 0) < 0
        )

    def _schedule(self) -> None:
        # One turn of the loop later: every request that the loop is about to read joins the same batch.
        if self._free and not self._dispatching:
            self._dispatching = True
            asyncio.get_running_loop().call_soon(self._dispatch)

    def _dispatch(self) -> None:
        self._dispatching = False
        if self._wake_handle is not None:
            self._wake_handle.cancel()
            self._wake_handle = None
        while self._free:
            now = self._clock()
            batch = self._queue.take(now)
            if not batch:
                self._dispatch_later(self._queue.ready_at(), now)
                return
            if self._observer is not None:
                for task in batch:
                    if task.rows:
                        self._observer.dequeued(now - task.enqueued, task.rows, len(task.inputs))
            lane = self._free.pop()
            running = asyncio.get_running_loop().create_task(self._run(lane, batch))
            self._running[running] = batch
            running.add_done_callback(self._ran)

    def _dispatch_later(self, when: float | None, now: float) -> None:
        if when is not None:
            delay_s = max(when - now, 0)
            self._wake_handle = asyncio.get_running_loop().call_later(delay_s, self._dispatch)

    def _ran(self, running: asyncio.Task[None]) -> None:
        batch = self._running.pop(running)
        error = running.exception() if not running.cancelled() else None
        if error is None and not running.cancelled():
            return
        # A fault of ours must not leave a caller waiting for ever.
        for task in batch:
            if not task.future.done():
                task.future.set_exception(ServingError(Code.INTERNAL, "The batch could not be run"))
        if error is not None:
            raise error

    async def _run(self, lane: BatchLane, batch: list[BatchTask]) -> None:
        try:
            if len(batch) == 1:
                await self._run_alone(lane, batch[0])
            else:
                await self._run_merged(lane, batch)
        except LaneGone as gone:
            self.remove_lane(lane)
            for task in batch:
                self._retry_lost(task, gone)
        finally:
            if lane in self._lanes:
                self._free.append(lane)
            self._schedule()

    async def _run_merged(self, lane: BatchLane, batch: list[BatchTask]) -> None:
        first = batch[0]
        verify_key = (first.signature, first.outputs)
        left = self._to_verify.setdefault(verify_key, VERIFIED_BATCHES if self._options.verify else 0)
        try:
            outputs, rows = await self._execute(lane, batch)
        except ServingError:
            # One bad row fails only its own caller, and with its own error text.
            return await self._run_each(lane, batch)
        answers = split(outputs, batch, rows)
        if answers is None:
            self._to_verify[verify_key] = -1
            return await self._run_each(lane, batch)
        if left:
            return await self._verify(lane, batch, answers, verify_key)
        for task, answer in zip(batch, answers, strict=True):
            _answer(task, answer)
        return None

    async def _verify(
        self,
        lane: BatchLane,
        batch: list[BatchTask],
        answers: list[Tensors],
        key: tuple[str, tuple[str, ...]],
    ) -> None:
        """Answers from single runs; a batch that told otherwise is the signature's last one."""
        singles = [await self._run_alone(lane, task) for task in batch]
        pairs = [(one, other) for one, other in zip(singles, answers, strict=True) if one is not None]
        if all(agree(one, other) for one, other in pairs):
            self._to_verify[key] -= 1 if self._to_verify[key] > 0 else 0
        else:
            self._to_verify[key] = -1

    async def _run_each(self, lane: BatchLane, batch: list[BatchTask]) -> None:
        for task in batch:
            await self._run_alone(lane, task)

    async def _run_alone(self, lane: BatchLane, task: BatchTask) -> Tensors | None:
        if task.future.done():
            return None
        try:
            outputs, rows = await self._execute(lane, [task])
        except ServingError as error:
            if not task.future.done():
                task.future.set_exception(error)
            return None
        answers = split(outputs, [task], rows) if rows > max(task.rows, 1) else None
        answer = outputs if answers is None else answers[0]
        _answer(task, answer)
        return answer

    async def _execute(self, lane: BatchLane, batch: list[BatchTask]) -> tuple[Tensors, int]:
        rows = sum(task.rows for task in batch)
        padded = padded_size(rows, self._options.allowed_batch_sizes) if rows else 0
        self._batches += 1
        self._tasks += len(batch)
        self._rows += rows
        self._padding_rows += padded - rows
        if rows and self._observer is not None:
            self._observer.ran(rows, padded)
        first = batch[0]
        timeout_s = self._remaining(batch)
        outputs = await lane.run_batch(first.signature, merge(batch, padded), first.outputs, timeout_s)
        return outputs, padded

    def _remaining(self, batch: list[BatchTask]) -> float | None:
        """The longest time that any caller of the batch still has."""
        deadlines = [task.deadline for task in batch]
        if None in deadlines:
            return None
        return max(max(deadline for deadline in deadlines if deadline is not None) - self._clock(), 0.001)

    def _retry_lost(self, task: BatchTask, gone: LaneGone) -> None:
        if task.future.done():
            return
        if task.was_lost or self._closed is not None:
            task.future.set_exception(
                ServingError(
                    Code.UNAVAILABLE, f"The model's worker died while it ran the request: {gone.reason}"
                )
            )
            return
        task.was_lost = True
        self._queue.add_first(task)

    def _start_sweep(self) -> None:
        if self._sweep_handle is None:
            self._sweep_handle = asyncio.get_running_loop().call_later(SWEEP_INTERVAL_S, self._sweep)

    def _sweep(self) -> None:
        """Ends callers whose time is up, wherever their task is; one timer for all of them."""
        self._sweep_handle = None
        now = self._clock()
        self._queue.expire(now)
        waiting = len(self._queue) > 0
        for batch in self._running.values():
            for task in batch:
                expire(task, now, "the model ran")
                waiting = waiting or not task.future.done()
        if waiting:
            self._start_sweep()


def _answer(task: BatchTask, outputs: Tensors) -> None:
    if not task.future.done():
        task.future.set_result(outputs)
