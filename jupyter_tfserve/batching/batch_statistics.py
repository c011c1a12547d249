"""What a scheduler has done and holds, in numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BatchStatistics:
    """A snapshot. `padding_rows` were computed for nobody; `overruns` are batches whose callers had no time left when
    they were over.
    """

    lanes: int
    busy_lanes: int
    waiting_tasks: int
    waiting_rows: int
    batches: int
    tasks: int
    rows: int
    padding_rows: int
    overruns: int
