"""Where measurements are kept: one cell per combination of label values. Plain numbers, no locks.

Bucket limits are TensorFlow Serving's. A limit is exclusive there: a sample that equals one counts in the
next bucket, unlike Prometheus's own custom.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from typing import Final, Generic, TypeAlias, TypeVar

Labels: TypeAlias = "tuple[str, ...]"
CellT = TypeVar("CellT")

MAX_CELLS: Final = 1000
"""Label values come from senders too; from here on a new combination is counted without labels."""
MAX_LABEL_LENGTH: Final = 256


def exponential_limits(scale: float, growth: float, count: int) -> tuple[float, ...]:
    """scale·growth^i for `count` buckets; the last one, without a limit, is not in it."""
    return tuple(scale * growth**power for power in range(count))


LATENCY_LIMITS: Final = exponential_limits(10, 1.8, 33)
QUEUING_LIMITS: Final = exponential_limits(100, 1.2, 52)
BATCH_SIZE_LIMITS: Final = exponential_limits(1, 2, 14)
EXAMPLE_LIMITS: Final = exponential_limits(1, 2, 15)


class Histogram:
    """Samples by bucket, and their sum. `counts` has one more entry than `limits`."""

    __slots__ = ("counts", "limits", "sum")

    def __init__(self, limits: tuple[float, ...]) -> None:
        self.limits = limits
        self.counts = [0] * (len(limits) + 1)
        self.sum = 0.0

    def add(self, sample: float) -> None:
        """Counts one sample."""
        self.counts[bisect_right(self.limits, sample)] += 1
        self.sum += sample

    def include(self, other: Histogram) -> None:
        """Counts every sample of another histogram with the same limits."""
        self.counts = [one + two for one, two in zip(self.counts, other.counts, strict=True)]
        self.sum += other.sum


class Cells(Generic[CellT]):
    """Cells by label values, at most `MAX_CELLS` and one for the rest, whose label values are empty."""

    __slots__ = ("_cells",)

    def __init__(self) -> None:
        self._cells: dict[Labels, CellT] = {}

    def key(self, *labels: str) -> Labels:
        """The labels to count under: these, or empty ones if they'd cost too much to remember."""
        if labels in self._cells:
            return labels
        if len(self._cells) >= MAX_CELLS or any(len(label) > MAX_LABEL_LENGTH for label in labels):
            return ("",) * len(labels)
        return labels

    def items(self) -> Mapping[Labels, CellT]:
        """All cells."""
        return self._cells


class Counters(Cells[int]):
    """Counts that only grow."""

    def add(self, *labels: str, count: int = 1) -> None:
        """Counts under the label values."""
        key = self.key(*labels)
        self._cells[key] = self._cells.get(key, 0) + count


class FailureCounts(Counters):
    """Failed requests by model and status. `is_served` tells the names of models that we have from others.

    A served model is counted under its name whatever strangers ask for: their names have `MAX_CELLS` cells of their
    own, from there on one for each status, without a name.
    """

    __slots__ = ("_is_served", "_strangers")

    def __init__(self, is_served: Callable[[str], bool]) -> None:
        super().__init__()
        self._is_served = is_served
        self._strangers = 0

    def key(self, *labels: str) -> Labels:
        """(model, status), or ("", status) for a stranger whose name would cost too much to remember."""
        model, status = labels
        if labels in self._cells or not model or self._is_served(model):
            return labels
        if self._strangers >= MAX_CELLS or len(model) > MAX_LABEL_LENGTH:
            return ("", status)
        self._strangers += 1
        return labels


class Histograms(Cells[Histogram]):
    """Histograms with the same limits."""

    __slots__ = ("limits",)

    def __init__(self, limits: tuple[float, ...]) -> None:
        super().__init__()
        self.limits = limits

    def cell(self, *labels: str) -> Histogram:
        """The histogram of the label values; keep it where samples are frequent."""
        return self._cells.setdefault(self.key(*labels), Histogram(self.limits))
