"""How a version's lanes take turns: three ways, tried under load, measured, and tried again. Pure: `now` enters.

Side by side suits a model that leaves cores idle, or whose batch is short against its way to the worker. Where one batch
keeps all cores busy two only share them, each with half of the rows: then the next batch is sent off just before the
running one ends, so that its way overlaps the computing and its rows had time to gather. Where a batch costs nearly
the same whatever its rows, it even pays to wait a moment for the callers that have just been answered.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

WORTH_TRYING_S: Final = 1e-3
"""Shorter batches are always side by side: their way to the worker takes as long as their run."""
PHASE_BATCHES: Final = 12
SETTLING_BATCHES: Final = 3
"""The first of a phase do not count: they are formed of what the phase before has left."""
PHASES: Final = 6
"""A trial's phases: each way twice, by turns."""
FIRST_HOLD_BATCHES: Final = 128
MAX_HOLD_BATCHES: Final = 1024
"""How long a decision holds until the next trial: longer each time, since what was measured before counts half."""
CLEARLY: Final = 1.05
"""A way that makes callers wait must be so much faster than those that do not."""
ALIKE: Final = 1.1
"""Of ways that are as fast as that, the one that costs the processors clearly less leaves more for others."""
MEASURABLE_CPU_S: Final = 0.1
MOSTLY: Final = 0.75
"""So many of the batches that waited for callers must have got them."""
LEAD_SHARE: Final = 0.1
MAX_LEAD_S: Final = 2e-3
LINGER_SHARE: Final = 0.4
MAX_LINGER_S: Final = 0.03
"""Gathering waits at most so long after a batch, and at most this share of what a batch takes."""
NEARLY_ALL: Final = 0.95
OVERDUE: Final = 1.5
"""A batch that takes so many times what is known may hang: the other lane waits for it no longer."""


class Turns(enum.Enum):
    """How lanes take turns."""

    SIDE_BY_SIDE = 0
    ONE_AT_A_TIME = 1
    GATHERING = 2


class Rows(Protocol):
    """A batch; its rows are asked for only while they count."""

    @property
    def rows(self) -> int:
        """How many it has."""


@dataclass(frozen=True, slots=True)
class Running:
    """The batches on lanes: when the last of them ends by what is known, what it takes, the rows of all."""

    ends: float
    seconds: float
    rows: int


@dataclass(slots=True)
class _Score:
    rows: int = 0
    busy_s: float = 0.0
    cpu_s: float = 0.0

    def halve(self) -> None:
        """What is known counts half of what comes."""
        self.rows //= 2
        self.busy_s /= 2
        self.cpu_s /= 2

    @property
    def rate(self) -> float:
        """Rows per second in which a batch ran, or somebody waited for one."""
        return self.rows / self.busy_s if self.busy_s > 0 else 0.0

    def is_cheaper(self, other: _Score) -> bool:
        """Whether its rows cost clearly less processor time."""
        if min(self.cpu_s, other.cpu_s) < MEASURABLE_CPU_S:
            return False
        return self.rows / self.cpu_s > ALIKE * other.rows / other.cpu_s


