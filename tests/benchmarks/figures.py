"""The arithmetic of the benchmark: percentiles, medians with their spread, ratios, the order of the turns. Pure."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sample:
    """One turn of one target. Latencies in milliseconds; `errors` are answers that were not right.

    `cpu_us` is what all processes of the server computed per answer: unlike a rate it is hardly changed by what else
    the machine does. `load_share` is how much of a core the load took (near 1 the load is what was measured),
    `others_share` how much of the server's core something else used.
    """

    per_s: float
    p50_ms: float
    p99_ms: float
    answers: int = 0
    errors: int = 0
    cpu_us: float = 0.0
    load_share: float = 0.0
    others_share: float = 0.0


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some turns, with the lowest and the highest."""

    median: float
    low: float
    high: float

    @property
    def relative(self) -> float:
        """How far apart lowest and highest are, as a share of the median."""
        return (self.high - self.low) / self.median if self.median else math.inf


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` of them do not exceed. REQUIRES: sorted, not empty."""
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def spread(values: Sequence[float]) -> Spread:
    """REQUIRES: not empty."""
    return Spread(statistics.median(values), min(values), max(values))


def paired_ratio(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Ours over theirs, turn by turn: what slows the machine down for a while slows both of a turn."""
    return spread([one / other for one, other in zip(ours, theirs, strict=True) if other > 0])


def turns(names: Sequence[str], repetitions: int) -> Iterator[str]:
    """ABAB…: each name once before any of them a second time."""
    for _ in range(repetitions):
        yield from names


def intended_starts(rate: float, seconds: float) -> Iterator[float]:
    """When each request of an open loop is due, in seconds from the beginning: never by when others ended."""
    for number in range(max(1, round(rate * seconds))):
        yield number / rate


def linear_cost(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """The worst step's exponent: how many times dearer, per how many times larger, on a logarithmic scale.

    1 is linear and below that cheaper; where a cost is mostly constant it is near 0.
    """
    pairs = list(zip(sizes, costs, strict=True))
    return max(
        math.log(later[1] / one[1]) / math.log(later[0] / one[0]) for one, later in itertools.pairwise(pairs)
    )
