"""Which tasks form the next batch. Pure decisions: no clock, no loop; time enters as `now`.

Tasks that may share a batch wait in one line; lines take turns, so that a busy signature can't starve
another. Callers that left and callers whose deadline has passed leave the queue before they cost compute.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterator, Sequence
from typing import TypeAlias

from jupyter_tfserve.batching.packing import Packing
from jupyter_tfserve.batching.rules import WAITED_TOO_LONG
from jupyter_tfserve.batching.task import BatchTask
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.options import BatchOptions

_Line: TypeAlias = deque[BatchTask]


class BatchQueue:
    """Waiting tasks, bounded in rows and bytes."""

    def __init__(self, options: BatchOptions) -> None:
        self._options = options
        self._size = options.execution_size
        self._strict = options.strict
        self._lines: OrderedDict[Hashable, _Line] = OrderedDict()
        self._packings: dict[Hashable, Packing] = {}
        """Of lines under TensorFlow Serving's bound."""
        self._first: _Line = deque()
        self.rows = 0
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._first) + sum(len(line) for line in self._lines.values())

    def __iter__(self) -> Iterator[BatchTask]:
        yield from self._first
        for line in self._lines.values():
            yield from line

    def add(self, task: BatchTask) -> None:
        """Puts the task at the end of its line; UNAVAILABLE when the queue is full."""
        rows, size = max(task.rows, 1), task.size_bytes
        if self.rows and (
            self.rows + rows > self._options.max_enqueued_rows
            or self.bytes + size > self._options.max_enqueued_bytes
        ):
            raise ServingError(
                Code.UNAVAILABLE,
                "The batch scheduling queue to which this task was submitted is full; "
                f"currently {self.rows} rows ({self.bytes} bytes) wait",
            )
        self._count(task, 1)
        if self._strict:
            # Upstream's queues know neither shapes nor loners: order and bound are one for all of them.
            key: Hashable = task.queue
            self._packings.setdefault(key, Packing(self._size)).add(self._weight(task))
        else:
            key = id(task) if task.alone or not task.rows else task.mates
        self._lines.setdefault(key, deque()).append(task)

    def check_room(self, tasks: Sequence[BatchTask], idle_lanes: int) -> None:
        """UNAVAILABLE if a request, in one task or in several, may not wait by `max_enqueued_batches`."""
        packing = self._packings.get(tasks[0].queue) or Packing(self._size)
        packing.check_room([self._weight(task) for task in tasks], self._options, idle_lanes)

    def open_room(self, queue: Hashable) -> int:
        """How many rows the open batch of that `BatchTask.queue` still takes; 0 if there is none."""
        packing = self._packings.get(queue)
        return 0 if packing is None else packing.open_room

    def add_first(self, task: BatchTask) -> None:
        """Puts a task that had its turn already ahead of everybody; it runs alone. Never refused."""
        task.alone = True
        self._count(task, 1)
        self._first.append(task)

    def take(self, now: float) -> list[BatchTask]:
        """The next batch, in order of arrival; empty when no batch is ready. At most `execution_size`
        rows, unless one task alone has more.

        A line is ready when its oldest task has waited `batch_timeout_micros` or it fills a batch.
        """
        while self._first:
            task = self._first.popleft()
            self._count(task, -1)
            if not task.future.done():
                return [task]
        for key in [key for key, line in self._lines.items() if self._ready_at(line) <= now]:
            line = self._lines.pop(key)
            batch = self._take_from(line)
            if line:
                self._lines[key] = line
            if self._strict:
                self._repack(key, line)
            if batch:
                return batch
        return []

    def ready_at(self) -> float | None:
        """When the next batch becomes ready, on the tasks' clock; None when nobody waits."""
        return min((self._ready_at(line) for line in self._lines.values()), default=None)

    def _ready_at(self, line: _Line) -> float:
        wait_s = self._options.batch_timeout_micros / 1e6
        if not wait_s or line[0].alone or sum(self._weight(task) for task in line) >= self._size:
            return 0.0
        return line[0].enqueued + wait_s

    def expire(self, now: float) -> None:
        """Ends every waiting task whose deadline has passed: DEADLINE_EXCEEDED, in strict batching
        RESOURCE_EXHAUSTED as upstream.

        The task stays in its line, done, and is dropped when its turn comes.
        """
        code, message = Code.DEADLINE_EXCEEDED, "Timed out while waiting in the batching queue"
        if self._strict:
            code, message = Code.RESOURCE_EXHAUSTED, WAITED_TOO_LONG
        for task in self:
            expire(task, now, code, message)

    def _take_from(self, line: _Line) -> list[BatchTask]:
        batch: list[BatchTask] = []
        rows = 0
        while line:
            task = line[0]
            weight = self._size if task.alone else task.rows
            if batch and rows + weight > self._size:
                break
            line.popleft()
            self._count(task, -1)
            if not task.future.done():
                batch.append(task)
                rows += weight
        return batch

    def _weight(self, task: BatchTask) -> int:
        """The rows of a batch that the task takes up: all of them if it must run alone."""
        return self._size if task.alone else task.rows

    def _repack(self, key: Hashable, line: _Line) -> None:
        if line:
            self._packings[key] = Packing(self._size, map(self._weight, line))
        else:
            del self._packings[key]

    def _count(self, task: BatchTask, sign: int) -> None:
        self.rows += sign * max(task.rows, 1)
        self.bytes += sign * task.size_bytes


def expire(task: BatchTask, now: float, code: Code, message: str) -> None:
    """Ends the task with that error if its deadline has passed and somebody still waits for it."""
    if task.deadline is not None and now >= task.deadline and not task.future.done():
        task.future.set_exception(ServingError(code, message))
