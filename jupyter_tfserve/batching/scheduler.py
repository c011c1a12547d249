"""Feeds free lanes with batches. A free lane takes what waits, at once; while lanes are busy, rows gather.

So nothing waits when the model is idle and batches are full when it is loaded, without a timeout to tune
(`batch_timeout_micros` adds one where asked for). One event loop owns the scheduler. A caller's fate is its
own `Waiter`: one that is done drops the task from the queue, or, once it runs, only stops the waiting.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping

from jupyter_tfserve.batching.batch_statistics import BatchStatistics
from jupyter_tfserve.batching.caller import QUEUE_CALLER
from jupyter_tfserve.batching.execution import BatchExecution
from jupyter_tfserve.batching.free_lanes import FreeLanes
from jupyter_tfserve.batching.lane import BatchLane, BatchObserver, LaneGone
from jupyter_tfserve.batching.lost import Refusal, refuse_nothing, refuse_waiting, take_lost
from jupyter_tfserve.batching.overlap import LaneOverlap, Turns
from jupyter_tfserve.batching.pieces import Pieces, in_pieces
from jupyter_tfserve.batching.planner import BatchPlanner, LearnedBatching
from jupyter_tfserve.batching.queue import BatchQueue, expire
from jupyter_tfserve.batching.rules import checked_rows
from jupyter_tfserve.batching.running import RunningBatch, expected
from jupyter_tfserve.batching.stopwatch import Stopwatch
from jupyter_tfserve.batching.stuck import StuckLanes
from jupyter_tfserve.batching.task import BatchTask, Waiter, batch_rows, size_bytes
from jupyter_tfserve.batching.waiting import check_wait
from jupyter_tfserve.errand import Errand
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.options import BatchOptions
from jupyter_tfserve.types import Tensors

__all__ = ["BatchLane", "BatchObserver", "BatchScheduler", "BatchStatistics", "LaneGone"]

SWEEP_INTERVAL_S = 0.02
LONE_BATCHES = 8
"""After so many batches of one task each, the next request that finds all lanes idle waits for no others."""
MAX_PIECES = 256
"""A request of more rows than a batch is run in at most so many pieces."""


class BatchScheduler:
    """The queue and the lanes of one loaded version."""

    def __init__(
        self,
        options: BatchOptions,
        clock: Callable[[], float] = time.monotonic,
        observer: BatchObserver | None = None,
        tensor_name: Callable[[str, str], str] = lambda _signature, alias: alias,
        on_stuck: Callable[[], None] = lambda: None,
        cpu_s: Callable[[], float] = lambda: 0.0,
        refusal: Refusal = refuse_nothing,
        on_overrun: Callable[[], None] = lambda: None,
    ) -> None:
        """`tensor_name` gives an input's own name by (signature, alias), for strict batching's errors.

        `on_stuck` is called when requests wait while every lane computes for nobody, and far too long (`stuck`):
        callers gave up, the model did not. `cpu_s` is the processor time that the model's process has used.
        `refusal` is asked when a worker has died, about what it ran and what waits. `on_overrun` is called after a batch
        that was not over when the last of its callers' time was.
        """
        self._options = options
        self._planner = BatchPlanner(options)
        self._overlap = LaneOverlap(cpu_s, self._present_rows)
        self._stuck = StuckLanes(self._planner)
        self._execution = BatchExecution(options, clock, observer, tensor_name, self._planner, on_overrun)
        self._observer = observer
        self._clock = clock
        self._queue = BatchQueue(options, self._planner)
        self._free = FreeLanes()
        self._running: dict[BatchLane, RunningBatch] = {}
        self._dispatching = False
        self._may_overtake = True
        self._lone_batches = 0
        self._wake_handle: asyncio.Handle | None = None
        self._sweep_handle: asyncio.Handle | None = None
        self._closed: ServingError | None = None
        self._on_stuck = on_stuck
        self._refusal = refusal

    def add_lane(self, lane: BatchLane, replica: int = 0) -> None:
        """The lane takes batches from now on; batches go to the replica that has the least to do."""
        self._free.add(lane, replica)
        self._overlap.is_spread = self._are_lanes_spread()
        self._schedule()

    def remove_lane(self, lane: BatchLane) -> None:
        """The lane gets no further batch."""
        self._free.remove(lane)
        self._overlap.is_spread = self._are_lanes_spread()

    def _are_lanes_spread(self) -> bool:
        # By TensorFlow Serving's rules there are as many batches at once as somebody asked for.
        return self._options.strict or self._free.replicas > 1

    async def submit(
        self,
        signature: str,
        inputs: Tensors,
        outputs: tuple[str, ...],
        timeout_s: float | None = None,
        batchable: bool = True,
        watch: Stopwatch | None = None,
    ) -> Tensors:
        """This request's outputs by alias, views into the batch's; errors as `begin` has them, or tells them.

        Cancelling leaves the queue.
        """
        future: asyncio.Future[Tensors] = asyncio.get_running_loop().create_future()
        self.begin(signature, inputs, outputs, timeout_s, batchable, future, watch)
        return await future

    def begin(
        self,
        signature: str,
        inputs: Tensors,
        outputs: tuple[str, ...],
        timeout_s: float | None,
        batchable: bool,
        waiter: Waiter,
        watch: Stopwatch | None = None,
    ) -> None:
        """Queues a request; `waiter` is told its outputs. `batchable` is `is_batchable` of the signature.

        `watch` is told how long the request waited and the model computed.

        Raises UNAVAILABLE when the queue is full or too long (`max_queue_wait_ms`) or the scheduler is closed, and what
        is wrong by TensorFlow Serving's rules. `waiter` is told DEADLINE_EXCEEDED after `timeout_s`; UNAVAILABLE when the
        model's process died twice under this request, after one death what `refusal` says; else the model's own error.
        """
        if self._closed is not None:
            raise self._closed
        if self._options.strict:
            self._begin_strictly(signature, inputs, outputs, timeout_s, batchable, waiter, watch)
            return
        rows = batch_rows(inputs) if batchable else 0
        task = self._task(signature, inputs, outputs, timeout_s, rows, waiter, watch)
        if self._lone_batches >= LONE_BATCHES and self._may_go_at_once(task):
            self._send([task], task.enqueued)
            return
        if self._queue.rows:
            self._queue.check_bounds(rows, task.size_bytes)
            if self._options.max_queue_wait_ms:
                lanes = self._free.all if self._overlap.turns is Turns.SIDE_BY_SIDE else 1
                check_wait(task, self._queue, self._planner, lanes, self._options.max_queue_wait_ms)
        if task.alone and rows > 1 and self._execution.is_proven(signature, outputs):
            size = max(self._planner.limit(signature), -(-rows // MAX_PIECES))
            if rows > size:
                # One connection's large request would be everybody's on this machine, who are one caller.
                task.caller = task if task.caller is None else task.caller
                self._enqueue_all(*in_pieces(task, size))
                return
        self._enqueue(task)

    def _begin_strictly(
        self,
        signature: str,
        inputs: Tensors,
        outputs: tuple[str, ...],
        timeout_s: float | None,
        batchable: bool,
        waiter: Waiter,
        watch: Stopwatch | None,
    ) -> None:
        """By TensorFlow Serving's rules, split where that is asked for."""
        options = self._planner.options(signature)
        checked_rows(inputs, options.max_batch_size)
        rows = batch_rows(inputs) if batchable else 0
        task = self._task(signature, inputs, outputs, timeout_s, rows, waiter, watch)
        tasks, pieces = [task], None
        if rows > options.execution_size:
            tasks, pieces = in_pieces(task, options.execution_size, self._queue.open_room(task.queue))
            for piece in tasks:
                piece.alone = self._must_run_alone(piece)
        self._queue.check_room(tasks, len(self._free))
        self._enqueue_all(tasks, pieces)

    def _enqueue_all(self, tasks: list[BatchTask], pieces: Pieces | None) -> None:
        try:
            for task in tasks:
                self._enqueue(task)
        except ServingError:
            if pieces is not None:
                pieces.give_up()
            raise

    def _task(
        self,
        signature: str,
        inputs: Tensors,
        outputs: tuple[str, ...],
        timeout_s: float | None,
        rows: int,
        waiter: Waiter,
        watch: Stopwatch | None,
    ) -> BatchTask:
        now = self._clock()
        # Without names, which would take as long as all the rest.
        task = BatchTask(
            signature,
            inputs,
            outputs,
            rows,
            size_bytes(inputs),
            now,
            None if timeout_s is None else now + timeout_s,
            waiter,
        )
        task.watch = watch
        if not self._options.strict:
            task.caller = QUEUE_CALLER.get()
        task.alone = self._must_run_alone(task)
        if timeout_s is not None:
            self._start_sweep()
        return task

    def _enqueue(self, task: BatchTask) -> None:
        if self._options.strict:
            self._queue.check_bounds(task.rows, task.size_bytes)
        self._queue.add(task)
        self._schedule()

    def close(self, error: ServingError) -> None:
        """Refuses new tasks and fails those that still wait. Running batches end as they end."""
        self._closed = error
        for task in list(self._queue):
            if not task.future.done():
                task.future.set_exception(error)
        self._queue = BatchQueue(self._options, self._planner)

    def configure(self, options: BatchOptions, signature_options: Mapping[str, BatchOptions]) -> None:
        """Other options from now on, for what waits too; what was learned of the model stays."""
        self._options = options
        self._planner.configure(options, signature_options)
        self._execution.configure(options)
        waiting, self._queue = self._queue, BatchQueue(options, self._planner)
        for task in waiting:
            task.alone = self._must_run_alone(task)
        self._queue.refill(waiting)
        self._schedule()

    def learned(self) -> dict[str, LearnedBatching]:
        """What is known of each signature's batches."""
        return self._planner.learned()

    @property
    def turns(self) -> Turns:
        """How the lanes take turns now."""
        return self._overlap.turns

    def statistics(self) -> BatchStatistics:
        """A snapshot."""
        return BatchStatistics(
            lanes=self._free.all,
            busy_lanes=len(self._running),
            waiting_tasks=len(self._queue),
            waiting_rows=self._queue.rows,
            batches=self._execution.batches,
            tasks=self._execution.tasks,
            rows=self._execution.rows,
            padding_rows=self._execution.padding_rows,
            overruns=self._execution.overruns,
        )

    def _must_run_alone(self, task: BatchTask) -> bool:
        rows = task.rows
        return (
            rows == 0
            or (rows > 1 and rows >= self._planner.limit(task.signature))
            or self._execution.is_unmergeable(task)
        )

    def _may_go_at_once(self, task: BatchTask) -> bool:
        """Whether a request that comes alone, as those before it did, needs no turn of the loop and no queue."""
        return (
            not self._running
            and not self._queue.rows
            and bool(self._free)
            and self._overlap.turns is Turns.SIDE_BY_SIDE
            and (task.deadline is None or task.enqueued < task.deadline)
            and not self._planner.options(task.signature).batch_timeout_micros
            and (not task.alone or task.rows <= 1)
        )

    def _schedule(self) -> None:
        # One turn of the loop later: every request that the loop is about to read joins the same batch.
        if self._free and not self._dispatching and self._queue.rows:
            self._dispatching = True
            asyncio.get_running_loop().call_soon(self._look, self._queue.rows)

    def _look(self, seen_rows: int) -> None:
        # One turn more if this one has brought others: more are on their way then, and share what a batch costs.
        rows = self._queue.rows
        if rows > seen_rows and rows < self._planner.limit(self._queue.first_signature):
            asyncio.get_running_loop().call_soon(self._dispatch)
        else:
            self._dispatch()

    def _dispatch(self) -> None:
        self._dispatching = False
        if self._wake_handle is not None:
            self._wake_handle.cancel()
            self._wake_handle = None
        while self._free and self._queue.rows:
            now = self._clock()
            if self._overlap.turns is not Turns.SIDE_BY_SIDE and (next_at := self._next_at()) > now:
                self._dispatch_later(next_at, now)
                return
            batch = self._queue.take(now, self._overlap.most_rows(self._queue.rows, len(self._free)))
            if not batch:
                self._dispatch_later(self._queue.ready_at(), now)
                return
            self._send(batch, now)

    def _send(self, batch: list[BatchTask], now: float) -> None:
        """Gives the batch to a free lane."""
        self._lone_batches = self._lone_batches + 1 if len(batch) == 1 else 0
        if self._observer is not None:
            self._observer.dequeued(batch, now)
        lane = self._free.take(self._overlap.is_spread)
        mark = self._overlap.began(now, batch[0].enqueued)
        running = self._running[lane] = RunningBatch(batch, lane, now, mark)
        if self._overlap.turns is Turns.GATHERING:
            self._overlap.formed(self._present_rows())
        Errand(self._run(lane, running), "A batch")

    def _present_rows(self) -> int:
        """Those that wait and run."""
        return self._queue.rows + sum([running.rows for running in self._running.values()])

    def _next_at(self) -> float:
        """When the next batch may be sent off, by the way in which lanes take turns now."""
        if not self._queue.rows:
            return 0.0
        running = expected(self._running.values(), self._planner)
        may_linger = not self._options.target_p99_ms
        full_rows = self._planner.limit(self._queue.first_signature)
        return self._overlap.next_at(self._queue.rows, running, full_rows, may_linger)

    def _dispatch_later(self, when: float | None, now: float) -> None:
        if when is not None:
            # uvloop's timers count milliseconds: less of one would have it turn without a pause until then.
            delay_s = math.ceil(max(when - now, 0) * 1000) / 1000
            self._wake_handle = asyncio.get_running_loop().call_later(delay_s, self._dispatch)

    async def _run(self, lane: BatchLane, running: RunningBatch) -> None:
        batch = running.tasks
        try:
            await self._execution.run(lane, batch, lambda: self._computed(lane, running))
        except LaneGone as gone:
            self.remove_lane(lane)
            for task in take_lost(batch, gone, self._refusal, self._closed is None):
                self._queue.add_first(task)
            refuse_waiting(self._queue, self._refusal)
        except BaseException:
            # A fault of ours must not leave a caller waiting for ever.
            for task in batch:
                if not task.future.done():
                    task.future.set_exception(ServingError(Code.INTERNAL, "The batch could not be run"))
            raise
        finally:
            self._computed(lane, running)

    def _computed(self, lane: BatchLane, running: RunningBatch) -> None:
        """The lane has done all it had to do for the batch, answered or not yet: it takes the next."""
        if self._running.get(lane) is not running:
            return
        del self._running[lane]
        self._free.give_back(lane)
        self._overlap.ended(self._clock(), running)
        self._planner.take_turns(self._overlap.turns is Turns.SIDE_BY_SIDE)
        if self._overlap.turns is Turns.ONE_AT_A_TIME and self._may_overtake and self._queue.rows:
            self._dispatch()
        else:
            self._schedule()

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
            for task in batch.tasks:
                expire(task, now, Code.DEADLINE_EXCEEDED, "Timed out waiting for notification")
                waiting = waiting or not task.future.done()
        all_busy = bool(self._running) and not self._free and len(self._queue) > 0
        if self._stuck.are_stuck(self._running.values() if all_busy else (), now):
            self._on_stuck()
        if waiting:
            self._start_sweep()
