"""How many batches the waiting tasks of a line will fill, and whether one more request has room. Pure.

TensorFlow Serving bounds each of its queues in batches (`max_enqueued_batches`, shared_batch_scheduler.h): the
open batch counts, running ones don't. Packing is greedy and in order of arrival, as the queue takes batches.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.options import BatchOptions

_FULL = "The batch scheduling queue to which this task was submitted is full; "


class Packing:
    """One line's batches: how many there are, and how many rows the last one, still open, has."""

    __slots__ = ("_open_rows", "_size", "batches")

    def __init__(self, size: int, weights: Iterable[int] = ()) -> None:
        self._size = size
        self._open_rows = 0
        self.batches = 0
        for weight in weights:
            self.add(weight)

    def add(self, weight: int) -> None:
        """A task of so many rows joins the end of the line."""
        if self._fits(weight):
            self._open_rows += weight
        else:
            self.batches += 1
            self._open_rows = weight

    @property
    def open_room(self) -> int:
        """How many rows the open batch still takes; 0 if there is none."""
        return self._size - self._open_rows if self.batches else 0

    def check_room(self, weights: Sequence[int], options: BatchOptions, idle_lanes: int) -> None:
        """UNAVAILABLE with upstream's text if the tasks of a request (several: it was split) have no room.

        Batches that idle lanes are about to take don't count.
        """
        waiting = max(self.batches - idle_lanes, 0)
        most = max(options.max_enqueued_batches, 1)
        if options.enable_large_batch_splitting:
            rows = sum(weights)
            capacity = (most - waiting) * self._size + self.open_room
            if rows > capacity:
                raise _full(
                    f"task size is {rows} but scheduling capacity is only {max(capacity, 0)} "
                    f"(num_enqueued_batches={waiting}, max_enqueued_batches={most}, "
                    f"open_batch_size={self._open_rows}, max_execution_batch_size={self._size})"
                )
        elif waiting >= most and not self._fits(weights[0]):
            raise _full(f"currently {waiting} batches enqueued and max_enqueued_batches is {most}")

    def _fits(self, weight: int) -> bool:
        return self.batches > 0 and self._open_rows + weight <= self._size


def _full(details: str) -> ServingError:
    return ServingError(Code.UNAVAILABLE, _FULL + details)
