"""Whether lanes compute without end for callers that have gone, while others wait. Pure: `now` enters.

A caller that gives up early says nothing of the model: only runs that take many times what the model is known to
take are held against it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from jupyter_tfserve.batching.planner import BatchPlanner
from jupyter_tfserve.batching.running import RunningBatch

STUCK_AFTER_S: Final = 1.0
SLOW_TIMES: Final = 5.0
"""A batch that has run for less than this many times what it takes may still come to its end."""


class StuckLanes:
    """Looks again and again at what all lanes run."""

    def __init__(self, planner: BatchPlanner) -> None:
        self._planner = planner
        self._since: float | None = None

    def are_stuck(self, batches: Collection[RunningBatch], now: float) -> bool:
        """Whether nobody has waited for any of `batches` for a second, though each has run for far too long.

        `batches` are those of all lanes while others wait for one; none if a lane is free or nobody waits. Told once.
        """
        if not batches or not all(task.future.done() for batch in batches for task in batch.tasks):
            self._since = None
            return False
        if self._since is None:
            self._since = now
        if now - self._since < STUCK_AFTER_S or any(self._may_end(batch, now) for batch in batches):
            return False
        self._since = None
        return True

    def _may_end(self, batch: RunningBatch, now: float) -> bool:
        rows = batch.rows
        known = self._planner.seconds(batch.signature, rows) if rows else None
        if known is None:
            known = self._planner.row_seconds(batch.signature, 0)
        return known is not None and now - batch.began < SLOW_TIMES * known
