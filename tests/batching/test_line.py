"""Callers of one line take turns: nobody's order changes, nobody is left behind, no batch is larger than it may be."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from jupyter_tfserve.batching.line import BatchRoom, Line
from jupyter_tfserve.batching.task import BatchTask


class Future:
    """A caller's future without a loop."""

    def __init__(self) -> None:
        self.is_over = False

    def done(self) -> bool:
        return self.is_over


def task(caller: str, rows: int, number: int = 0, deadline: float | None = None, size: int = 1) -> BatchTask:
    future = cast("asyncio.Future[Any]", Future())
    return BatchTask("s", {}, ("y",), rows, size, float(number), deadline, future, caller=caller)


def filled(tasks: Iterable[BatchTask]) -> Line:
    line = Line("s")
    for each in tasks:
        line.add(each)
    return line


def refuse(task: BatchTask, now: float) -> None:
    cast("Any", task.future).is_over = True


def drain(line: Line, size: int) -> list[list[BatchTask]]:
    batches = []
    while line:
        room = BatchRoom(size, 10**9, size)
        batches.append(line.take(room, 0.0, refuse))
    return batches


@given(
    tasks=st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 9)), min_size=1, max_size=40),
    size=st.integers(1, 12),
)
def test_every_task_is_taken_once_in_its_callers_order(tasks: list[tuple[str, int]], size: int) -> None:
    waiting = [task(caller, rows, n) for n, (caller, rows) in enumerate(tasks)]
    line = filled(waiting)
    batches = drain(line, size)
    assert all(batches)
    assert all(len(batch) == 1 or sum(t.rows for t in batch) <= size for batch in batches)
    taken = [t for batch in batches for t in batch]
    assert sorted(t.enqueued for t in taken) == [t.enqueued for t in waiting]
    for caller in "abc":
        own = [t.enqueued for t in taken if t.caller == caller]
        assert own == sorted(own)
    assert (line.rows, len(line)) == (0, 0)


@given(others=st.integers(1, 7), many=st.integers(1, 300), rows=st.integers(1, 64))
def test_single_request_is_in_one_of_the_first_batches_whatever_others_queue(
    others: int, many: int, rows: int
) -> None:
    """Eight turns make a batch, so with up to eight callers each has one before anybody has two batches' worth."""
    line = filled(
        [task(str(caller), rows, n) for caller in range(others) for n in range(many)] + [task("me", 1, 1)]
    )
    batches = drain(line, 64)
    place = next(n for n, batch in enumerate(batches) if any(t.caller == "me" for t in batch))
    assert place <= others


def test_callers_have_equal_shares_of_rows_when_their_requests_differ_in_size() -> None:
    line = filled([task("large", 32, n) for n in range(50)] + [task("small", 1, n) for n in range(500)])
    rows = {"large": 0, "small": 0}
    for batch in drain(line, 64)[:10]:
        for each in batch:
            rows[str(each.caller)] += each.rows
    assert 0.5 <= rows["large"] / rows["small"] <= 2


def test_late_and_abandoned_tasks_leave_without_being_run() -> None:
    late, gone, good = task("a", 1, 0, deadline=5.0), task("a", 1, 1), task("a", 1, 2, deadline=7.0)
    cast("Any", gone.future).is_over = True
    line, room = filled([late, gone, good]), BatchRoom(8, 10**9, 8)
    assert line.take(room, 6.0, refuse) == [good]
    assert late.future.done()
    assert (room.gone_rows, room.gone_bytes, bool(line)) == (3, 3, False)


def test_batch_is_bounded_in_bytes_too() -> None:
    line = filled([task("a", 1, n, size=40) for n in range(5)])
    assert len(line.take(BatchRoom(8, 100, 8), 0.0, refuse)) == 2
    assert len(line) == 3
