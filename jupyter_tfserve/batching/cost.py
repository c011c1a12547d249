"""What a batch of so many rows takes, learned while serving. Pure: times enter as numbers.

Sizes fall into buckets of powers of two, each with a smoothed time; between them the curve is a straight line. No
shape is assumed: a call's fixed cost, a cache that overflows and a plateau are all seen for what they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

SMOOTHING: Final = 1 / 8
SETTLED_AFTER: Final = 3
"""So many runs of a bucket are believed; of the first ones the fastest counts, since a new shape starts slowly."""
OUTLIER: Final = 3.0
"""A run that took so many times what is known counts as this much: the machine was busy with something else."""
BATCH_OVERHEAD_S: Final = 100e-6
"""What each batch costs beside its run, in merging, framing and splitting."""
PLATEAU: Final = 0.97
"""A smaller size that reaches this share of the best throughput is as good, and its callers wait less."""
MUCH_BETTER: Final = 1.1
WORTH_MORE: Final = 1.05
"""Doubling must have gained so much for the next doubling to be tried."""


@dataclass(slots=True)
class _Bucket:
    rows: float
    seconds: float
    deviation: float = 0.0
    count: int = 1

    def learn(self, rows: int, seconds: float) -> None:
        self.count += 1
        if self.count <= SETTLED_AFTER:
            if seconds / rows < self.seconds / self.rows:
                self.rows, self.seconds = rows, seconds
            return
        seconds = min(seconds, OUTLIER * self.seconds * max(rows / self.rows, 1.0))
        self.rows += SMOOTHING * (rows - self.rows)
        self.deviation += SMOOTHING * (abs(seconds - self.seconds) - self.deviation)
        self.seconds += SMOOTHING * (seconds - self.seconds)

    @property
    def rate(self) -> float:
        """Rows per second."""
        return self.rows / (self.seconds + BATCH_OVERHEAD_S)


class CostCurve:
    """The time of one signature's batches by their rows."""

    __slots__ = ("_buckets",)

    def __init__(self) -> None:
        self._buckets: dict[int, _Bucket] = {}

    def learn(self, rows: int, seconds: float) -> None:
        """A batch of `rows` (at least one) took so long."""
        index = (rows - 1).bit_length()
        bucket = self._buckets.get(index)
        if bucket is None:
            self._buckets[index] = _Bucket(rows, seconds)
        else:
            bucket.learn(rows, seconds)

    def seconds(self, rows: int, deviations: float = 0.0) -> float | None:
        """What a batch of `rows` takes; None while nothing is known. `deviations` of its scatter are added.

        Beyond the largest known size the time grows with the rows.
        """
        points = self._points(deviations)
        if not points:
            return None
        if rows <= points[0][0]:
            return points[0][1]
        for (low, low_s), (high, high_s) in pairwise(points):
            if rows <= high:
                return low_s + (high_s - low_s) * (rows - low) / (high - low)
        return points[-1][1] * rows / points[-1][0]

    def row_seconds(self, size: int) -> float:
        """What a row takes in batches of `size`. REQUIRES: something is known.

        A larger batch than any that was seen is taken for no slower than the largest, until it is seen.
        """
        largest = max(self._buckets.values(), key=lambda each: each.rows).rows
        seconds = self.seconds(min(size, int(largest))) or 0.0
        return (seconds + BATCH_OVERHEAD_S) / size

    def rows_within(self, budget_s: float, deviations: float = 0.0) -> int | None:
        """The most rows that take at most `budget_s`, at least 1; None while nothing is known."""
        points = self._points(deviations)
        if not points:
            return None
        last_rows, last_s = points[-1]
        if last_s <= budget_s:
            return max(int(last_rows * budget_s / last_s), 1) if last_s > 0 else None
        for (low, low_s), (high, high_s) in zip(points[-2::-1], points[:0:-1], strict=True):
            if low_s <= budget_s:
                share = (budget_s - low_s) / (high_s - low_s) if high_s > low_s else 1.0
                return max(int(low + share * (high - low)), 1)
        return 1

    def best_rows(self, start: int, limit: int) -> int:
        """The batch size with the highest throughput, at most `limit`; of several as good as each other the smallest.

        Sizes up to `start` are allowed untried, and given up only for a much better one; larger ones are tried
        one doubling at a time, as long as each gains more than a little.
        """
        rates = {1 << i: b.rate for i, b in sorted(self._buckets.items()) if b.count >= SETTLED_AFTER}
        small = {size: rate for size, rate in rates.items() if size < start}
        large = {size: rate for size, rate in rates.items() if size >= start}
        if not large:
            return min(start, limit)
        best_rate = max(large.values())
        size = next(size for size, rate in large.items() if rate >= PLATEAU * best_rate)
        if small and max(small.values()) > MUCH_BETTER * best_rate:
            return min(max(small, key=lambda each: small[each]), limit)
        half = rates.get(size // 2)
        if size == max(large) and (half is None or large[size] > WORTH_MORE * half):
            size *= 2
        return min(size, limit)

    @property
    def largest_rows(self) -> float:
        """The size of the largest bucket that is known; 0 while none is."""
        return self._buckets[max(self._buckets)].rows if self._buckets else 0.0

    def known(self) -> dict[int, float]:
        """Milliseconds by rows, for reading."""
        return {round(b.rows): round(1000 * b.seconds, 3) for _, b in sorted(self._buckets.items())}

    def _points(self, deviations: float) -> list[tuple[float, float]]:
        """(rows, seconds), both growing: a larger batch that seems to take less takes as long as the smaller."""
        points: list[tuple[float, float]] = []
        highest = 0.0
        for _, bucket in sorted(self._buckets.items()):
            highest = max(highest, bucket.seconds + deviations * bucket.deviation)
            points.append((bucket.rows, highest))
        return points
