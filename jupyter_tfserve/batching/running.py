"""Batches while lanes run them."""

from __future__ import annotations

from collections.abc import Iterable

from jupyter_tfserve.batching.lane import BatchLane
from jupyter_tfserve.batching.overlap import Running
from jupyter_tfserve.batching.planner import BatchPlanner
from jupyter_tfserve.batching.task import BatchTask


class RunningBatch:
    """A batch on a lane, and since when. `mark` is what `LaneOverlap.began` said."""

    __slots__ = ("began", "lane", "mark", "tasks")

    def __init__(self, tasks: list[BatchTask], lane: BatchLane, began: float, mark: float) -> None:
        self.tasks = tasks
        self.lane = lane
        self.began = began
        self.mark = mark

    @property
    def signature(self) -> str:
        """All tasks' own."""
        return self.tasks[0].signature

    @property
    def busy_share(self) -> float:
        """Once it has run, the share of the processors that its process kept busy meanwhile."""
        return self.lane.busy_share

    @property
    def rows(self) -> int:
        """Those of all tasks."""
        return sum(task.rows for task in self.tasks)


def expected(batches: Iterable[RunningBatch], planner: BatchPlanner) -> Running | None:
    """When those that run end, by what is known; None if none runs."""
    rows, ends, last_s = 0, -1.0, 0.0
    for batch in batches:
        count = batch.rows
        seconds = planner.seconds(batch.signature, count) or 0.0
        rows += count
        if batch.began + seconds > ends:
            ends, last_s = batch.began + seconds, seconds
    return None if ends < 0 else Running(ends, last_s, rows)
