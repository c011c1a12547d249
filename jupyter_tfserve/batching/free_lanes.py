"""The lanes that may take a batch, and which of them does: one of the replica that has the least to do. Pure."""

from __future__ import annotations

from collections import Counter

from jupyter_tfserve.batching.lane import BatchLane


class FreeLanes:
    """A version's free lanes. Lanes of one replica share a process; replicas have equally many lanes."""

    __slots__ = ("_free", "_replica_of", "is_spread")

    def __init__(self) -> None:
        self._free: list[BatchLane] = []
        self._replica_of: dict[BatchLane, int] = {}
        self.is_spread = False
        """Whether there is more than one replica."""

    def add(self, lane: BatchLane, replica: int) -> None:
        """A new lane, free, of the replica with that number."""
        self._replica_of[lane] = replica
        self._free.append(lane)
        self._count()

    def discard(self, lane: BatchLane) -> None:
        """The lane is no more, whether it was free or not."""
        self._replica_of.pop(lane, None)
        if lane in self._free:
            self._free.remove(lane)
        self._count()

    def put_back(self, lane: BatchLane) -> None:
        """The lane has run its batch; one that is no more is not put back."""
        if lane in self._replica_of:
            self._free.append(lane)

    def take(self) -> BatchLane:
        """The one that waits longest, of the replicas with the most free lanes. REQUIRES: there is a free one."""
        if not self.is_spread:
            return self._free.pop()
        replica_of = self._replica_of
        free = Counter(replica_of[lane] for lane in self._free)
        lane = max(self._free, key=lambda lane: free[replica_of[lane]])
        self._free.remove(lane)
        return lane

    @property
    def lanes(self) -> int:
        """How many there are, free or not."""
        return len(self._replica_of)

    def __len__(self) -> int:
        return len(self._free)

    def _count(self) -> None:
        self.is_spread = len(set(self._replica_of.values())) > 1
