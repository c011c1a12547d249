"""Which free lane takes the next batch where a version has several replicas: one of the least busy. Pure."""

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
