"""Whether two batches at once are worth it: tried, measured, and tried again. Pure: `now` enters.

Where a model leaves cores idle, or a batch is short against its way to the worker, lanes work side by side. Where one
batch keeps all cores busy, two only share them, each with half of the rows: then the next batch is sent off just
before the running one ends, so that its way overlaps the computing and its rows had time to gather.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

WORTH_TRYING_S: Final = 1e-3
"""Shorter batches are always side by side: their way to the worker takes as long as their run."""
PHASE_BATCHES: Final = 8
PHASES: Final = 4
"""A trial's phases, by turns: side by side, one at a time."""
HOLD_BATCHES: Final = 512
"""How long a decision holds until the next trial."""
CLEARLY: Final = 1.05
LEAD_SHARE: Final = 0.1
MAX_LEAD_S: Final = 2e-3


class Rows(Protocol):
    """A batch; its rows are asked for only while they count."""

    @property
    def rows(self) -> int:
        """How many it has."""


@dataclass(slots=True)
class _Score:
    rows: int = 0
    busy_s: float = 0.0

    @property
    def rate(self) -> float:
        """Rows per second in which at least one batch ran."""
        return self.rows / self.busy_s if self.busy_s > 0 else 0.0


class LaneOverlap:
    """One version's lanes: one at a time, or side by side."""

    __slots__ = ("_batches", "_decided", "_in_flight", "_phase", "_scores", "_since", "one_at_a_time")

    def __init__(self) -> None:
        self.one_at_a_time = False
        """Whether a batch waits for the one before; how long says `next_at`."""
        self._decided = False
        self._phase = -1
        self._batches = 0
        self._in_flight = 0
        self._since = 0.0
        self._scores = (_Score(), _Score())

    def began(self, now: float) -> None:
        """A batch was given to a lane."""
        if not self._in_flight:
            self._since = now
        self._in_flight += 1

    def ended(self, now: float, seconds: float, batch: Rows) -> None:
        """A batch came back after so many seconds."""
        self._in_flight -= 1
        if self._phase < 0:
            self._wait_for_trial(seconds)
            self._since = now
            return
        score = self._scores[self._phase % 2]
        score.rows += batch.rows
        score.busy_s += now - self._since
        self._since = now
        self._batches += 1
        if self._batches >= PHASE_BATCHES:
            self._next_phase()

    @staticmethod
    def next_at(ends: float, seconds: float) -> float:
        """When the next batch is sent off if the running one, of so many seconds, ends at `ends`."""
        return ends - min(LEAD_SHARE * seconds, MAX_LEAD_S)

    def _wait_for_trial(self, seconds: float) -> None:
        if seconds < WORTH_TRYING_S:
            self._batches, self._decided, self.one_at_a_time = 0, False, False
            return
        self._batches += 1
        if self._batches >= (HOLD_BATCHES if self._decided else PHASE_BATCHES):
            self._scores = (_Score(), _Score())
            self._phase = -1
            self._next_phase()

    def _next_phase(self) -> None:
        self._batches = 0
        self._phase += 1
        if self._phase < PHASES:
            self.one_at_a_time = self._phase % 2 == 1
            return
        side_by_side, one = self._scores
        self.one_at_a_time = one.rate > CLEARLY * side_by_side.rate
        self._phase, self._decided = -1, True
