"""How many rows the next batch has: the adaptive policy. Pure: no clock, no loop; `now` enters.

Without a goal: whatever waits, at once, up to the size with the highest throughput. With one (`target_p99_ms`): at
most what leaves both this batch and the next within the goal; but a line that is late already is drained
with the best throughput, since smaller batches would make everybody behind it later still.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from jupyter_tfserve.batching.assemble import padded_size
from jupyter_tfserve.batching.cost import OUTLIER, SMOOTHING, CostCurve
from jupyter_tfserve.options import BatchOptions

START_ROWS: Final = 64
"""Batches up to this size are formed before anything is known of their cost."""
LEARN_EVERY: Final = 16
"""So many batches pass between two looks at the curve: it moves slowly, and batches are many."""
TRY_LARGER_EVERY: Final = 64
"""One batch of so many may be twice as large as the best: what was worse once may be better now. A multiple of
`QUICK_EVERY` and `LEARN_EVERY`, so that it is learned from."""
SLOW_S: Final = 1e-2
"""Of slow batches, which are few, each is looked at."""
QUICK_S: Final = 1e-3
QUICK_EVERY: Final = 4
"""Of quick batches, which are many, one of so many is learned from."""
HALF: Final = 0.45
"""A request waits for at most one running batch before its own; each may take this share of the goal."""
DEVIATIONS: Final = 2.0

SLOW_FIRST_S: Final = 0.02
SLOW_FIRST_TIMES: Final = 5.0
COMPARED_SHAPES: Final = 4
SLOW_SHAPES: Final = 3


class Waiting(Protocol):
    """Tasks that may share a batch: how many rows they have in all, and since when the oldest waits."""

    @property
    def signature(self) -> str:
        """Whose batch it will be."""

    @property
    def rows(self) -> int:
        """All that wait."""

    @property
    def oldest(self) -> float:
        """On the clock of `now`."""


@dataclass(slots=True)
class ShapeCost:
    """Whether every new batch size costs a compilation, as with XLA: then few sizes, padded, are cheaper."""

    first_s: dict[int, float | None] = field(default_factory=dict)
    compared: int = 0
    slow: int = 0

    @property
    def is_dear(self) -> bool:
        """Whether nearly every size that was seen twice was slow the first time."""
        return self.slow >= SLOW_SHAPES

    def learn(self, rows: int, seconds: float) -> None:
        """A batch of exactly so many rows took so long."""
        if self.compared >= COMPARED_SHAPES:
            return
        if rows not in self.first_s:
            if len(self.first_s) < 4 * COMPARED_SHAPES:
                self.first_s[rows] = seconds
            return
        first_s, self.first_s[rows] = self.first_s[rows], None
        if first_s is not None:
            self.compared += 1
            self.slow += first_s > max(SLOW_FIRST_S, SLOW_FIRST_TIMES * seconds)


@dataclass(slots=True)
class _Learned:
    curve: CostCurve = field(default_factory=CostCurve)
    """Of batches as they run now, side by side or not: what takes twice as long beside another is no larger for it."""
    other_curve: CostCurve = field(default_factory=CostCurve)
    shapes: ShapeCost = field(default_factory=ShapeCost)
    batches: int = 0
    limit: int = START_ROWS
    row_s: float = 0.0

    @property
    def known(self) -> CostCurve:
        """The curve to go by: until something has run in the way that holds now, the other one."""
        return self.curve if self.curve.largest_rows else self.other_curve


@dataclass(frozen=True, slots=True)
class LearnedBatching:
    """What is known of one signature: the size that batches may have now, and milliseconds by rows."""

    batch_rows: int
    milliseconds: Mapping[int, float]
    pads_to_powers_of_two: bool


class BatchPlanner:
    """One version's batch sizes by signature. `signature_options` replace `options` where they are given."""

    def __init__(
        self, options: BatchOptions, signature_options: Mapping[str, BatchOptions] | None = None
    ) -> None:
        self._options = options
        self._by_signature: Mapping[str, BatchOptions] = signature_options or {}
        self._learned: dict[str, _Learned] = {}
        self._alone_s: dict[str, float] = {}
        self._side_by_side = True

    def take_turns(self, side_by_side: bool) -> None:
        """Whether batches run side by side from now on; what they take is learned of each way apart."""
        if side_by_side is self._side_by_side:
            return
        self._side_by_side = side_by_side
        for signature, learned in self._learned.items():
            learned.curve, learned.other_curve = learned.other_curve, learned.curve
            self._look(signature, learned)

    def configure(self, options: BatchOptions, signature_options: Mapping[str, BatchOptions]) -> None:
        """Other options from now on; what was learned of the model stays true."""
        self._options, self._by_signature = options, signature_options
        for signature, learned in self._learned.items():
            self._look(signature, learned)

    def options(self, signature: str) -> BatchOptions:
        """The options that hold for a signature."""
        return self._by_signature.get(signature, self._options) if self._by_signature else self._options

    def limit(self, signature: str) -> int:
        """The rows of the largest batch of this signature now."""
        options = self.options(signature)
        if options.strict:
            return options.execution_size
        learned = self._learned.get(signature)
        if learned is None:
            return min(START_ROWS, options.max_batch_size)
        if options.target_p99_ms:
            return min(learned.limit, self._goal_rows(learned, options))
        return learned.limit

    def rows(self, line: Waiting, now: float) -> int:
        """How many rows the next batch of the line may have."""
        options = self.options(line.signature)
        learned = None if options.strict else self._learned.get(line.signature)
        if learned is None:
            return self.limit(line.signature)
        if not options.target_p99_ms:
            is_try = learned.batches % TRY_LARGER_EVERY == 0
            return min(learned.limit * 2, options.max_batch_size) if is_try else learned.limit
        within = self._goal_rows(learned, options)
        running_s = learned.known.seconds(min(line.rows, within), DEVIATIONS) or 0.0
        is_late = now + running_s > line.oldest + options.target_p99_ms / 1000
        return learned.limit if is_late else min(learned.limit, within)

    def padded(self, signature: str, rows: int) -> int:
        """How many rows the model is given for so many real ones, if these are known to be independent."""
        options = self.options(signature)
        if options.allowed_batch_sizes:
            return padded_size(rows, options.allowed_batch_sizes)
        if options.strict or not self._pads(options, self._learned.get(signature)):
            return rows
        size: int = 1 << (rows - 1).bit_length()
        return size if size <= options.max_batch_size else rows

    def learn(self, signature: str, rows: int, seconds: float) -> None:
        """A batch of `rows`, padding included, took so long."""
        learned = self._learned.get(signature)
        if learned is None:
            learned = self._learned[signature] = _Learned()
            learned.limit = self._best(signature, learned)
        learned.batches += 1
        if seconds < QUICK_S and learned.batches > TRY_LARGER_EVERY and learned.batches % QUICK_EVERY != 1:
            return
        is_largest = rows > learned.curve.largest_rows
        learned.curve.learn(rows, seconds)
        if learned.shapes.compared < COMPARED_SHAPES:
            learned.shapes.learn(rows, seconds)
        is_turn = learned.batches < LEARN_EVERY or learned.batches % LEARN_EVERY == 1
        if is_turn or is_largest or seconds >= SLOW_S:
            self._look(signature, learned)

    def learn_alone(self, signature: str, seconds: float) -> None:
        """A run that could not share a batch took so long."""
        known = self._alone_s.get(signature, seconds)
        self._alone_s[signature] = known + SMOOTHING * (min(seconds, OUTLIER * known) - known)

    def row_seconds(self, signature: str, rows: int) -> float | None:
        """By how much each waiting row makes a line longer that one lane serves; None while that is unknown.

        `rows` is 0 for tasks that cannot share a batch: each is a row.
        """
        if not rows:
            return self._alone_s.get(signature)
        learned = self._learned.get(signature)
        if learned is None:
            return None
        if rows > learned.limit:
            # It runs whole, or in pieces that are larger than a batch: its rows take less each.
            return min(learned.row_s, learned.known.row_seconds(rows))
        return learned.row_s

    def seconds(self, signature: str, rows: int) -> float | None:
        """What a batch of so many rows takes; None while that is unknown."""
        learned = self._learned.get(signature)
        return None if learned is None else learned.known.seconds(rows)

    def learned(self) -> dict[str, LearnedBatching]:
        """What is known, by signature."""
        return {
            signature: LearnedBatching(
                self.limit(signature), learned.known.known(), self._pads(self.options(signature), learned)
            )
            for signature, learned in self._learned.items()
        }

    @staticmethod
    def _pads(options: BatchOptions, learned: _Learned | None) -> bool:
        return options.pad_to_powers_of_two or (learned is not None and learned.shapes.is_dear)

    def _look(self, signature: str, learned: _Learned) -> None:
        learned.limit = self._best(signature, learned)
        largest = int(learned.curve.largest_rows)
        if largest:
            # Of sizes that are only being tried nothing is believed: whoever was admitted for it would wait too long.
            learned.row_s = learned.curve.row_seconds(min(learned.limit, max(START_ROWS, largest)))

    def _best(self, signature: str, learned: _Learned) -> int:
        return learned.curve.best_rows(START_ROWS, self.options(signature).max_batch_size)

    def _goal_rows(self, learned: _Learned, options: BatchOptions) -> int:
        within = learned.known.rows_within(HALF * options.target_p99_ms / 1000, DEVIATIONS)
        return options.max_batch_size if within is None else within
