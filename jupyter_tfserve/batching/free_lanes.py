"""A version's lanes, and which free one takes the next batch: where there are several replicas, one of the least busy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from jupyter_tfserve.batching.lane import BatchLane


def take_least_loaded(free: list[BatchLane], replica_of: Mapping[BatchLane, int]) -> BatchLane:
    """The lane that waits longest, of the replicas with the most free lanes; it is taken out of `free`.

    Lanes of one replica share a process; replicas have equally many lanes, so the one with the most of them free
    runs the fewest batches. REQUIRES: there is a free lane, and they stand in the order in which they became free.
    """
    counts = Counter(replica_of[lane] for lane in free)
    lane = max(free, key=lambda lane: counts[replica_of[lane]])
    free.remove(lane)
    return lane


class FreeLanes:
    """The lanes that run no batch, by their number, of all that there are."""

    __slots__ = ("_free", "_replica_of")

    def __init__(self) -> None:
        self._free: list[BatchLane] = []
        self._replica_of: dict[BatchLane, int] = {}

    def __len__(self) -> int:
        return len(self._free)

    @property
    def all(self) -> int:
        """How many lanes there are, busy ones included."""
        return len(self._replica_of)

    @property
    def replicas(self) -> int:
        """Of how many replicas they are."""
        return len(set(self._replica_of.values()))

    def add(self, lane: BatchLane, replica: int) -> None:
        """One more, and it is free."""
        self._replica_of[lane] = replica
        self._free.append(lane)

    def remove(self, lane: BatchLane) -> None:
        """It takes no further batch."""
        self._replica_of.pop(lane, None)
        if lane in self._free:
            self._free.remove(lane)

    def take(self, is_spread: bool) -> BatchLane:
        """A free one, of the replica that has the least to do if they are `is_spread`. REQUIRES: there is one."""
        return take_least_loaded(self._free, self._replica_of) if is_spread else self._free.pop()

    def give_back(self, lane: BatchLane) -> None:
        """It is free again, unless it was removed meanwhile."""
        if lane in self._replica_of:
            self._free.append(lane)
