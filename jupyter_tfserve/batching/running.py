"""A batch while a lane runs it."""

from __future__ import annotations

import asyncio

from jupyter_tfserve.batching.task import BatchTask


class RunningBatch:
    """A batch on a lane, since when, and who runs it."""

    __slots__ = ("began", "runner", "tasks")

    def __init__(self, tasks: list[BatchTask], began: float, runner: asyncio.Task[None]) -> None:
        self.tasks = tasks
        self.began = began
        self.runner = runner

    @property
    def signature(self) -> str:
        """All tasks' own."""
        return self.tasks[0].signature

    @property
    def rows(self) -> int:
        """Those of all tasks."""
        return sum(task.rows for task in self.tasks)