class LaneOverlap:
    """One version's lanes, and who asks it: how they take turns now."""

    __slots__ = (
        "_batches",
        "_callers_rows",
        "_cpu_mark",
        "_cpu_s",
        "_formed",
        "_hold",
        "_in_flight",
        "_last_end",
        "_last_s",
        "_met",
        "_phase",
        "_scores",
        "_since",
        "is_spread",
        "turns",
    )

    def __init__(self, cpu_s: Callable[[], float] = lambda: 0.0) -> None:
        """`cpu_s` is the processor time that the model's process has used so far; it is asked in trials only."""
        self._cpu_s = cpu_s
        self._cpu_mark = 0.0
        self._formed = self._met = 0
        self.turns = Turns.SIDE_BY_SIDE
        """Other ways than this ask `next_at` when a batch may be sent off."""
        self.is_spread = False
        """The lanes are of several replicas, which need not take turns: nothing is tried, they run side by side."""
        self._hold = 0
        self._phase = -1
        self._batches = 0
        self._in_flight = 0
        self._since = self._last_end = self._last_s = 0.0
        self._callers_rows = 0
        self._scores = tuple(_Score() for _ in Turns)

    def began(self, now: float, oldest: float) -> None:
        """A batch was given to a lane, for somebody who waited since `oldest`."""
        if not self._in_flight:
            self._since = max(self._since, min(oldest, now))
        self._in_flight += 1

    def ended(self, now: float, seconds: float, batch: Rows) -> None:
        """A batch came back after so many seconds."""
        self._in_flight -= 1
        since, self._since = self._since, now
        self._last_end, self._last_s = now, seconds
        if self.is_spread:
            self._batches, self._phase, self.turns = 0, -1, Turns.SIDE_BY_SIDE
            return
        if self._phase < 0:
            self._wait_for_trial(seconds)
            return
        self._batches += 1
        if self._batches > SETTLING_BATCHES:
            score = self._scores[self._phase % len(Turns)]
            score.rows += batch.rows
            score.busy_s += now - since
        elif self._batches == SETTLING_BATCHES:
            self._cpu_mark = self._cpu_s()
        if self._batches >= PHASE_BATCHES:
            self._next_phase()

    def next_at(self, waiting_rows: int, running: Running | None, full_rows: int, may_linger: bool) -> float:
        """When the next batch may be sent off; a time that has passed is now. So many rows wait, `full_rows` of
        which fill a batch. `running` is what the lanes do, if they do anything.
        """
        if self.turns is Turns.SIDE_BY_SIDE:
            return 0.0
        if not may_linger or self.turns is Turns.ONE_AT_A_TIME or waiting_rows >= full_rows:
            return 0.0 if running is None else running.ends - min(LEAD_SHARE * running.seconds, MAX_LEAD_S)
        callers_rows = waiting_rows + (0 if running is None else running.rows)
        self._callers_rows = max(self._callers_rows, callers_rows)
        if running is not None:
            return running.ends + (OVERDUE - 1) * running.seconds
        if waiting_rows >= NEARLY_ALL * self._callers_rows:
            return 0.0
        return self._last_end + min(LINGER_SHARE * self._last_s, MAX_LINGER_S)

    def formed(self, callers_rows: int) -> None:
        """A batch is formed while so many rows waited or ran: those who did not come back are waited for no more."""
        self._formed += 1
        self._met += callers_rows >= NEARLY_ALL * self._callers_rows
        self._callers_rows = callers_rows

    def _wait_for_trial(self, seconds: float) -> None:
        if seconds < WORTH_TRYING_S:
            self._batches, self._hold, self.turns = 0, 0, Turns.SIDE_BY_SIDE
            return
        self._batches += 1
        if self._batches >= max(self._hold, PHASE_BATCHES):
            self._formed = self._met = 0
            for score in self._scores:
                score.halve()
            self._next_phase()

    def _next_phase(self) -> None:
        self._batches = 0
        if self._phase >= 0:
            self._scores[self._phase % len(Turns)].cpu_s += self._cpu_s() - self._cpu_mark
        self._phase += 1
        if self._phase < PHASES:
            self.turns = Turns(self._phase % len(Turns))
            return
        self.turns = self._best()
        self._phase = -1
        self._hold = min(max(2 * self._hold, FIRST_HOLD_BATCHES), MAX_HOLD_BATCHES)

    def _best(self) -> Turns:
        """The fastest way by the clock; of those that are alike the one that costs the processors least."""
        ways = [Turns.ONE_AT_A_TIME]
        if self._met >= MOSTLY * self._formed:
            # Otherwise callers come at times of their own, and waiting for them only costs.
            ways.append(Turns.GATHERING)
        best = Turns.SIDE_BY_SIDE
        for way in ways:
            if self._scores[way.value].rate > CLEARLY * self._scores[best.value].rate:
                best = way
        fastest = self._scores[best.value].rate
        for way in ways:
            score = self._scores[way.value]
            if ALIKE * score.rate >= fastest and score.is_cheaper(self._scores[best.value]):
                best = way
        return best
