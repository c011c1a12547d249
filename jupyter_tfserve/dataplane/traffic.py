"""What one version has answered lately: a small histogram of latencies a second, for the last minute.

Recorded by the request path as one addition, turned once a second by a timer of the engine's, and read by whoever
shows figures to a person. Event loop only, no locks.
"""

from __future__ import annotations

import contextlib
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from jupyter_tfserve.dataplane.metrics_cells import exponential_limits

WINDOW_S: Final = 60
TRAFFIC_LIMITS: Final = exponential_limits(10, 1.15, 133)
"""Microseconds, from 10 µs to 15 minutes: a percentile is right to 7 %, whatever its size."""
_MIN_SPAN_S: Final = 1.0
"""One request a millisecond after the load is not a thousand a second."""


@dataclass(frozen=True, slots=True)
class Second:
    """A second that is over, at `time` by the wall clock; it may have lasted longer on a busy loop."""

    time: float
    span_s: float
    requests: int
    errors: int
    counts: Mapping[int, int]
    """Answers by bucket of `TRAFFIC_LIMITS`; empty buckets are left out, so that quiet seconds cost nothing."""
    p99_ms: float | None
    """None for a second without answers."""

    @property
    def requests_per_second(self) -> float:
        """Answers and errors."""
        return self.requests / self.span_s


@dataclass(frozen=True, slots=True)
class TrafficFigures:
    """A version's last minute. `requests` is all that came since it was made, failed ones included."""

    requests: int
    requests_per_second: float
    errors_per_second: float
    p50_ms: float | None
    p99_ms: float | None
    history: tuple[Second, ...]


class Traffic:
    """The counts of one version.

    The request path writes `counts[bucket]` and `errors` itself: a call would cost more than the addition.
    """

    __slots__ = ("_began", "_earlier", "_seconds", "counts", "errors")

    def __init__(self, now: float) -> None:
        self.counts = [0] * (len(TRAFFIC_LIMITS) + 1)
        self.errors = 0
        self._began = now
        self._earlier = 0
        self._seconds: deque[Second] = deque(maxlen=WINDOW_S)

    @contextlib.contextmanager
    def timed(self) -> Iterator[None]:
        """Counts what happens in its block as one request; for what is not asked often."""
        began = time.perf_counter()
        try:
            yield
        except BaseException:
            self.errors += 1
            raise
        self.counts[bisect_right(TRAFFIC_LIMITS, (time.perf_counter() - began) * 1e6)] += 1

    def turn(self, now: float, wall_time: float) -> None:
        """Ends the current second. `now` is on the clock of the constructor's."""
        second = self._current(now, wall_time)
        self._seconds.append(second)
        self._earlier += second.requests
        self._began = now
        if second.requests:
            self.counts = [0] * len(self.counts)
            self.errors = 0

    def figures(self, now: float) -> TrafficFigures:
        """The last minute, the second under way included in all but the history."""
        current = self._current(now, 0)
        seconds = (*self._seconds, current)
        span_s = max(sum(second.span_s for second in seconds), _MIN_SPAN_S)
        counts = _sum(second.counts for second in seconds)
        return TrafficFigures(
            requests=self._earlier + current.requests,
            requests_per_second=sum(second.requests for second in seconds) / span_s,
            errors_per_second=sum(second.errors for second in seconds) / span_s,
            p50_ms=percentile_ms(counts, 0.5),
            p99_ms=percentile_ms(counts, 0.99),
            history=tuple(self._seconds),
        )

    def _current(self, now: float, wall_time: float) -> Second:
        counts = {bucket: count for bucket, count in enumerate(self.counts) if count}
        requests = sum(counts.values()) + self.errors
        span_s = max(now - self._began, 1e-3)
        return Second(wall_time, span_s, requests, self.errors, counts, percentile_ms(counts, 0.99))


def percentile_ms(counts: Mapping[int, int], share: float) -> float | None:
    """The latency in milliseconds that `share` of the answers did not exceed; None without answers."""
    wanted = sum(counts.values()) * share
    passed = 0
    for bucket in sorted(counts):
        count = counts[bucket]
        if passed + count >= wanted:
            low = TRAFFIC_LIMITS[bucket - 1] if bucket else 0.0
            high = TRAFFIC_LIMITS[bucket] if bucket < len(TRAFFIC_LIMITS) else low
            return (low + (high - low) * (wanted - passed) / count) / 1000
        passed += count
    return None


def _sum(parts: Iterable[Mapping[int, int]]) -> dict[int, int]:
    total: dict[int, int] = {}
    for counts in parts:
        for bucket, count in counts.items():
            total[bucket] = total.get(bucket, 0) + count
    return total
