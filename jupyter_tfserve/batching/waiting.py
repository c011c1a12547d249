"""Whether a request may join a line, by how long it would wait there: what a row takes, times the rows before it.

A line that is bounded in rows alone is minutes long for a slow model. Refused early, a caller can go elsewhere, and
those who are admitted still want their answer when it comes. Pure; asked only while somebody waits.
"""

from __future__ import annotations

from typing import Final

from jupyter_tfserve.batching.planner import BatchPlanner
from jupyter_tfserve.batching.queue import BatchQueue
from jupyter_tfserve.batching.task import BatchTask
from jupyter_tfserve.errors import Code, Overloaded

WAITING_SHARE: Final = 0.5
"""A request waits for at most this share of the time that its caller gives it: the rest is for the answer."""


def check_wait(
    task: BatchTask, queue: BatchQueue, planner: BatchPlanner, lanes: int, max_wait_ms: float
) -> None:
    """`Overloaded` if the task would wait longer than that, or too long for its caller; `lanes` share the work.

    A task is admitted as long as nothing is known of what its signature takes.
    """
    row_s = planner.row_seconds(task.signature, task.rows)
    if row_s is None:
        return
    row_s /= max(lanes, 1)
    may_wait_s = max_wait_ms / 1000
    if task.deadline is not None:
        may_wait_s = min(may_wait_s, WAITING_SHARE * (task.deadline - task.enqueued))
    if queue.rows * row_s <= may_wait_s:
        return
    wait_s = queue.rows_before(task) * row_s
    if wait_s > may_wait_s:
        raise Overloaded(
            Code.UNAVAILABLE,
            f"The model has more requests than it can answer: this one would wait for about {wait_s:.2g} s, and "
            f"at most {may_wait_s:.2g} s are allowed",
            wait_s - may_wait_s,
        )
