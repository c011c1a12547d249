"""Which tasks form the next batch. Pure decisions: no clock, no loop; time enters as `now`.

Tasks that may share a batch wait in one line; lines take turns, so that a busy signature can't starve
another, and in a line callers do. Callers that left and callers whose deadline has passed leave before they cost compute.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterable, Iterator, Sequence

from jupyter_tfserve.batching.line import BatchRoom, Line
from jupyter_tfserve.batching.packing import Packing
from jupyter_tfserve.batching.planner import BatchPlanner
from jupyter_tfserve.batching.rules import WAITED_TOO_LONG
from jupyter_tfserve.batching.task import BatchTask
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.options import BatchOptions


class BatchQueue:
    """Waiting tasks, bounded in rows and bytes. `planner` says how large a signature's batches may be."""

    def __init__(self, options: BatchOptions, planner: BatchPlanner) -> None:
        self._options = options
        self._planner = planner
        self._strict = options.strict
        self._lines: OrderedDict[Hashable, Line] = OrderedDict()
        self._packings: dict[Hashable, Packing] = {}
        """Of lines under TensorFlow Serving's bound."""
        self._first: deque[BatchTask] = deque()
        self.rows = 0
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._first) + sum(len(line) for line in self._lines.values())

    def __iter__(self) -> Iterator[BatchTask]:
        yield from self._first
        for line in self._lines.values():
            yield from line

    @property
    def first_signature(self) -> str:
        """Whose batch comes next. REQUIRES: somebody waits."""
        return self._first[0].signature if self._first else next(iter(self._lines.values())).signature

    def check_bounds(self, rows: int, size_bytes: int) -> None:
        """UNAVAILABLE when the queue has no room for a request of that size. An empty queue takes any."""
        if self.rows and (
            self.rows + max(rows, 1) > self._options.max_enqueued_rows
            or self.bytes + size_bytes > self._options.max_enqueued_bytes
        ):
            raise ServingError(
                Code.UNAVAILABLE,
                "The batch scheduling queue to which this task was submitted is full; "
                f"currently {self.rows} rows ({self.bytes} bytes) wait",
            )

    def rows_before(self, task: BatchTask) -> int:
        """How many rows have their turn before the task's would come, if it joined now: lines and callers take turns."""
        line = self._lines.get(task.queue if task.alone else task.mates)
        return 0 if line is None else min(self.rows, line.rows_before(task) * len(self._lines))

    def add(self, task: BatchTask) -> None:
        """Puts the task at the end of its line, behind its caller's others. REQUIRES: `check_bounds`."""
        self.rows += task.rows or 1
        self.bytes += task.size_bytes
        if self._strict:
            # Upstream's queues know neither shapes nor loners: order and bound are one for all of them.
            key: Hashable = task.queue
            packing = self._packings.get(key)
            if packing is None:
                packing = self._packings[key] = Packing(self._size(task))
            packing.add(self._weight(task))
        else:
            key = task.queue if task.alone else task.mates
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = Line(task.signature)
        line.add(task)

    def refill(self, old: BatchQueue) -> None:
        """Takes over what waits in `old`, in its order; nothing is refused."""
        for task in old._first:
            self.add_first(task)
        for line in old._lines.values():
            for task in line:
                self.add(task)

    def check_room(self, tasks: Sequence[BatchTask], idle_lanes: int) -> None:
        """UNAVAILABLE if a request, in one task or in several, may not wait by `max_enqueued_batches`."""
        options = self._planner.options(tasks[0].signature)
        packing = self._packings.get(tasks[0].queue) or Packing(options.execution_size)
        packing.check_room([self._weight(task) for task in tasks], options, idle_lanes)

    def open_room(self, queue: Hashable) -> int:
        """How many rows the open batch of that `BatchTask.queue` still takes; 0 if there is none."""
        packing = self._packings.get(queue)
        return 0 if packing is None else packing.open_room

    def add_first(self, task: BatchTask) -> None:
        """Puts a task that had its turn already ahead of everybody; it runs alone. Never refused."""
        task.alone = True
        self._count(task, 1)
        self._first.append(task)

    def take(self, now: float, most_rows: int = 0) -> list[BatchTask]:
        """The next batch; empty when no batch is ready. At most as many rows as the planner says, and `most_rows` if
        these are not 0, unless one task alone has more.

        A line is ready when its oldest task has waited `batch_timeout_micros` or it fills a batch.
        """
        while self._first:
            task = self._first.popleft()
            self._count(task, -1)
            self._expire(task, now)
            if not task.future.done():
                return [task]
        while (key := self._ready_line(now)) is not None:
            line = self._lines.pop(key)
            batch = self._take_from(line, now, most_rows)
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

    def expire(self, now: float) -> None:
        """Ends every waiting task whose deadline has passed: DEADLINE_EXCEEDED, in strict batching
        RESOURCE_EXHAUSTED as upstream.

        The task stays in its line, done, and is dropped when its turn comes.
        """
        for task in self:
            self._expire(task, now)

    def _ready_line(self, now: float) -> Hashable | None:
        for key, line in self._lines.items():
            if self._ready_at(line) <= now:
                return key
        return None

    def _ready_at(self, line: Line) -> float:
        options = self._planner.options(line.signature)
        wait_s = options.batch_timeout_micros / 1e6
        if not wait_s or line.starts_alone:
            return 0.0
        size = self._planner.limit(line.signature)
        if sum(size if task.alone else task.rows for task in line) >= size:
            return 0.0
        return line.oldest + wait_s

    def _take_from(self, line: Line, now: float, most_rows: int) -> list[BatchTask]:
        size = self._planner.rows(line, now)
        if most_rows and not self._strict:
            size = min(size, most_rows)
        options = self._options
        size_bytes = options.max_enqueued_bytes if self._strict else options.max_batch_bytes
        room = BatchRoom(size, size_bytes, size)
        batch = line.take(room, now, self._expire)
        self.rows -= room.gone_rows
        self.bytes -= room.gone_bytes
        return batch

    def _expire(self, task: BatchTask, now: float) -> None:
        if self._strict:
            expire(task, now, Code.RESOURCE_EXHAUSTED, WAITED_TOO_LONG)
        else:
            expire(task, now, Code.DEADLINE_EXCEEDED, "Timed out while waiting in the batching queue")

    def _size(self, task: BatchTask) -> int:
        return self._planner.limit(task.signature)

    def _weight(self, task: BatchTask) -> int:
        """The rows of a batch that the task takes up: all of them if it must run alone."""
        return self._size(task) if task.alone else task.rows

    def _repack(self, key: Hashable, line: Line) -> None:
        if line:
            weights: Iterable[int] = map(self._weight, line)
            self._packings[key] = Packing(self._planner.limit(line.signature), weights)
        else:
            del self._packings[key]

    def _count(self, task: BatchTask, sign: int) -> None:
        self.rows += sign * (task.rows or 1)
        self.bytes += sign * task.size_bytes


def expire(task: BatchTask, now: float, code: Code, message: str) -> None:
    """Ends the task with that error if its deadline has passed and somebody still waits for it."""
    if task.deadline is not None and now >= task.deadline and not task.future.done():
        task.future.set_exception(ServingError(code, message))
