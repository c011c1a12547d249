"""Tasks that may share a batch, in the order in which they are served: callers take turns, each by its own order.

Deficit round robin: a caller's turn grants it some rows, so that one with many or large requests waits behind
himself. Pure; with one caller it is a plain queue.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from jupyter_tfserve.batching.task import BatchTask

Expire: TypeAlias = Callable[[BatchTask, float], None]
"""Ends a task whose deadline has passed: (task, now)."""

TURNS_PER_BATCH: Final = 8
"""A turn grants this fraction of a batch."""


@dataclass(slots=True)
class BatchRoom:
    """How much more fits into a batch of at most `size` rows that is being formed. The first task always does."""

    size: int
    bytes: int
    rows: int
    gone_rows: int = 0
    """Of all tasks that have left their line, run or not; a task without rows counts as one."""
    gone_bytes: int = 0

    @property
    def turn(self) -> int:
        """The rows that one turn grants."""
        return max(self.size // TURNS_PER_BATCH, 1)


class Line:
    """Waiting tasks of one kind: the same signature, outputs, dtypes and inner shapes."""

    __slots__ = ("_callers", "_credit", "_turns", "rows", "signature")

    def __init__(self, signature: str) -> None:
        self.signature = signature
        self.rows = 0
        """What waits; a task without rows counts as one."""
        self._callers: dict[Hashable, deque[BatchTask]] = {}
        self._credit: dict[Hashable, int] = {}
        self._turns: deque[Hashable] = deque()

    def __bool__(self) -> bool:
        return bool(self._callers)

    def __len__(self) -> int:
        return sum(map(len, self._callers.values()))

    def __iter__(self) -> Iterator[BatchTask]:
        for tasks in self._callers.values():
            yield from tasks

    @property
    def oldest(self) -> float:
        """When the task that waits longest came. REQUIRES: not empty."""
        return min(tasks[0].enqueued for tasks in self._callers.values())

    @property
    def starts_alone(self) -> bool:
        """Whether some caller's next task must run alone. REQUIRES: not empty."""
        return any(tasks[0].alone for tasks in self._callers.values())

    def rows_before(self, task: BatchTask) -> int:
        """How many rows have their turn before the task's would come, if it joined now.

        Among callers, its own other tasks are taken to have as many rows as it has itself: nothing is counted for this.
        """
        own = self._callers.get(task.caller)
        if own is not None and len(self._callers) == 1:
            return self.rows
        callers = len(self._callers) + (own is None)
        own_tasks = 0 if own is None else len(own)
        rows = task.rows or 1
        return min(self.rows, (own_tasks + 1) * rows * callers - rows)

    def add(self, task: BatchTask) -> None:
        """The task waits behind its caller's others."""
        self.rows += task.rows or 1
        tasks = self._callers.get(task.caller)
        if tasks is None:
            self._callers[task.caller] = deque((task,))
            self._turns.append(task.caller)
        else:
            tasks.append(task)

    def take(self, room: BatchRoom, now: float, expire: Expire) -> list[BatchTask]:
        """The next batch. Tasks that nobody wants any more leave without being run, late ones by `expire`."""
        batch: list[BatchTask] = []
        self._form(batch, room, now, expire)
        self.rows -= room.gone_rows
        return batch

    def _form(self, batch: list[BatchTask], room: BatchRoom, now: float, expire: Expire) -> None:
        turns = self._turns
        is_full = False
        while turns and not is_full:
            caller = turns[0]
            tasks = self._callers[caller]
            if len(turns) == 1:
                _take(tasks, room.size, room, now, expire, batch)
                if not tasks:
                    self._callers.clear()
                    self._credit.clear()
                    turns.clear()
                return
            credit = _take(tasks, self._credit.get(caller, 0) + room.turn, room, now, expire, batch)
            is_full = credit is None
            self._end_turn(caller, credit)

    def _end_turn(self, caller: Hashable, credit: int | None) -> None:
        if not self._callers[caller]:
            del self._callers[caller]
            self._turns.popleft()
            self._credit.pop(caller, None)
        elif credit is not None:
            self._credit[caller] = credit
            self._turns.rotate(-1)
        else:
            # What was granted and had no room does not pile up.
            self._credit.pop(caller, None)


def _take(
    tasks: deque[BatchTask],
    credit: int,
    room: BatchRoom,
    now: float,
    expire: Expire,
    batch: list[BatchTask],
) -> int | None:
    """One caller's turn: the credit that is left, or None when the batch is full. On every request's way."""
    size, rows, size_bytes = room.size, room.rows, room.bytes
    is_full = False
    while tasks:
        task = tasks[0]
        if task.deadline is not None and now >= task.deadline:
            expire(task, now)
        if not task.future.done():
            weight = size if task.alone else task.rows
            if batch and (weight > rows or task.size_bytes > size_bytes):
                is_full = True
                break
            if credit < weight and credit < size:
                break
            credit -= weight
            rows -= weight
            size_bytes -= task.size_bytes
            batch.append(task)
        room.gone_rows += task.rows or 1
        room.gone_bytes += task.size_bytes
        tasks.popleft()
    room.rows, room.bytes = rows, size_bytes
    return None if is_full else credit
