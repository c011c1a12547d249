"""What a batch of so many rows takes, learned while serving. Pure: times enter as numbers.

Sizes fall into buckets of powers of two, each with a smoothed time; between them the curve is a straight line. No
shape is assumed: a call's fixed cost, a cache that overflows and a plateau are all seen for what they are.
"""

from __future__ import annotations

from collections.abc import Mapping
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
WORTH_IT: Final = 1.03
"""A doubling that gains less throughput is not worth the longer wait of its callers."""
WORTH_TRYING: Final = 1.05
"""Doubling must have gained so much for the next doubling to be tried."""
LONG_S: Final = 0.1
WORTH_LONG: Final = 1.25
"""What a doubling must gain whose batch takes longer: everybody waits for it, and a machine that others use measures
gains of a few per cent that are none."""
MUCH_BETTER: Final = 1.1


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

        Beyond the largest batch that was seen it goes on as from the smallest to the largest; if all had one size, a
        larger one is taken for no slower, until it is seen.
        """
        points = self._points(0.0)
        (low, low_s), (high, high_s) = points[0], points[-1]
        seconds = self.seconds(min(size, int(high))) or 0.0
        if size > high > low:
            seconds += (high_s - low_s) / (high - low) * (size - high)
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
        known = {1 << i: b for i, b in sorted(self._buckets.items()) if b.count >= SETTLED_AFTER}
        large = [size for size in known if size >= start]
        if not large:
            return min(start, limit)
        quickest = max(known, key=lambda size: known[size].rate)
        if known[quickest].rate > MUCH_BETTER * max(known[size].rate for size in large):
            return min(quickest, limit)
        size = large[0]
        for larger in large[1:]:
            if _gain(known, size, larger) >= (WORTH_LONG if known[larger].seconds > LONG_S else WORTH_IT):
                size = larger
        if size == large[-1] and self._is_worth_trying(known, size):
            size *= 2
        return min(size, limit)

    @staticmethod
    def _is_worth_trying(known: Mapping[int, _Bucket], size: int) -> bool:
        """Whether twice as many rows may gain something, going by what the last doubling did."""
        is_long = 2 * known[size].seconds > LONG_S
        smaller = max((each for each in known if each < size), default=None)
        if smaller is None or (not is_long and smaller < size // 2):
            return not is_long
        return _gain(known, smaller, size) > (WORTH_LONG if is_long else WORTH_TRYING)

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


def _gain(known: Mapping[int, _Bucket], smaller: int, larger: int) -> float:
    """How many times the throughput each doubling from the one size to the other has brought."""
    doublings = (larger // smaller).bit_length() - 1
    gain: float = (known[larger].rate / known[smaller].rate) ** (1 / doublings)
    return gain
