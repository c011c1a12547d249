"""What the scheduler needs of its surroundings: lanes that run batches, and who is told about them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from jupyter_tfserve.batching.task import BatchTask
from jupyter_tfserve.types import Tensors


class BatchLane(Protocol):
    """Runs one batch at a time. REQUIRES: not busy."""

    @property
    def compute_s(self) -> float:
        """How long the model computed the last batch that it answered."""

    @property
    def busy_share(self) -> float:
        """The share of the processors that its process kept busy meanwhile; 0 if that is not known."""

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

    def dequeued(self, tasks: Sequence[BatchTask], now: float) -> None:
        """A batch leaves the queue, at `now` on the tasks' clock. A task without rows can't share a batch."""

    def ran(self, rows: int, executed_rows: int) -> None:
        """A batch is given to a lane, padded to `executed_rows`."""
